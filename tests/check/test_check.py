"""`savi check`: every miniature passes, and every broken copy fails at the right place."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import huggingface_hub
import pytest

from savi.cli import main
from tests.models import stand_ins
from tests.models.stand_ins import stand_in
from tools.tiny_models import MINIATURES

SMALL = ("--frames=8", "--size=64x48")
THINK = ("<think>", "</think>")


def found(capsys: pytest.CaptureFixture[str], folder: Path | str, *more: str) -> dict[str, tuple[bool | None, str]]:
    """Each finding by name; whether the command failed is the report's own word."""
    code = 0
    try:
        main(["check", str(folder), *SMALL, "--json", *more])
    except SystemExit as stop:
        code = int(str(stop.code))
    report = json.loads(capsys.readouterr().out)
    assert code == (0 if report["passed"] else 1)
    return {one["name"]: (one["passed"], one["says"]) for one in report["findings"]}


@pytest.mark.parametrize("model_type", MINIATURES)
def test_every_family_passes(model_type: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    findings = found(capsys, MINIATURES[model_type](tmp_path / model_type), "--weights")
    assert {name: says for name, (passed, says) in findings.items() if passed is False} == {}
    assert findings["type"][1].startswith(f"{model_type}, ")
    assert {"sharing a clip", "end of a reply", "prompt ids", "LoRA", "memory", "greedy text"} <= findings.keys()


def test_the_embedded_base_passes_in_words(capsys: pytest.CaptureFixture[str]) -> None:
    main(["check", "world"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "world"
    assert lines[-1] == "✓ nothing is in the way"
    assert "✓ tokens per clip    42 for 32 frames of 640 x 360" in lines


@pytest.mark.parametrize(
    ("name", "text", "failed", "says"),
    [
        ("chat_template.jinja", "{{ messages[0].content[1].text }}", "files", "no place for a video"),
        ("chat_template.jinja", "{% for", "files", "no usable chat template"),
        ("config.json", "{", "files", "could not be read"),
        ("tokenizer.json", "{", "files", "no usable processor"),
    ],
)
def test_a_broken_copy_fails_where_it_is_broken(
    name: str, text: str, failed: str, says: str, random_base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "broken"
    shutil.copytree(random_base, folder)
    (folder / name).write_text(text)
    findings = found(capsys, folder, "--weights")
    assert findings.keys() == {failed}
    assert findings[failed][0] is False
    assert says in findings[failed][1]


def test_a_hub_name_without_a_network_says_to_download_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(SystemExit):
        main(["check", "nobody/nothing"])
    lines = capsys.readouterr().out.splitlines()
    assert "no download of that name, and HF_HUB_OFFLINE is set" in lines[1]
    assert "→ run `hf download nobody/nothing` where there is a network" in lines[2]
    assert "compare the folder" not in "".join(lines)


def test_broken_weights_fail_after_all_else_has_passed(
    random_base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "broken"
    shutil.copytree(random_base, folder)
    (folder / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:1000])
    assert not [name for name, (passed, _) in found(capsys, folder).items() if passed is False]
    assert [name for name, (passed, _) in found(capsys, folder, "--weights").items() if passed is False] == ["weights"]


def test_a_template_that_writes_the_prompt_before_the_clip_fails(
    random_base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What comes before the clip must be the same for every prompt: the clip is read behind it once."""
    template = (
        "{% for m in messages %}{{ m['content'][1]['text'] }}<|vision_start|><|video_pad|><|vision_end|>{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )
    folder = stand_in(random_base, tmp_path / "model", template)
    passed, says = found(capsys, folder)["prompt ids"]
    assert not passed
    assert "before the clip depends on the prompt" in says


@pytest.mark.parametrize(
    ("template", "tokens", "name", "says"),
    [
        (stand_ins.SYSTEM, (), "before the video", "You see a reply and a film."),
        (stand_ins.PLAIN, ("</s>",), "end of a reply", "'<|im_end|>', by the chat template"),
        (stand_ins.ONE_TURN, (), "further turns", "refused"),
        (stand_ins.ONE_TURN, (), "end of a reply", "by the tokenizer"),
        (stand_ins.SWITCHED, THINK, "thought", "asked to leave it out"),
        (stand_ins.OPEN_THOUGHT, THINK, "thought", "before every reply"),
        (stand_ins.OPEN_THOUGHT, (), "thought", "no token ends"),
        (stand_ins.BLANK, (), "prompt ids", "the processor's own"),
    ],
)
def test_each_way_of_a_template_is_told(
    template: str,
    tokens: tuple[str, ...],
    name: str,
    says: str,
    random_base: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = stand_in(random_base, tmp_path / "model", template, tokens=tokens)
    assert says in found(capsys, folder)[name][1]


@pytest.mark.parametrize("given", [["--size=9"], ["--frames=0"], ["--dtype=int8"]])
def test_an_option_that_makes_no_sense_is_one_line(given: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["check", "world", *given])
    assert stop.value.code == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
