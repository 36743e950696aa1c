"""The tables as the real wandb keeps them, offline."""

from __future__ import annotations

import json
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch.loggers import WandbLogger
from PIL import Image

from savi.record import dashboards
from savi.record.dashboards import COLUMNS, MOST_CLIPS, log_pairs, pair_table
from savi.training.loggers import RunWandbLogger, build_loggers
from savi.types import Aspect, Clip, Frames, PreferencePair
from savi.video.decode import UndecodableClip


def make_pair(clip: str, aspect: Aspect = "spatial") -> PreferencePair:
    return PreferencePair(
        clip=clip,
        video=f"clips/{clip}.mp4",
        round=2,
        aspect=aspect,
        question=f"{clip}: where is it?",
        prompt="prompt",
        chosen="übers\nDach",
        rejected="left",
        critique="wrong",
        reference_chosen_logp=-7.5,
        reference_rejected_logp=-6.25,
        seed=1,
        prompt_version="test",
    )


@pytest.fixture
def logger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[WandbLogger]:
    """A run without account or network, in folders of its own."""
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    for kind in ("DATA", "CACHE", "CONFIG"):
        monkeypatch.setenv(f"WANDB_{kind}_DIR", str(tmp_path / kind.lower()))
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    logger = WandbLogger(project="test", save_dir=tmp_path, offline=True)
    yield logger
    logger.experiment.finish()


def logged_table(folder: Path) -> dict[str, Any]:
    """The only table that was logged, in the form that waits to be uploaded: with its pictures."""
    staged = [path.read_bytes() for path in sorted((folder / "data" / "artifacts" / "staging").iterdir())]
    tables = [json.loads(content) for content in staged if content.startswith(b"{")]
    assert tables
    assert all(table == tables[0] for table in tables)
    return {**tables[0], "pictures": [content for content in staged if content.startswith(b"\x89PNG")]}


def clips_of(*names: str) -> list[Clip]:
    return [Clip(name, Path(f"clips/{name}.mp4")) for name in dict.fromkeys(names)]


def fake_decode(path: Path, count: int) -> Frames:
    if path.stem == "gone":
        raise UndecodableClip(path, "no such file")
    return Frames(torch.zeros(count, 6, 8, 3, dtype=torch.uint8), tuple(map(float, range(count))), (), 1.0, 4.0)


def test_the_table_holds_every_word_of_a_pair_beside_its_clip(tmp_path: Path, logger: WandbLogger) -> None:
    sheets = {"a": Image.new("RGB", (64, 16), "red")}
    table = pair_table([make_pair("a"), make_pair("a", "temporal"), make_pair("b")], sheets)
    logger.experiment.log({"pairs": table})
    logged = logged_table(tmp_path)
    assert logged["columns"] == COLUMNS
    first, second, third = logged["data"]
    picture = first.pop(1)
    assert first == ["a", "spatial", "a: where is it?", "left", "wrong", "übers\nDach", -6.25, -7.5]
    assert (picture["width"], picture["height"]) == (64, 16)
    with Image.open(BytesIO(logged["pictures"][0])) as image:
        assert image.convert("RGB").getpixel((3, 3)) == (255, 0, 0)
    assert second[1] == picture
    assert (second[2], third[0], third[1]) == ("temporal", "b", None)


def test_a_round_is_logged_under_its_number(
    tmp_path: Path, logger: WandbLogger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dashboards, "decode", fake_decode)
    log_pairs([logger], 2, [make_pair("a"), make_pair("gone")], clips_of("a", "gone"), frame_count=4)
    logged = logged_table(tmp_path)
    assert [(row[0], row[1] is None) for row in logged["data"]] == [("a", False), ("gone", True)]
    assert "pairs/round_02" in logger.experiment.summary.keys()  # noqa: SIM118 (it is no mapping)


@pytest.mark.parametrize("clips", [MOST_CLIPS, MOST_CLIPS + 1, 10 * MOST_CLIPS])
def test_a_large_round_is_shown_in_part_and_from_all_over(clips: int, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[Path] = []
    logged: dict[str, Any] = {}

    class Run:
        def log(self, values: dict[str, Any]) -> None:
            logged.update(values)

    class Logger:
        experiment = Run()

    monkeypatch.setattr(dashboards, "_sheet", lambda video, count: decoded.append(video))
    pairs = [make_pair(f"{index:04d}", aspect) for index in range(clips) for aspect in ("spatial", "temporal")]
    log_pairs([Logger()], 0, pairs, clips_of(*(pair.clip for pair in pairs)), frame_count=4)  # type: ignore[list-item]
    assert MOST_CLIPS / 2 < len(decoded) <= MOST_CLIPS
    assert decoded[0] == Path("clips/0000.mp4")
    assert int(decoded[-1].stem) >= 0.9 * clips - 1
    assert len(logged["pairs/round_00"].data) == 2 * len(decoded), "all pairs of a clip that is shown"


def test_a_run_has_no_folder_before_its_first_record(tmp_path: Path, logger: WandbLogger) -> None:
    # Processes that start later number their runs by the folders that are there.
    loggers = build_loggers(tmp_path / "runs", "demo", 0, "offline", None)
    assert isinstance(loggers[1], RunWandbLogger)
    assert not (tmp_path / "runs").exists()
