"""A round on disk: readable by others, and the same whether or not it was interrupted."""

from __future__ import annotations

import json
import math
import os
import pickle
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import pytest
from datasets import load_dataset
from hypothesis import given, settings
from hypothesis import strategies as st

from savi.conversations import Message
from savi.critique import round_files
from savi.critique.clip_results import ClipResult
from savi.critique.pairs import json_line, pair_record, read_pairs, stored_pairs
from savi.critique.store import PairStore
from savi.types import ASPECTS, Aspect, Clip, PreferencePair, SaviError, Trace, Turn, derive_seed

AWKWARD = 'größer\nthan "that"\t\u2028 \x85 \x0b 红色 \\ \x00 🎈\r\nend'


def make_pair(clip: str, aspect: Aspect = "spatial", chosen: str = "It moves right.") -> PreferencePair:
    return PreferencePair(
        clip=clip,
        video=f"clips/{clip}.mp4",
        round=0,
        aspect=aspect,
        question="Which way does it move?",
        prompt="Which way does it move?\nAnswer from the video.",
        chosen=chosen,
        rejected="It moves left.",
        critique="It moves the other way.",
        reference_chosen_logp=-7.0,
        reference_rejected_logp=-6.123456789012345,
        seed=derive_seed(1, 0, clip),
        prompt_version="test-1",
    )


def make_trace(clip: str, outcome: str, aspect: Aspect = "spatial") -> Trace:
    turn = Turn("question", "ask", f"1. {AWKWARD}", 3, -1.5, True)
    return Trace(clip, 0, aspect, "Which way does it move?", (turn,), outcome)


def make_result(index: int, text: str = "It moves right.") -> ClipResult:
    """Clips in turn: two pairs of both aspects, nothing but refusals, not decodable."""
    name = f"clip_{index}"
    clip = Clip(name, Path(f"clips/{name}.mp4"))
    if index % 3 == 2:
        return ClipResult(clip, rejected="no video stream")
    refused = make_trace(name, "unchanged revision")
    if index % 3 == 1:
        return ClipResult(clip, traces=(refused, make_trace(name, "unparsable", "temporal")))
    pairs = tuple(make_pair(name, aspect, text) for aspect in ASPECTS)
    return ClipResult(clip, pairs, (*(make_trace(name, "pair", aspect) for aspect in ASPECTS), refused))


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def fill(folder: Path, batches: Sequence[Sequence[ClipResult]]) -> PairStore:
    store = PairStore(folder, 0, "key")
    for batch in batches:
        store.commit(batch)
    return store


BATCHES = [[make_result(0, AWKWARD), make_result(1)], [make_result(2), make_result(3)], [make_result(4)]]


def test_pairs_come_back_word_for_word_and_in_order(tmp_path: Path) -> None:
    store = fill(tmp_path, BATCHES)
    expected = [pair for batch in BATCHES for result in batch for pair in result.pairs]
    assert len(expected) == 4
    assert expected[0].chosen == AWKWARD
    stored, by_clip = store.pairs()
    assert list(stored) == expected
    assert [stored[0], stored[-1], *stored[1:3]] == [expected[0], expected[-1], *expected[1:3]]
    assert by_clip == Counter(pair.clip for pair in expected)
    assert read_pairs(tmp_path / "pairs" / "round_00.jsonl") == expected


def test_a_pair_is_one_line_with_exactly_its_fields(tmp_path: Path) -> None:
    fill(tmp_path, BATCHES)
    lines = (tmp_path / "pairs" / "round_00.jsonl").read_bytes().split(b"\n")
    assert len(lines) == 4 + 1
    for line in lines[:-1]:
        assert list(json.loads(line)) == [field.name for field in fields(PreferencePair)]
    assert "größer".encode() in lines[0], "a person reads these files: no escapes where none are needed"


