"""`savi fit --help`: words for every option, which are those of the settings' classes."""

from __future__ import annotations

from typing import Any

import pytest

from savi.cli import main
from savi.cli.parser import SaviArgumentParser


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> dict[str, str | None]:
    """The help of each option of `savi fit`, by dotted key, without those that hold others."""
    parsers: list[Any] = []
    monkeypatch.setattr(SaviArgumentParser, "print_help", lambda parser: parsers.append(parser))
    with pytest.raises(SystemExit):
        main(["fit", "--help"])
    (parser,) = parsers
    groups = ("_ActionConfigLoad", "_ActionHelpClassPath", "ActionLink")
    return {action.dest: action.help for action in parser._actions if type(action).__name__ not in groups}


def test_every_option_of_model_and_data_has_words(shown: dict[str, str | None]) -> None:
    options = {name: text for name, text in shown.items() if name.startswith(("model.", "data."))}
    assert len(options) > 60
    assert [name for name, text in options.items() if not text or len(text.split()) < 4] == []


def test_an_option_that_may_be_null_says_what_that_means(shown: dict[str, str | None]) -> None:
    for name in ("data.clip_count", "data.benchmark", "data.labelled", "model.filters.least_logp", "data.cache"):
        assert "None: " in (shown[name] or ""), name


def test_options_of_lightnings_that_mean_something_else_here_say_so(shown: dict[str, str | None]) -> None:
    assert "resumes the newest run" in (shown["ckpt_path"] or "")
    assert "random" not in (shown["seed_everything"] or "")


def test_the_usage_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["fit", "--help"])
    said = capsys.readouterr().out
    assert said.startswith("usage: savi fit [--config FILE_OR_NAME ...] [--OPTION VALUE ...]\n\n")
    assert "Learning rate after the warm-up." in said
