"""The tables of dashboards: made from a run's files, bounded, each clip with its pictures."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch

from savi.critique.pairs import json_line, pair_record
from savi.record import dashboards
from savi.record.dashboards import (
    MOST_CHARACTERS,
    MOST_CLIPS,
    MOST_ROWS,
    PAIR_COLUMNS,
    Table,
    reply_tables,
    show_tables,
    training_tables,
)
from savi.training.loggers import RunWandbLogger, build_loggers
from savi.types import Aspect, Clip, Frames, PreferencePair, Trace, Turn
from savi.video.decode import UndecodableClip
from savi.video.preview import Preview, VideoFormat


def make_pair(clip: str, aspect: Aspect = "spatial", chosen: str = "übers\nDach") -> PreferencePair:
    return PreferencePair(
        clip=clip,
        video=f"clips/{clip}.mp4",
        round=2,
        aspect=aspect,
        question=f"{clip}: where is it?",
        prompt="prompt",
        chosen=chosen,
        rejected="left",
        critique="wrong",
        reference_chosen_logp=-7.5,
        reference_rejected_logp=-6.25,
        seed=1,
        prompt_version="test",
    )


def write_round(run: Path, pairs: Iterable[PreferencePair], traces: Iterable[Trace] = ()) -> None:
    for name in ("pairs", "traces"):
        (run / name).mkdir()
    (run / "pairs" / "round_02.jsonl").write_bytes(b"".join(json_line(pair_record(pair)) for pair in pairs))
    records = ({"clip": one.clip, "video": "", "rejected": None, "traces": [asdict(one)]} for one in traces)
    (run / "traces" / "round_02.jsonl").write_bytes(b"".join(map(json_line, records)))


class Kept:
    """A board that keeps what it is shown."""

    plays: VideoFormat = "mp4"

    def __init__(self) -> None:
        self.tables: list[Table] = []
        self.previews: dict[str, Preview] = {}

    def show(self, table: Table, previews: Mapping[str, Preview], round: int) -> None:
        self.tables.append(table)
        self.previews |= previews

    def alert(self, title: str, text: str) -> None:
        raise NotImplementedError


def test_the_tables_of_a_round_hold_every_word_of_its_pairs_and_filtered_questions(tmp_path: Path) -> None:
    turns = [Turn(name, "", reply, 0, 0.0, True) for name, reply in (("answer", "left"), ("critique", "right"))]
    filtered = Trace("b", 2, "temporal", "when?", tuple(turns), "unparsable")
    write_round(tmp_path, [make_pair("a")], [filtered, Trace("a", 2, "spatial", "where?", (), "pair")])
    pairs, taken = training_tables(tmp_path, 2)
    assert (pairs.name, taken.name) == ("tables/pairs/round_02", "tables/filtered/round_02")
    values = ("spatial", "a: where is it?", "left", "wrong", "übers\nDach", -6.25, -7.5)
    assert pairs.rows == [("a", values)]
    assert len(PAIR_COLUMNS) == len(values)
    assert taken.rows == [("b", ("temporal", "when?", "unparsable", "left", "right", ""))]


@pytest.mark.parametrize("clips", [MOST_CLIPS, MOST_CLIPS + 1, 10 * MOST_CLIPS])
def test_a_large_round_is_shown_in_part_and_from_all_over(clips: int, tmp_path: Path) -> None:
    aspects: Sequence[Aspect] = ("spatial", "temporal")
    write_round(tmp_path, [make_pair(f"{index:04d}", aspect) for index in range(clips) for aspect in aspects])
    rows = training_tables(tmp_path, 2)[0].rows
    shown = list(dict.fromkeys(clip for clip, _ in rows))
    assert MOST_CLIPS / 2 < len(shown) <= MOST_CLIPS
    assert shown[0] == "0000"
    assert int(shown[-1]) >= 0.9 * clips - 1
    assert len(rows) == 2 * len(shown), "all pairs of a clip that is shown"


def test_a_clip_with_a_thousand_long_pairs_is_shown_in_part(tmp_path: Path) -> None:
    write_round(tmp_path, [make_pair("a", chosen="x" * 3 * MOST_CHARACTERS)] * 1000)
    rows = training_tables(tmp_path, 2)[0].rows
    assert len(rows) == MOST_ROWS
    assert len(str(rows[0][1][4])) <= MOST_CHARACTERS + 4


def test_held_out_questions_that_were_won_or_lost_come_first(tmp_path: Path) -> None:
    def rows(right: Sequence[bool], said: str) -> list[dict[str, Any]]:
        common = {"benchmark": "world", "task": "t", "question": "?", "options": ["red", "blue"], "answer": "B"}
        verdicts = enumerate(right)
        return [{**common, "id": f"{i}", "video": f"c{i}", "response": said, "correct": one} for i, one in verdicts]

    for number, answered in ((0, rows([True, False, False], "A")), (1, rows([True, True, False], "B"))):
        folder = tmp_path / "benchmarks" / f"round_{number:02d}"
        folder.mkdir(parents=True)
        (folder / "world.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in answered))
        (folder / "world.replies.jsonl").write_text('{"key": "of a log"}\n')
    (table,) = reply_tables(tmp_path, 1)
    assert [clip for clip, _ in table.rows] == ["c1", "c0", "c2"]
    assert table.rows[0][1] == ("world", "t", "?", "blue", "red", "blue", False, True)
    assert reply_tables(tmp_path, 2) == []


def test_a_clip_that_is_gone_has_a_row_without_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fake_decode(path: Path, count: int) -> Frames:
        if path.stem == "gone":
            raise UndecodableClip(path, "no such file")
        times = tuple(map(float, range(count)))
        return Frames(torch.zeros(count, 6, 8, 3, dtype=torch.uint8), times, (), 1.0, 4.0)

    monkeypatch.setattr(dashboards, "decode", fake_decode)
    write_round(tmp_path, [make_pair("a"), make_pair("gone"), make_pair("unknown")])
    board = Kept()
    clips = {name: Clip(name, Path(f"{name}.mp4")) for name in ("a", "gone")}
    show_tables([board], lambda: training_tables(tmp_path, 2), clips, 4, 3)
    assert [clip for clip, _ in board.tables[0].rows] == ["a", "gone", "unknown"]
    assert list(board.previews) == ["a"]
    assert list(board.previews["a"].videos) == ["mp4"]


def test_a_run_has_no_folder_before_its_first_record(tmp_path: Path) -> None:
    # Processes that start later number their runs by the folders that are there.
    loggers = build_loggers(tmp_path / "runs", "demo", 0, "offline", None)
    assert isinstance(loggers[1], RunWandbLogger)
    assert not (tmp_path / "runs").exists()


def test_a_name_may_have_characters_that_wandb_refuses_in_an_id(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_SILENT", "true")
    *_, logger = build_loggers(tmp_path, " a#b:c, 50 %?", 0, "offline", None)
    assert isinstance(logger, RunWandbLogger)
    logger.begin()
    name = logger.experiment.name
    logger.experiment.finish()
    logger.finalize("success")
    assert name == " a#b:c, 50 %?-000"