def test_datasets_reads_the_pairs_as_a_preference_dataset(tmp_path: Path) -> None:
    store = fill(tmp_path / "run", BATCHES)
    dataset = load_dataset(
        "json",
        data_files=str(tmp_path / "run" / "pairs" / "round_00.jsonl"),
        split="train",
        cache_dir=str(tmp_path / "cache"),
    )
    assert {"prompt", "chosen", "rejected"} <= set(dataset.column_names)
    assert [PreferencePair(**row) for row in dataset] == list(store.pairs()[0])


def test_traces_hold_every_turn_and_every_rejection(tmp_path: Path) -> None:
    store = fill(tmp_path, BATCHES)
    lines = (tmp_path / "traces" / "round_00.jsonl").read_bytes().split(b"\n")[:-1]
    records = [json.loads(line) for line in lines]
    results = [result for batch in BATCHES for result in batch]
    assert [record["clip"] for record in records] == [result.clip.id for result in results]
    assert records[2] == {
        "clip": "clip_2",
        "video": "clips/clip_2.mp4",
        "rejected": "no video stream",
        "traces": [],
    }
    as_json = json.loads(json.dumps([asdict(trace) for trace in results[0].traces]))
    # An empty thought is left out: few models think.
    assert [[turn.pop("thought") for turn in trace["turns"]] for trace in as_json] == [[""]] * 3
    assert records[0]["traces"] == as_json
    assert records[0]["rejected"] is None
    assert store.traces().rejected == {"clips/clip_2.mp4": "no video stream"}


