"""`savi`, `savi --help` and a mistyped command: answered without a model, and without waiting for torch."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Sequence

import pytest

from savi.cli import main
from savi.cli.commands import COMMANDS
from tests.test_cli import complaint


@pytest.mark.parametrize("arguments", [[], (), ["--help"], ("-h",)], ids=["bare", "bare tuple", "--help", "-h"])
def test_every_command_has_one_line(arguments: Sequence[str], capsys: pytest.CaptureFixture[str]) -> None:
    main(arguments)
    said = capsys.readouterr().out
    for name in ("fit", "validate", "test", "ask", "predict", "export", "check", "score", "compare"):
        assert f"  {name:8}  {COMMANDS[name]}\n" in said
    assert max(map(len, said.splitlines())) <= 120


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("fitt", "did you mean fit?"),
        ("measure", "the commands are fit, validate, test, ask, predict, view, export, check, score, compare"),
        ("--config", "a command comes first"),
    ],
)
def test_a_word_that_is_no_command_is_one_line(word: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    line = complaint([word, "--data.clips=videos"], capsys)
    assert line.startswith(f"savi: {word}: ")
    assert said in line


@pytest.mark.parametrize("arguments", [[], ["--help"], ["fitt"]], ids=["bare", "--help", "fitt"])
def test_the_overview_imports_no_library(arguments: list[str]) -> None:
    code = (
        "import sys; from savi.cli import main\n"
        f"try: main({arguments})\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'lightning', 'numpy', 'yaml', 'jsonargparse'}\n"
        "print(*heavy & set(sys.modules))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.splitlines()[-1] == ""


@pytest.mark.parametrize("word", ["score", "fitt"])
def test_garbage_is_collected_again_after_a_command_is_imported(word: str) -> None:
    code = (
        f"import gc; from savi.cli.main import load\ntry: load({word!r})\nexcept Exception: pass\nprint(gc.isenabled())"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "True\n"


@pytest.mark.parametrize("command", list(COMMANDS))
def test_every_command_has_a_help_of_its_own(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main([command, "--help"])
    assert stop.value.code == 0
    said = capsys.readouterr().out
    assert "usage: savi " + command in said
    # An option without words ends its line with its name, and the next one follows.
    assert not re.search(r"^  [A-Za-z_-]+\n  \S", said, re.MULTILINE)
