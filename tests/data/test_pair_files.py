"""Preference pairs are read from every project's files, and a row that gives none is named with its line and reason."""

from __future__ import annotations

import builtins
import json
import re
from pathlib import Path
from typing import Any

import datasets
import pytest
from PIL import Image

from savi.conversations import Message
from savi.critique.given import GivenPairs
from savi.critique.pairs import json_line, pair_record
from savi.data.pair_files import read_given_pairs
from savi.errors import SaviError
from savi.types import OpenedClip, PreferencePair
from tools.pair_shapes import SHAPES, WRITERS, Said, swift, trl, trl_plain, write_json, write_lines

PAIRS = [
    Said("a.mp4", "what is it?", "a cat", "a dog"),
    Said("sub/b.mp4", "where?", "on the mat", "in the\nhouse"),
    Said("a.mp4", "and then?", "it sleeps", "nothing", turns=(("what is it?", "a cat"), ("a big one?", "no"))),
    Said("a.mp4", "说什么?", "没有", "不知道", system="You are brief."),
    Said("a.mp4", "who?", "nobody", "a man", turns=(("what?", "a cat"),), system="You are brief."),
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a.mp4", "sub/b.mp4"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(name.encode())
    return tmp_path


def told(given: GivenPairs) -> list[tuple[Any, ...]]:
    """Pairs without their places."""
    return [(pair.clip, pair.prompt, pair.chosen, pair.rejected) for pair in given.pairs]


@pytest.mark.parametrize("suffix", WRITERS)
@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_in_every_kind_of_file_gives_the_same_pairs(folder: Path, shape: str, suffix: str) -> None:
    given = read_given_pairs(str(WRITERS[suffix](folder / f"pairs{suffix}", [SHAPES[shape](pair) for pair in PAIRS])))
    assert told(given) == told(read_given_pairs(str(write_lines(folder / "swift.jsonl", [swift(p) for p in PAIRS]))))
    project = shape.split(",")[0]
    assert given.shapes == {project: 5}
    assert given.line() == f"{given.source}: 5 pairs about 2 clips (5 as {project} writes them)"
    first, second, turns, system, both = given.pairs
    assert (first.clip.id, first.clip.path, first.prompt) == ("a.mp4", folder / "a.mp4", "what is it?")
    assert (second.clip.id, second.rejected) == ("sub/b.mp4", "in the\nhouse")
    assert turns.prompt == (
        Message("user", "what is it?", 0),
        Message("assistant", "a cat"),
        Message("user", "a big one?"),
        Message("assistant", "no"),
        Message("user", "and then?"),
    )
    assert turns.clip is first.clip, "what follows the video doesn't change what comes before it"
    assert system.clip is both.clip
    assert isinstance(system.clip, OpenedClip)
    assert (system.clip.id, system.clip.path) == ("a.mp4 (2)", folder / "a.mp4")


@pytest.mark.parametrize("suffix", WRITERS)
def test_plain_rows_of_trl_are_the_same_pairs_as_conversations(folder: Path, suffix: str) -> None:
    plain = WRITERS[suffix](folder / f"plain{suffix}", [trl_plain(pair) for pair in PAIRS[:2]])
    conversations = write_lines(folder / "turns.jsonl", [trl(pair) for pair in PAIRS[:2]])
    assert told(read_given_pairs(str(plain))) == told(read_given_pairs(str(conversations)))


def test_a_file_may_mix_shapes(folder: Path) -> None:
    rows = [SHAPES[shape](pair) for shape, pair in zip(SHAPES, PAIRS, strict=False)]
    given = read_given_pairs(str(write_lines(folder / "pairs.jsonl", rows)))
    assert given.shapes == {"TRL": 2, "ms-swift": 2, "LLaMA-Factory": 1}
    assert told(given) == told(read_given_pairs(str(write_lines(folder / "swift.jsonl", [swift(p) for p in PAIRS]))))


def own_pair(video: str, prompt: Any = "where?") -> PreferencePair:
    return PreferencePair("c", video, 0, "spatial", "where?", prompt, "here", "there", "", -1.0, -2.0, 3, "v")


def test_rounds_of_a_run_are_read_by_folder_or_by_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    turns = (Message("system", "Be brief."), Message("user", "where?", 0))
    run = folder / "run"
    (run / "pairs").mkdir(parents=True)
    for number, pair in enumerate((own_pair("a.mp4"), own_pair(str(folder / "sub/b.mp4"), turns))):
        (run / "pairs" / f"round_{number:02d}.jsonl").write_bytes(json_line(pair_record(pair)))
        (run / "pairs" / f"round_{number:02d}.progress.json").write_text("{}")
    monkeypatch.chdir(folder)  # the run was started here, with a relative path
    for source in (run, run / "pairs", run / "pairs" / "round_*.jsonl"):
        given = read_given_pairs(str(source))
        assert given.shapes == {"savi": 2}
        assert [pair.prompt for pair in given.pairs] == ["where?", turns]
        assert [pair.clip.path.resolve() for pair in given.pairs] == [folder / "a.mp4", folder / "sub/b.mp4"]


def test_videos_are_found_from_the_files_own_folder_or_from_another_one(folder: Path) -> None:
    for name in ("one", "two"):
        (folder / name).mkdir()
    write_lines(folder / "one" / "pairs.jsonl", [trl_plain(Said("../a.mp4", "q", "a", "b"))])
    write_lines(folder / "two" / "pairs.jsonl", [trl_plain(Said(str(folder / "a.mp4"), "q", "c", "d"))])
    given = read_given_pairs(str(folder / "*" / "pairs.jsonl"))
    assert len(given.clips) == 1, "a clip is one clip, however its path is written"
    with pytest.raises(SaviError, match=r"line 1: there is no file at .*one/a.mp4"):
        read_given_pairs(str(write_lines(folder / "one" / "pairs.jsonl", [trl_plain(Said("a.mp4", "q", "a", "b"))])))
    assert read_given_pairs(str(folder / "one" / "pairs.jsonl"), str(folder)).pairs[0].clip.path == folder / "a.mp4"
    with pytest.raises(SaviError, match=r"data\.videos: nowhere is no folder"):
        read_given_pairs(str(folder / "one" / "pairs.jsonl"), "nowhere")


GOOD = Said("a.mp4", "what is it?", "a cat", "a dog")
BAD: dict[str, tuple[Any, str]] = {
    "no JSON": (b"{'prompt'", "not JSON"),
    "no object": ("text", "it is no object with fields"),
    "no video": ({**trl_plain(GOOD), "video": None}, "it has no video"),
    "missing video": ({**trl_plain(GOOD), "video": "c.mp4"}, "there is no file at"),
    "address": ({**trl_plain(GOOD), "video": "https://example.org/a.mp4"}, "is an address"),
    "frames": ({**swift(GOOD), "videos": [["1.png", "2.png"]]}, "its video is no path"),
    "two videos": ({**swift(GOOD), "videos": ["a.mp4", "sub/b.mp4"]}, "it has 2 videos"),
    "two places": (
        {**swift(GOOD), "messages": [{"role": "user", "content": "<video><video>"}, trl(GOOD)["chosen"][0]]},
        "more than one place for a video",
    ),
    "no image": ({**swift(GOOD), "videos": [], "images": ["a.mp4"]}, "it has a place for a video and no such file"),
    "missing image": ({**trl(GOOD), "videos": [], "images": ["a.png"]}, "there is no file at"),
    "no picture": ({**trl(GOOD), "videos": [], "images": ["a.mp4"]}, "a.mp4 is no image that can be read"),
    "video and images": ({**trl(GOOD), "images": ["a.png"]}, "it has a video and images"),
    "image tag": ({**trl_plain(GOOD), "prompt": "<image>what is it?"}, "it has a place for an image and no such file"),
    "image bytes": ({**trl_plain(GOOD), "video": None, "image": {"bytes": "AAAA"}}, "it holds the bytes of its image"),
    "too few places": (
        {
            **trl(GOOD),
            "videos": [],
            "images": ["a", "b", "c"],
            "prompt": "<image><image>q",
            "chosen": "a",
            "rejected": "b",
        },
        "it has 2 places for 3 images",
    ),
    "text between": (
        {"prompt": "<image>or<image>?", "images": ["a", "b"], "chosen": "a", "rejected": "b"},
        "it has text between its images",
    ),
    "two rejected videos": ({**swift(GOOD), "rejected_videos": ["sub/b.mp4", "a.mp4"]}, "it has 2 rejected videos"),
    "missing rejected video": ({**swift(GOOD), "rejected_videos": ["c.mp4"]}, "there is no file at"),
    "rejected image": ({**swift(GOOD), "rejected_images": ["a.png"]}, "must both be about a video"),
    "same video": (
        {**swift(GOOD), "rejected_videos": ["./a.mp4"], "rejected_response": "a cat"},
        "chosen and rejected are the same",
    ),
    "audio": ({**swift(GOOD), "audios": ["a.wav"]}, "it has audios"),
    "no difference": ({**trl_plain(GOOD), "rejected": " a cat\n"}, "chosen and rejected are the same"),
    "empty": ({**trl_plain(GOOD), "rejected": ""}, "the rejected response is empty"),
    "null": ({**trl_plain(GOOD), "rejected": None}, "the rejected response is empty"),
    "no question": ({**trl_plain(GOOD), "prompt": ""}, "it asks nothing"),
    "other fields": ({"video": "a.mp4", "text": "a cat"}, "its fields (text, video) are of no known shape"),
    "single response": ({"messages": trl(GOOD)["chosen"], "label": True}, "a single response with a label"),
    "a tool": ({**trl(GOOD), "prompt": [{"role": "tool", "content": "x"}]}, "a message of the role 'tool'"),
    "no user": ({**trl(GOOD), "prompt": [{"role": "system", "content": "x"}]}, "isn't the user's"),
    "other context": (
        {**swift(GOOD), "rejected_response": None, "rejected_messages": [{"role": "user", "content": "other"}] * 2},
        "messages and rejected_messages differ",
    ),
    "text and list": ({**trl(GOOD), "chosen": "a cat"}, "must both be texts"),
    "bytes": ({**trl_plain(GOOD), "video": {"bytes": "AAAA"}}, "it holds the bytes of its video"),
}


def test_every_kind_of_bad_row_is_named_with_its_line_and_reason_and_no_good_one_is_lost(folder: Path) -> None:
    lines = [json.dumps(trl_plain(GOOD)).encode()]
    for bad, _ in BAD.values():
        lines += [bad if isinstance(bad, bytes) else json.dumps(bad).encode(), b"", json.dumps(swift(GOOD)).encode()]
    file = folder / "pairs.jsonl"
    file.write_bytes(b"\n".join(lines))
    given = read_given_pairs(str(file))
    assert len(given.pairs) == 1 + len(BAD)
    assert [row.place for row in given.refused] == [f"{file}, line {2 + 3 * number}" for number in range(len(BAD))]
    for row, (name, (_, reason)) in zip(given.refused, BAD.items(), strict=True):
        assert reason in row.reason, name
    assert given.line().endswith(f"; {len(BAD)} rows can't be used")


def test_rows_of_tables_and_lists_are_named_too(folder: Path) -> None:
    table = folder / "pairs.csv"
    table.write_text("prompt,chosen,rejected,video\nq,a,b,a.mp4\nq,a,a,a.mp4\nq,a,b,a.mp4,more\n")
    given = read_given_pairs(str(table))
    assert [(row.place, row.reason) for row in given.refused] == [
        (f"{table}, line 3", "chosen and rejected are the same"),
        (f"{table}, line 4", "it has more cells than the table has columns"),
    ]
    entries = write_json(folder / "pairs.json", [trl_plain(GOOD), {}])
    assert [row.place for row in read_given_pairs(str(entries)).refused] == [f"{entries}, entry 2"]
    entries.write_text(json.dumps(trl_plain(GOOD)) + "\n" + json.dumps(trl(GOOD)) + "\n")
    assert len(read_given_pairs(str(entries)).pairs) == 2, "JSON lines under another suffix"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("pairs.jsonl", b"", "has no pair to learn from"),
        ("pairs.jsonl", b'{"a": 1}\n', r"1 rows can't be used; .*line 1: its fields \(a\)"),
        ("pairs.json", b"[{]", "is not JSON"),
        ("pairs.json", b"3", "neither a list nor an object"),
        ("pairs.csv", b"\xff\xfe\x00", "can't be read"),
        ("pairs.parquet", b"no parquet", "is not Parquet"),
        ("pairs.txt", b"", "no known suffix"),
    ],
)
def test_a_source_without_a_pair_is_refused(folder: Path, name: str, content: bytes, message: str) -> None:
    (folder / name).write_bytes(content)
    with pytest.raises(SaviError, match=message):
        read_given_pairs(str(folder / name))