def test_a_rounds_summary_reads_no_trace_but_those_of_clips_without_frames(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 100,000 clips they are gigabytes."""
    store = fill(tmp_path, BATCHES)
    read: list[str] = []

    def count(place: str, line: bytes) -> Any:
        read.append(place)
        return json.loads(line)

    monkeypatch.setattr(round_files, "to_record", count)
    summary = store.traces()
    assert read == [f"{store.traces_path}, line 3"]
    assert summary.undecodable == {"clip_2": "no video stream"}
    turns = [turn for batch in BATCHES for one in batch for trace in one.traces for turn in trace.turns]
    names = Counter(turn.name for turn in turns)
    cut = Counter(turn.name for turn in turns if not turn.finished)
    assert summary.unfinished == {name: cut[name] / names[name] for name in names}


def test_a_round_that_an_earlier_version_began_is_counted_by_its_traces(tmp_path: Path) -> None:
    summary = fill(tmp_path, BATCHES).traces()
    progress = tmp_path / "pairs" / "round_00.progress.json"
    kept = json.loads(progress.read_text())
    progress.write_text(json.dumps({name: kept[name] for name in kept.keys() - {"replies", "cut"}}))
    store = PairStore(tmp_path, 0, "key")
    assert store.traces() == summary
    store.commit([make_result(5)])
    assert store.traces().unfinished


def test_what_another_process_gets_of_the_pairs_holds_none_of_them(tmp_path: Path) -> None:
    fill(tmp_path, [[make_result(clip) for clip in (*range(2), *range(3, 60))]])
    path = tmp_path / "pairs" / "round_00.jsonl"
    pairs, by_clip = stored_pairs(path)
    sent = pickle.dumps((pairs, by_clip))
    assert list(pickle.loads(sent)[0]) == read_pairs(path)  # noqa: S301 (our own)
    assert len(sent) < path.stat().st_size / 10
    assert pairs[0].chosen.encode() not in sent
    with pytest.raises(IndexError):
        pairs[len(pairs)]


def test_pairs_of_a_clip_with_others_between_them_are_refused(tmp_path: Path) -> None:
    """Steps find the pairs of a clip by how many each clip has: they would give it those of another one."""
    fill(tmp_path, [[make_result(0), make_result(3)]])
    path = tmp_path / "pairs" / "round_00.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines, lines[0]]))
    with pytest.raises(SaviError, match=rf"round_00\.jsonl, line {len(lines) + 1}: the pairs of a clip must follow"):
        stored_pairs(path)


def test_a_pair_whose_line_is_another_one_by_now_names_file_and_line(tmp_path: Path) -> None:
    store = fill(tmp_path, BATCHES)
    pairs, _ = store.pairs()
    path = tmp_path / "pairs" / "round_00.jsonl"
    path.write_bytes(b"x" + path.read_bytes())
    with pytest.raises(SaviError, match=r"round_00\.jsonl, line 2: changed"):
        list(pairs[1:])


def test_a_thought_is_kept_with_its_turn(tmp_path: Path) -> None:
    result = make_result(1)
    (turn,) = result.traces[0].turns
    traces = (replace(result.traces[0], turns=(replace(turn, thought="First the ball."),)),)
    fill(tmp_path, [[replace(result, traces=traces)]])
    record = json.loads((tmp_path / "traces" / "round_00.jsonl").read_bytes())
    assert record["traces"][0]["turns"][0]["thought"] == "First the ball."


def test_counts_by_filter_and_aspect_survive_reopening(tmp_path: Path) -> None:
    fill(tmp_path, BATCHES)
    expected = {
        "pairs": 4,
        "pairs/spatial": 2,
        "pairs/temporal": 2,
        "unchanged revision": 4,
        "unparsable": 2,
        "undecodable": 1,
    }
    assert PairStore(tmp_path, 0, "key").counts() == expected


def test_an_empty_round_counts_no_pairs(tmp_path: Path) -> None:
    assert PairStore(tmp_path, 0, "key").counts() == {"pairs": 0, "pairs/spatial": 0, "pairs/temporal": 0}
    assert not PairStore(tmp_path, 0, "key").pairs()[0]


def test_progress_and_completion_survive_reopening(tmp_path: Path) -> None:
    fill(tmp_path, BATCHES[:2])
    store = PairStore(tmp_path, 0, "key")
    assert (store.clips_done, store.complete) == (4, False)
    store.commit(BATCHES[2])
    store.finish()
    again = PairStore(tmp_path, 0, "key")
    assert (again.clips_done, again.complete) == (5, True)
    with pytest.raises(ValueError, match="complete"):
        again.commit(BATCHES[0])


def test_rounds_are_kept_apart(tmp_path: Path) -> None:
    PairStore(tmp_path, 0, "key").commit(BATCHES[0])
    other = PairStore(tmp_path, 1, "another key")
    assert (other.clips_done, list(other.pairs()[0])) == (0, [])
    assert len(PairStore(tmp_path, 0, "key").pairs()[0]) == 2


def cut_or_litter(path: Path, committed: int, written: int, extra: bytes) -> None:
    """Leave a file as a kill could: the committed bytes, and some part of what was being appended."""
    with path.open("r+b") as file:
        file.truncate(committed)
        file.seek(committed)
        file.write(extra[:written])


@settings(max_examples=40, deadline=None)
@given(
    texts=st.lists(st.text(max_size=12), min_size=1, max_size=7),
    batch_size=st.integers(1, 3),
    data=st.data(),
)
def test_a_kill_anywhere_leaves_the_same_round(texts: list[str], batch_size: int, data: st.DataObject) -> None:
    """Both files are cut at any byte of the batch under way, then the store is reopened and finished."""
    results = [make_result(index, text) for index, text in enumerate(texts)]
    batches = [results[start : start + batch_size] for start in range(0, len(results), batch_size)]
    killed_at = data.draw(st.integers(0, len(batches) - 1), label="batch under way")
    with tempfile.TemporaryDirectory() as scratch:
        undisturbed, interrupted, ahead = Path(scratch, "a"), Path(scratch, "b"), Path(scratch, "c")
        fill(undisturbed, batches).finish()
        fill(interrupted, batches[:killed_at])
        fill(ahead, batches[: killed_at + 1])
        for name in ("pairs/round_00.jsonl", "traces/round_00.jsonl"):
            committed = (interrupted / name).stat().st_size
            extra = (ahead / name).read_bytes()[committed:]
            cut_or_litter(interrupted / name, committed, data.draw(st.integers(0, len(extra)), label=name), extra)
        store = PairStore(interrupted, 0, "key")
        assert store.clips_done == len(results[: killed_at * batch_size])
        assert len(store.pairs()[0]) == store.counts()["pairs"]
        for batch in batches[killed_at:]:
            store.commit(batch)
        store.finish()
        assert files(interrupted) == files(undisturbed)


class KilledError(BaseException):
    """Stands in for SIGKILL: nothing may catch it."""


def test_a_kill_at_every_system_call_leaves_the_same_round(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process dies at the n-th fsync or rename, for every n, with all writes so far on disk."""
    fill(tmp_path / "whole", BATCHES).finish()
    expected = files(tmp_path / "whole")
    real_fsync, real_replace = os.fsync, Path.replace
    budget = 0

    def spend() -> None:
        nonlocal budget
        budget -= 1
        if budget == 0:
            raise KilledError

    def dying_fsync(file: int) -> None:
        spend()
        real_fsync(file)

    def dying_replace(self: Path, target: Path) -> Path:
        spend()
        return real_replace(self, target)

    deaths = 0
    for moment in range(1, 100):
        folder = tmp_path / f"killed_{moment}"
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", dying_fsync)
            patch.setattr(Path, "replace", dying_replace)
            budget = moment
            try:
                fill(folder, BATCHES).finish()
            except KilledError:
                deaths += 1
        if budget > 0:
            break
        store = PairStore(folder, 0, "key")
        done = store.clips_done
        for batch in BATCHES[[0, 2, 4, 5].index(done) :]:
            store.commit(batch)
        store.finish()
        assert files(folder) == expected, f"killed at call {moment}"
    assert deaths >= 20, "the test must have met every write of three batches"


def test_a_failed_commit_leaves_nothing_behind_the_next_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path / "whole", BATCHES)
    store = fill(tmp_path / "tried", BATCHES[:1])
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError("no space left")))
        with pytest.raises(OSError, match="no space left"):
            store.commit([make_result(0, "a longer batch than any that follows " * 99)])
    for batch in BATCHES[1:]:
        store.commit(batch)
    assert files(tmp_path / "tried") == files(tmp_path / "whole")


