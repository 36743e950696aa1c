"""Settings that name a class: short names, files that are merged, and the words of earlier versions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from savi.cli.config import merge_experiments
from savi.errors import SaviError

FOUR = "{pairs: {class_path: best_of_n, init_args: {samples: 4}}}"
ANOTHER = "{pairs: {class_path: tpo, init_args: {critic: {class_path: another, init_args: {base: x}}}}}"
TEXT = {"class_path": "savi.methods.critics.TextOnly"}


def merged(folder: Path, *files: str, options: tuple[str, ...] = ()) -> tuple[dict[str, Any], list[str]]:
    """What `model.pairs` is after these files, each the text below `model`, and the options as they are handed on."""
    configs = []
    for number, text in enumerate(files):
        place = folder / f"{number}.yaml"
        place.write_text(f"model: {text}\n")
        configs.append(f"--config={place}")
    target = folder / "merged"
    target.mkdir(exist_ok=True)
    _, _, written, *rest = merge_experiments(["fit", *configs, *options], target)
    pairs: dict[str, Any] = yaml.safe_load(Path(written).read_text())["model"]["pairs"]
    return pairs, rest


@pytest.mark.parametrize(
    ("files", "pairs"),
    [
        (["{lora: {r: 8}}"], {"class_path": "savi.methods.VideoSAVi"}),
        (["{pairs: hound}"], {"class_path": "savi.methods.Hound"}),
        (["{pairs: BestOfN}"], {"class_path": "savi.methods.BestOfN"}),
        (["{pairs: mine.Method}"], {"class_path": "mine.Method"}),
        (
            ["{pairs: {init_args: {critic: text}}}"],
            {"class_path": "savi.methods.VideoSAVi", "init_args": {"critic": TEXT}},
        ),
        (
            ["{pairs: {class_path: best_of_n, init_args: {samples: 3}}}", "{pairs: tpo}"],
            {"class_path": "savi.methods.TPO"},
        ),
        (
            [ANOTHER, "{pairs: {init_args: {critic: text}}}"],
            {"class_path": "savi.methods.TPO", "init_args": {"critic": TEXT}},
        ),
    ],
)
def test_classes_are_named_in_short_and_a_later_one_brings_its_own_arguments(
    files: list[str], pairs: dict[str, Any], tmp_path: Path
) -> None:
    assert merged(tmp_path, *files)[0] == pairs


def test_options_name_classes_in_short(tmp_path: Path) -> None:
    options = ("--model.pairs.class_path", "tpo", "--model.pairs.critic=text", "--model.lora.r", "4")
    _, rest = merged(tmp_path, "{}", options=options)
    assert rest[:4] == ["--model.pairs", "savi.methods.TPO", "--model.pairs.critic", TEXT["class_path"]]


def test_files_of_earlier_versions_name_their_method_together(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pairs, _ = merged(tmp_path, "{chain: {preference: random}}", "{chain: {critic: {who: text}}}")
    arguments = {"critic": TEXT, "aspects": ["spatial", "temporal"]}
    assert pairs == {"class_path": "savi.methods.RandomPreference", "init_args": arguments}
    assert "is now model.pairs" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--model.chain.preference=random", "--model.chain.critic.who=text"])
def test_options_of_earlier_versions_are_refused_with_the_new_ones(option: str, tmp_path: Path) -> None:
    with pytest.raises(SaviError, match=r"--model\.pairs random_preference|--model\.pairs videosavi"):
        merged(tmp_path, "{}", options=(option,))
