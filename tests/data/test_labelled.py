"""Labelled questions from a file: what is read, and what is said where it can't be."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from savi.data.labelled import read_labelled
from savi.data.sources import DataSources
from savi.evaluation.benchmarks.items import Options
from savi.types import Clip, Labelled, SaviError

GOOD = {"video": "clips/a.mp4", "question": "where is it ?", "answer": " top left "}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips" / "a.mp4").touch()
    return tmp_path


def test_lines_and_tables_give_the_same(folder: Path) -> None:
    lines, table = folder / "labels.jsonl", folder / "labels.csv"
    lines.write_text(json.dumps(GOOD) + "\n")
    table.write_text("video,question,answer\nclips/a.mp4,where is it ?,top left\n")
    expected = [Labelled(Clip("clips/a.mp4", folder / "clips/a.mp4"), "where is it ?", "top left")]
    assert read_labelled(lines) == read_labelled(table) == expected


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (json.dumps(GOOD | {"answer": 3}), "line 1: needs video, question and answer, each a text"),
        (json.dumps({"video": "clips/a.mp4"}), "line 1: needs video, question and answer, each a text"),
        ('"clips/a.mp4"', "line 1: needs video, question and answer, each a text"),
        (json.dumps(GOOD | {"video": "b.mp4"}), "line 1: no video at "),
        ("{", "line 1: not JSON"),
        ("", "is empty"),
    ],
)
def test_a_mistake_is_one_line(folder: Path, text: str, said: str) -> None:
    file = folder / "labels.jsonl"
    file.write_text(text + "\n")
    with pytest.raises(SaviError, match=rf"^data\.labelled: .*{re.escape(said)}[^\n]*$"):
        DataSources("unused", None, 0, str(file), {}, Options(), None).labelled_questions()


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SaviError, match=r"gone\.jsonl: no such file"):
        read_labelled(tmp_path / "gone.jsonl")


def test_a_file_that_is_no_text_is_one_line(tmp_path: Path) -> None:
    file = tmp_path / "labels.csv"
    file.write_bytes(b"video,question,answer\n\xff\xfe\x00")
    with pytest.raises(SaviError, match=r"labels\.csv: can't be read"):
        read_labelled(file)
