"""Steps, passes and items: which pairs meet in which step."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from savi.critique.pairs import json_line, pair_record, stored_pairs
from savi.data.batches import ClipPairs, ItemDataset, StepDataset, cut_groups, group_by_clip, plan_steps
from savi.data.reading import FrameReader
from savi.evaluation.benchmarks.items import Item
from savi.types import Clip, Frames, PreferencePair
from savi.video.decode import UndecodableClip, decode
from tests.miniatures import noise_clip
from tests.real_videos import real_videos


def make_pair(clip: str, number: int = 0) -> PreferencePair:
    return PreferencePair(
        clip=clip,
        video=f"/v/{clip}.mp4",
        round=0,
        aspect="spatial",
        question=f"q{number}",
        prompt=f"q{number}",
        chosen="a",
        rejected="b",
        critique="c",
        reference_chosen_logp=-1.0,
        reference_rejected_logp=-2.0,
        seed=0,
        prompt_version="t",
    )


def make_groups(sizes: list[int]) -> list[ClipPairs]:
    pairs = [make_pair(f"c{clip}", number) for clip, size in enumerate(sizes) for number in range(size)]
    clips = [Clip(f"c{clip}", Path(f"c{clip}.mp4")) for clip in range(len(sizes))]
    return group_by_clip(pairs, Counter(pair.clip for pair in pairs), clips)


READS_NOTHING = FrameReader(4, 60.0, lambda _: True)


@given(st.lists(st.integers(1, 7), min_size=1, max_size=30), st.integers(1, 12), st.integers(1, 3), st.integers(0, 99))
def test_every_pass_sees_every_pair_once_and_no_clip_is_cut(
    sizes: list[int], pairs_per_step: int, epochs: int, seed: int
) -> None:
    groups = make_groups(sizes)
    steps = plan_steps(groups, pairs_per_step, epochs, seed)
    seen = Counter(group.clip.id for step in steps for group in step)
    assert seen == {group.clip.id: epochs for group in groups}
    for step in steps:
        assert len(step) == 1 or sum(len(group.pairs) for group in step) <= pairs_per_step


def test_order_hangs_on_the_seed_and_changes_with_the_pass() -> None:
    groups = make_groups([1] * 20)
    first = plan_steps(groups, 20, epochs=2, seed=0)
    assert first == plan_steps(groups, 20, epochs=2, seed=0)
    assert first != plan_steps(groups, 20, epochs=2, seed=1)
    assert first[0] != first[1]


def test_a_step_is_cut_into_passes_of_so_many_clips() -> None:
    groups = make_groups([2, 1, 3])
    step = StepDataset([groups], micro_batch_clips=2, read=READS_NOTHING)[0]
    assert [len(micro.clips) for micro in step.micro_batches] == [2, 1]
    assert [len(pairs) for micro in step.micro_batches for pairs in micro.pairs] == [2, 1, 3]
    assert step.pairs == 6


def test_items_of_a_clip_stay_together() -> None:
    clips = [noise_clip(i)[0] for i in range(3)]
    items = [Item("task", "q", ("a", "b"), "A", "world", f"{n}", clips[n % 3], "p") for n in range(7)]
    dataset = ItemDataset([items], 2, READS_NOTHING, lambda _: False)
    assert len(dataset) == 2
    assert [item.id for clip_items in dataset[0].items for item in clip_items] == ["0", "3", "6", "1", "4"]
    assert dataset[1].clips == (Clip("noise_2", Path("noise_2.mp4")),)


@given(
    st.lists(st.integers(1, 5), min_size=1, max_size=12),
    *(st.integers(1, most) for most in (5, 8, 3, 4)),
)
def test_processes_share_every_step_and_take_equally_many(
    sizes: list[int], most: int, pairs_per_step: int, micro_batch_clips: int, processes: int
) -> None:
    groups = cut_groups(make_groups(sizes), most)
    every = [pair for group in groups for pair in group.pairs]
    steps = plan_steps(groups, pairs_per_step, epochs=1, seed=0)
    shares = [StepDataset(steps, micro_batch_clips, READS_NOTHING, rank, processes) for rank in range(processes)]
    assert {len(share) for share in shares} == {len(steps)}
    for index, step in enumerate(steps):
        taken = [share[index] for share in shares]
        clips = [clip for part in taken for micro in part.micro_batches for clip in micro.clips]
        assert sorted(clip.id for clip in clips) == sorted(group.clip.id for group in step)
        assert {part.pairs for part in taken} == {sum(len(group.pairs) for group in step)}
        numbers = [number for rank in range(processes) for number in shares[0].pair_numbers(index, rank)]
        pairs = [pair for part in taken for micro in part.micro_batches for own in micro.pairs for pair in own]
        assert pairs == [every[number] for number in numbers]


def test_processes_share_the_items_in_equally_many_batches() -> None:
    clips = [noise_clip(i)[0] for i in range(3)]
    items = [Item("task", "q", ("a", "b"), "A", "world", f"{n}", clips[n % 3], "p") for n in range(6)]

    def taken(processes: int) -> list[list[list[str]]]:
        shares = [ItemDataset([items], 1, READS_NOTHING, lambda _: False, rank, processes) for rank in range(processes)]
        return [[[item.id for clip in batch.items for item in clip] for batch in share] for share in shares]

    assert taken(5) == [[["0", "3"]], [["1", "4"]], [["2", "5"]], [[]], [[]]]
    assert taken(2) == [[["0", "3"], ["2", "5"]], [["1", "4"], []]]


def test_a_file_that_went_bad_is_told_in_one_line_also_from_a_worker(tmp_path: Path) -> None:
    path = tmp_path / "gone.mp4"
    path.write_bytes(b"")
    group = ClipPairs(Clip("gone", path), (make_pair("gone"),))
    steps = StepDataset([[group]], 1, FrameReader(4, 10.0, lambda _: False, workers=1))
    (step,) = DataLoader(steps, batch_size=None, collate_fn=lambda step: step)
    with pytest.raises(UndecodableClip, match=r"^gone\.mp4: empty file$"):
        step.micro_batches[0].decoded()


class GrowingFolder:
    """What the model has kept, in a folder that another run adds a clip to whenever it is asked for."""

    def __init__(self, arrivals: list[str]) -> None:
        self.arrivals = arrivals
        self.kept: set[str] = set()

    def __call__(self, clip: Clip) -> bool:
        answer = clip.id in self.kept
        self.kept |= {self.arrivals.pop(0)} if self.arrivals and clip.id == "c" else set()
        return answer


def test_a_clip_that_another_run_keeps_meanwhile_shifts_no_frames() -> None:
    files = dict(zip("abc", real_videos(), strict=False))
    read = FrameReader(4, 60.0, GrowingFolder(["b"]))
    found = read([Clip(name, path) for name, path in files.items()])
    for frames, path in zip(found, files.values(), strict=True):
        assert isinstance(frames, Frames)
        assert torch.equal(frames.pixels, decode(path, 4).pixels)


def test_pixels_leave_a_worker_through_a_pipe_and_not_through_shared_memory() -> None:
    _, frames = noise_clip(0)
    (received,) = DataLoader([frames], batch_size=None, num_workers=1, collate_fn=lambda item: item)
    assert torch.equal(received.pixels, frames.pixels)
    assert not received.pixels.is_shared()
    assert replace(received, pixels=frames.pixels) == frames


def test_a_process_reads_the_pairs_of_its_share_and_no_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 100,000 clips all of them would be gigabytes in each process."""
    file, written = (
        tmp_path / "round_00.jsonl",
        [make_pair(f"c{clip}", number) for clip in range(12) for number in (0, 1)],
    )
    file.write_bytes(b"".join(json_line(pair_record(pair)) for pair in written))
    pairs, by_clip = stored_pairs(file)
    read: list[int] = []

    def count(place: str, line: bytes) -> Any:
        read.append(int(place.rpartition(" ")[2]))
        return json.loads(line)

    monkeypatch.setattr("savi.critique.pairs.to_record", count)
    groups = group_by_clip(pairs, by_clip, [Clip(f"c{clip}", Path(f"c{clip}.mp4")) for clip in range(12)])
    steps = plan_steps(groups, 16, 1, seed=0)
    step = StepDataset(steps, 4, READS_NOTHING, 1, 4)[0]
    own = [pair for micro in step.micro_batches for clip_pairs in micro.pairs for pair in clip_pairs]
    assert (len(own), step.pairs) == (4, 16)
    assert [written[number - 1] for number in read] == own