def message_of(folder: Path, key: str = "key") -> str:
    with pytest.raises(SaviError) as error:
        PairStore(folder, 0, key)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_another_key_is_refused_with_the_way_out(tmp_path: Path) -> None:
    fill(tmp_path, BATCHES)
    before = files(tmp_path)
    message = message_of(tmp_path, "other seed")
    assert "other settings or clips" in message
    assert "start a new run, or remove round_00.*" in message
    assert files(tmp_path) == before


def test_a_lost_progress_file_does_not_cost_the_pairs(tmp_path: Path) -> None:
    fill(tmp_path, BATCHES)
    (tmp_path / "pairs" / "round_00.progress.json").unlink()
    before = files(tmp_path)
    assert "round_00.progress.json is missing" in message_of(tmp_path)
    assert files(tmp_path) == before


@pytest.mark.parametrize("content", ["", "{", "[]", '{"key": "key"}'])
def test_a_damaged_progress_file_is_named(tmp_path: Path, content: str) -> None:
    fill(tmp_path, BATCHES)
    (tmp_path / "pairs" / "round_00.progress.json").write_text(content)
    assert "round_00.progress.json: damaged" in message_of(tmp_path)


@pytest.mark.parametrize("name", ["pairs", "traces"])
def test_a_file_shorter_than_committed_is_refused(tmp_path: Path, name: str) -> None:
    fill(tmp_path, BATCHES)
    path = tmp_path / name / "round_00.jsonl"
    path.write_bytes(path.read_bytes()[:-1])
    assert "changed since it was written" in message_of(tmp_path)


