"""A round that several processes build, each in a part of its own: one process's files, whatever kills them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import permutations
from pathlib import Path

import pytest

from savi.critique.clip_results import ClipResult, make_batch
from savi.critique.parts import Part, part_paths
from savi.critique.store import PairStore
from savi.types import SaviError
from tests.critique.test_store import AWKWARD, KilledError, files, fill, make_result

BATCHES = [[make_result(2 * number, AWKWARD), make_result(2 * number + 1)] for number in range(5)]


def build(folder: Path, processes: int, order: Sequence[int] = ()) -> PairStore:
    """As `processes` build it that take turns. order: of the batches, instead. One process writes no part."""
    store = PairStore(folder, 0, "key")
    built = {*range(store.batches_done), *store.waiting}
    parts = [Part(folder, 0, rank) for rank in range(processes)] if processes > 1 else []
    todo = [number for number in order or range(len(BATCHES)) if number not in built]
    for place, number in enumerate(todo):
        if parts:
            parts[place % processes].add(number, make_batch(BATCHES[number]))
            store.merge()
        else:
            store.commit(BATCHES[number])
    store.merge()
    store.finish()
    return store


@pytest.fixture
def whole(tmp_path: Path) -> dict[str, bytes]:
    fill(tmp_path / "whole", BATCHES).finish()
    return files(tmp_path / "whole")


def test_whatever_the_order_of_the_batches_the_files_are_those_of_one_process(
    whole: dict[str, bytes], tmp_path: Path
) -> None:
    for index, order in enumerate(permutations(range(4))):
        build(tmp_path / str(index), 3, [*order, 4])
        assert files(tmp_path / str(index)) == whole


def test_a_process_that_builds_nothing_leaves_nothing(whole: dict[str, bytes], tmp_path: Path) -> None:
    build(tmp_path / "run", 2)
    Part(tmp_path / "run", 0, 1)
    assert files(tmp_path / "run") == whole


def test_batches_behind_one_that_is_missing_wait_and_are_counted(tmp_path: Path) -> None:
    store, part = PairStore(tmp_path, 0, "key"), Part(tmp_path, 0, 1)
    for number in (1, 2):
        part.add(number, make_batch(BATCHES[number]))
    store.merge()
    assert (store.batches_done, set(store.waiting), store.clips_kept) == (0, {1, 2}, 4)
    assert store.counts()["pairs"] == sum(len(one.pairs) for number in (1, 2) for one in BATCHES[number])
    with pytest.raises(SaviError, match="batch 1 is missing"):
        store.finish()
    store.commit(BATCHES[0])
    assert (store.batches_done, store.clips_kept, store.clips_done) == (3, 6, 6)


@pytest.mark.parametrize(("before", "after"), [(3, 1), (2, 3)])
def test_a_kill_at_every_system_call_leaves_the_same_round(
    before: int, after: int, whole: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All die at the n-th fsync, rename or removal, for every n. Then more or fewer processes resume."""
    budget = 0

    def dying(call: object) -> object:
        def spend(*given: object, **named: object) -> object:
            nonlocal budget
            budget -= 1
            if budget == 0:
                raise KilledError
            return call(*given, **named)  # type: ignore[operator]  # a function

        return spend

    deaths = 0
    for moment in range(1, 200):
        folder = tmp_path / f"killed_{moment}"
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", dying(os.fsync))
            patch.setattr(Path, "replace", dying(Path.replace))
            patch.setattr(Path, "unlink", dying(Path.unlink))
            budget = moment
            try:
                build(folder, before, [3, 0, 1, 4, 2])
            except KilledError:
                deaths += 1
        if budget > 0:
            break
        if PairStore(folder, 0, "key").complete:
            assert files(folder) == whole
        else:
            build(folder, after)
        assert files(folder) == whole, f"killed at call {moment}"
    assert deaths > 25, "the test must have met every write"


def test_a_part_that_is_cut_anywhere_loses_its_last_batch_alone(whole: dict[str, bytes], tmp_path: Path) -> None:
    first = tmp_path / "first"
    PairStore(first, 0, "key")
    part = Part(first, 0, 0)
    part.add(1, make_batch(BATCHES[1]))
    (path,) = part_paths(first / "pairs" / "round_00.jsonl")
    one = path.stat().st_size
    part.add(2, make_batch(BATCHES[2]))
    data = path.read_bytes()
    for number, size in enumerate(range(one, len(data), 97)):
        folder = tmp_path / f"cut_{number}"
        store = PairStore(folder, 0, "key")
        for rest in (data[:size], data[:size] + bytes(len(data) - size)):  # a power cut may leave zeros
            (folder / "pairs" / path.name).write_bytes(rest)
            store = PairStore(folder, 0, "key")
            assert set(store.waiting) == {1}
        build(folder, 2)
        assert files(folder) == whole


def test_parts_without_the_rounds_progress_are_not_overwritten(tmp_path: Path) -> None:
    store, part = PairStore(tmp_path, 0, "key"), Part(tmp_path, 0, 1)
    part.add(1, make_batch(BATCHES[1]))
    store.progress_path.unlink()
    with pytest.raises(SaviError, match=r"round_00\.part_01: its round_00\.progress\.json is missing"):
        PairStore(tmp_path, 0, "key")


def test_a_batch_of_clips_that_could_not_be_used_is_kept_too(tmp_path: Path) -> None:
    bad = ClipResult(make_result(0).clip, rejected="damaged")
    store = PairStore(tmp_path, 0, "key")
    Part(tmp_path, 0, 0).add(0, make_batch([bad]))
    store.merge()
    assert (store.clips_done, store.counts()["undecodable"]) == (1, 1)
