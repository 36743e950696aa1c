"""Clips' files during a run: a broken one is tried once, a replaced one is noticed."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lightning import Callback, LightningModule, Trainer

from savi.cli.main import main
from savi.critique.clip_files import inspect_clips
from savi.critique.pairs import json_records
from savi.files import content_digest
from savi.types import Clip, SaviError
from savi.video.process import DecodeProcess
from savi.world.clips import training_clips
from tests.quick_runs import QUICK
from tests.test_cli import complaint
from tests.test_run import DEMO

BROKEN = {"empty.mp4": b"", "text.mp4": b"not a video"}


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    """Three clips that can be decoded, and two that can't."""
    folder = tmp_path / "videos"
    folder.mkdir()
    for number, clip in enumerate(training_clips(tmp_path / "rendered", 4, seed=0)):
        shutil.copy(clip.path, folder / f"clip_{number}.mp4" if number < 3 else tmp_path / "other.mp4")
    for name, content in BROKEN.items():
        (folder / name).write_bytes(content)
    return folder


def arguments(folder: Path, *more: str) -> list[str]:
    given = [f"--data.clips={folder}", "--data.clip_count=null", "--data.benchmark=null", "--data.micro_batch_clips=2"]
    runs = [f"--runs={folder.parent / 'runs'}", "--trainer.max_epochs=2", *QUICK]
    return ["fit", "--config", str(DEMO), *runs, *given, *more]


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each file has been handed to a decoder."""
    counted: Counter[str] = Counter()
    submit = DecodeProcess.submit

    def counting(self: DecodeProcess, source: Any, *rest: Any) -> None:
        counted[getattr(source, "path", source).name] += 1
        submit(self, source, *rest)

    monkeypatch.setattr(DecodeProcess, "submit", counting)
    return counted


def test_a_broken_file_is_tried_once_a_run_and_named_in_every_round(
    videos: Path, decoded: Counter[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """The readiness check tries it first; a resumed run knows of it from the files of the rounds before."""
    main(arguments(videos, "--trainer.max_epochs=1"))
    assert {name: decoded[name] for name in BROKEN} == dict.fromkeys(BROKEN, 1)
    main(arguments(videos, "--ckpt_path=last"))
    assert {name: decoded[name] for name in BROKEN} == dict.fromkeys(BROKEN, 1)
    run = videos.parent / "runs" / "demo" / "version_0"
    for number in range(2):
        records = [record for _, record in json_records(run / "traces" / f"round_{number:02d}.jsonl")]
        rejected = {Path(record["video"]).name: record["rejected"] for record in records if record["rejected"]}
        assert rejected == {"empty.mp4": "empty file", "text.mp4": "not a video"}
    rounds = json.loads((run / "results.json").read_text())["rounds"]
    assert [entry["filters"]["undecodable"] for entry in rounds if entry["round"]] == [2, 2]
    assert "2 of 5 clips were left out" in capsys.readouterr().out


def test_a_broken_file_that_is_put_right_is_tried_again(videos: Path) -> None:
    main(arguments(videos, "--trainer.max_epochs=1"))
    shutil.copy(videos.parent / "other.mp4", videos / "empty.mp4")
    main(arguments(videos, "--ckpt_path=last"))
    run = videos.parent / "runs" / "demo" / "version_0"
    records = [record for _, record in json_records(run / "traces" / "round_01.jsonl")]
    assert [record["clip"] for record in records if record["rejected"]] == ["text"]


class Swap(Callback):
    """Puts another video in the place of the training clips, at one moment of the first round."""

    def __init__(self, moment: str, folder: str) -> None:
        self._folder = Path(folder)
        setattr(self, moment, self._swap)

    def _swap(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        if trainer.current_epoch == 0:
            for clip in self._folder.glob("clip_*.mp4"):
                shutil.copy(self._folder.parent / "other.mp4", clip)


def swap(moment: str, folder: Path) -> str:
    arguments = {"moment": moment, "folder": str(folder)}
    return "--trainer.callbacks+=" + json.dumps({"class_path": f"{__name__}.Swap", "init_args": arguments})


def test_a_file_that_is_replaced_before_its_pairs_are_learned_ends_the_run_in_one_line(
    videos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = complaint(arguments(videos, swap("on_train_epoch_start", videos)), capsys)
    assert line.startswith("savi: clip_")
    assert "the file has changed since the round began" in line
    assert "put the old one back and resume the run" in line


def test_a_file_that_is_replaced_between_rounds_is_named_and_asked_about_anew(
    videos: Path, decoded: Counter[str], caplog: pytest.LogCaptureFixture
) -> None:
    main(arguments(videos, swap("on_train_epoch_end", videos)))
    said = [line for line in caplog.messages if line.startswith("Changed since the round before")]
    assert len(said) == 3
    assert str(videos / "clip_0.mp4") in said[0]
    assert decoded["clip_0.mp4"] == 2, "what was kept of the old file isn't taken for the new one"


def test_a_file_that_can_not_be_read_is_tried_again(tmp_path: Path) -> None:
    clip = Clip("a", tmp_path / "a.mp4")
    failures = {"a": "can't be read: Input/output error"}
    assert inspect_clips(tmp_path, [clip], [], failures).failure(clip) is None
    assert inspect_clips(tmp_path, [clip], [], failures).failure(clip) is None


def test_a_round_is_not_resumed_over_files_that_have_changed_since_their_pairs_were_built(tmp_path: Path) -> None:
    clips = [Clip(name, tmp_path / f"{name}.mp4") for name in "ab"]
    for clip in clips:
        clip.path.write_bytes(b"old")
    inspect_clips(tmp_path, clips, [], {})
    clips[1].path.write_bytes(b"new")
    assert inspect_clips(tmp_path, clips, clips[:1], {}).changed == (clips[1],)
    clips[0].path.write_bytes(b"new")
    with pytest.raises(SaviError, match=r"a\.mp4: the file has changed since the round began; put the old one back"):
        inspect_clips(tmp_path, clips, clips[:1], {})


def change_middle(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    "change", [change_middle, lambda path: path.write_bytes(path.read_bytes() + b"x"), lambda path: path.unlink()]
)
def test_the_digest_is_a_copys_too_and_tells_a_changed_file(change: Callable[[Path], None], tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_bytes(bytes(range(256)) * 2000)
    before = content_digest(file)
    shutil.copy(file, tmp_path / "b")
    assert before == content_digest(tmp_path / "b") is not None
    change(file)
    assert content_digest(file) != before


def test_the_digest_of_a_short_file_is_taken_too(tmp_path: Path) -> None:
    for content in (b"", b"a", b"ab"):
        (tmp_path / f"{len(content)} bytes").write_bytes(content)
    assert len({content_digest(path) for path in tmp_path.iterdir()}) == 3