def test_a_complete_round_that_was_edited_is_refused_not_cut(tmp_path: Path) -> None:
    fill(tmp_path, BATCHES).finish()
    path = tmp_path / "pairs" / "round_00.jsonl"
    path.write_bytes(path.read_bytes() + b"more\n")
    assert "changed since it was written" in message_of(tmp_path)
    assert path.read_bytes().endswith(b"more\n")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"chosen": 3}, "chosen must be of type str, not 3"),
        ({"seed": "x"}, "seed must be of type int, not 'x'"),
        ({"reference_chosen_logp": math.inf}, "reference_chosen_logp must be finite, not inf"),
        ({"reference_chosen_logp": math.nan}, "reference_chosen_logp must be finite, not nan"),
        ({"aspect": "causal"}, "aspect must be one of ['spatial', 'temporal', 'other'], not 'causal'"),
        ({"prompt": []}, "prompt must be a text or a list of messages, not [] (a conversation shows one video)"),
        ({"note": "hello"}, "missing or unknown fields ['note']"),
    ],
)
def test_a_damaged_pair_is_named_by_file_and_line(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    path = tmp_path / "pairs.jsonl"
    good = json.dumps(asdict(make_pair("a")))
    path.write_text("\n".join([good, json.dumps(asdict(make_pair("b")) | change), good, ""]))
    with pytest.raises(SaviError) as error:
        read_pairs(path)
    assert str(error.value) == f"{path}, line 2: {message}"


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (b'{"clip": "a"', "line 2: not readable"),
        (b"\xff\xfe", "line 2: not readable"),
        (b"", "line 2: not readable"),
        (b"[1]", "line 2: not an object"),
    ],
)
def test_a_damaged_line_is_named_by_file_and_line(tmp_path: Path, damage: bytes, message: str) -> None:
    path = tmp_path / "pairs.jsonl"
    good = json.dumps(asdict(make_pair("a"))).encode()
    path.write_bytes(b"\n".join([good, damage, good, b""]))
    with pytest.raises(SaviError, match=message):
        read_pairs(path)


def test_a_line_without_its_end_is_not_dropped_silently(tmp_path: Path) -> None:
    path = tmp_path / "pairs.jsonl"
    path.write_text(json.dumps(asdict(make_pair("a"))))
    with pytest.raises(SaviError, match="line 1: cut off"):
        read_pairs(path)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("field", ["reference_chosen_logp", "reference_rejected_logp"])
def test_logps_that_are_no_numbers_are_refused(field: str, value: float) -> None:
    result = make_result(0)
    pairs = (result.pairs[0], replace(result.pairs[1], **{field: value}))
    with pytest.raises(SaviError, match=f"clip clip_0: the model gives a log-probability of {value}"):
        replace(result, pairs=pairs)


def test_a_turn_whose_logp_is_no_number_is_refused() -> None:
    trace = make_trace("clip_1", "unparsable")
    bad = replace(trace, turns=(replace(trace.turns[0], logp=math.nan),))
    with pytest.raises(SaviError, match="clip clip_1: the model gives a log-probability of nan"):
        replace(make_result(1), traces=(bad,))


def test_pairs_that_contradict_their_traces_are_refused() -> None:
    with pytest.raises(ValueError, match="clip_0: 1 pairs, but the outcomes"):
        replace(make_result(0), pairs=make_result(0).pairs[:1])


def test_a_lone_surrogate_does_not_spoil_the_file(tmp_path: Path) -> None:
    store = fill(tmp_path, [[make_result(0, "half \ud83d an emoji")]])
    assert store.pairs()[0][0].chosen == "half ? an emoji"


def test_a_conversation_comes_back_as_it_was(tmp_path: Path) -> None:
    turns = (Message("system", "Be brief."), Message("user", "look: what?", 6), Message("assistant", "a"))
    pair = replace(make_pair("a"), prompt=(*turns, Message("user", "where?")), aspect="other")
    path = tmp_path / "pairs.jsonl"
    path.write_bytes(json_line(pair_record(pair)))
    assert read_pairs(path) == [pair]