def test_a_source_that_is_nowhere_is_refused(folder: Path) -> None:
    for source in (folder / "none.jsonl", folder / "*.tsv", folder / "sub"):
        with pytest.raises(SaviError, match=r"data\.pairs: .*no (such )?file"):
            read_given_pairs(str(source))


def test_a_name_of_the_hub_is_loaded_by_datasets(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def load_dataset(name: str, split: str) -> datasets.Dataset:
        asked.append((name, split))
        return datasets.Dataset.from_list([trl(pair) for pair in PAIRS])

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    given = read_given_pairs("owner/pairs", str(folder))
    assert told(read_given_pairs("owner/pairs:test", str(folder))) == told(given)
    assert asked == [("owner/pairs", "train"), ("owner/pairs", "test")]
    assert told(given) == told(read_given_pairs(str(write_lines(folder / "p.jsonl", [swift(p) for p in PAIRS]))))
    assert given.home is None
    with pytest.raises(SaviError, match=r"row 1: a.mp4 is a relative path: data.videos says"):
        read_given_pairs("owner/pairs")

    def offline(*_: Any, **__: Any) -> None:
        raise ConnectionError("no network\nmore")

    monkeypatch.setattr(datasets, "load_dataset", offline)
    with pytest.raises(SaviError, match=r"owner/pairs is no file, and can't be had from the hub: no network$"):
        read_given_pairs("owner/pairs")


@pytest.mark.parametrize("missing", ["datasets", "pyarrow"])
def test_what_isnt_installed_is_named(folder: Path, missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    WRITERS[".parquet"](folder / "pairs.parquet", [trl_plain(GOOD)])
    real = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.split(".")[0] == missing:
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(SaviError, match=f"pip install {missing}"):
        read_given_pairs("owner/pairs" if missing == "datasets" else str(folder / "pairs.parquet"))


def test_each_example_of_the_page_is_a_pair_in_the_shape_that_it_is_said_to_have(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "own_pairs.md").read_text(encoding="utf-8")
    examples = [json.loads(example) for example in re.findall(r"```json\n(.*?)```", page, re.DOTALL)]
    for name in ("a.mp4", "b.mp4"):
        (tmp_path / name).write_bytes(name.encode())
    for name in ("before.png", "after.png"):
        Image.new("RGB", (8, 8)).save(tmp_path / name)
    given = read_given_pairs(str(write_lines(tmp_path / "pairs.jsonl", examples)), cache=tmp_path)
    assert given.refused == ()
    assert given.shapes == {"TRL": 3, "ms-swift": 2, "LLaMA-Factory": 1, "savi": 1}
    assert {(pair.chosen, pair.rejected) for pair in given.pairs[:5]} == {("He is juggling.", "He is running.")}
    images, two_clips = given.pairs[5:]
    assert (images.clip.path.suffix, images.prompt) == (".images", "What has changed?")
    assert [clip.path.name for clip in two_clips.clips] == ["a.mp4", "b.mp4"]
    assert [len(pair.prompt) for pair in given.pairs if not isinstance(pair.prompt, str)] == [2, 3]
