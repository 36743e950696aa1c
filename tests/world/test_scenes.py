"""Scenes and their pixels: seeded, separate, and what they say they are."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest

from savi.world.render import RGB, SIZE, centre, draw, write_clip
from savi.world.scenes import COLORS, FPS, FRAMES, Scene, Thing, make_scene, scene_seed


def a_thing(**properties: object) -> Thing:
    """A red circle at the top left that moves right, grows, and is there from the start."""
    usual = {
        "color": "red",
        "shape": "circle",
        "place": "top left",
        "direction": "right",
        "change": "gets bigger",
        "appears": 0,
        "changes": 32,
        "size": 0.1,
        "offset": (0.0, 0.0),
    }
    return Thing(**(usual | properties))


def decoded(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def test_a_seed_always_gives_the_same_scene() -> None:
    assert make_scene(11) == make_scene(11)
    assert len({make_scene(seed) for seed in range(50)}) == 50


def test_splits_and_seeds_share_no_scene() -> None:
    seeds = {
        scene_seed(split, seed, index)
        for split in ("base", "train", "dev", "test")
        for seed in range(3)
        for index in range(100)
    }
    assert len(seeds) == 4 * 3 * 100


def test_things_of_a_scene_can_be_told_apart() -> None:
    for seed in range(200):
        things = make_scene(seed).things
        assert 1 <= len(things) <= 4
        for name in ("color", "place", "appears"):
            assert len({getattr(thing, name) for thing in things}) == len(things)
        starts = [thing.appears for thing in things]
        assert starts == sorted(starts)
        assert all(later - earlier >= 5 for earlier, later in pairwise(starts))


def test_the_same_scene_makes_the_same_file_and_leaves_nothing_else(tmp_path: Path) -> None:
    for name in ("one.mp4", "two.mp4"):
        write_clip(make_scene(5), tmp_path / name)
    assert (tmp_path / "one.mp4").read_bytes() == (tmp_path / "two.mp4").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.mp4", "two.mp4"]


def test_the_file_decodes_to_the_frames_that_were_drawn(tmp_path: Path) -> None:
    scene = make_scene(7)
    write_clip(scene, tmp_path / "clip.mp4")
    with av.open(str(tmp_path / "clip.mp4")) as container:
        assert container.streams.video[0].average_rate == FPS
        assert container.streams.video[0].codec_context.name == "h264"
    frames = decoded(tmp_path / "clip.mp4")
    assert len(frames) == FRAMES
    assert np.abs(np.stack(frames).astype(int) - draw(scene)).mean() < 4


@pytest.mark.parametrize("color", COLORS)
def test_colours_survive_the_codec(tmp_path: Path, color: str) -> None:
    thing = a_thing(color=color, change="stays same")
    write_clip(Scene((thing,), background=40), tmp_path / "clip.mp4")
    x, y = centre(thing, 24)
    seen = decoded(tmp_path / "clip.mp4")[24][int(y), int(x)]
    assert min(RGB, key=lambda name: np.abs(np.array(RGB[name]) - seen).sum()) == color


def test_a_thing_appears_moves_and_changes_when_it_should() -> None:
    frames = draw(Scene((a_thing(appears=14, change="turns white"),), background=40))
    assert (frames[:14] == frames[0]).all()
    assert (frames[14] != frames[0]).any()
    columns = [np.nonzero((frame != frames[0]).any(axis=(0, 2)))[0].mean() for frame in frames[14:]]
    assert (np.diff(columns) >= 0).all()
    assert 0.15 * SIZE < columns[-1] - columns[0] < 0.25 * SIZE
    x, y = centre(a_thing(appears=14), FRAMES - 1)
    assert tuple(frames[-1][int(y), int(x)]) == RGB["white"]


@pytest.mark.parametrize(("change", "factor"), [("gets bigger", 1.6), ("gets smaller", 0.5), ("stays same", 1.0)])
def test_size_changes_by_as_much_as_it_says(change: str, factor: float) -> None:
    frames = draw(Scene((a_thing(change=change, appears=7),), background=40))
    area = [(frame != frames[0]).any(axis=-1).sum() for frame in (frames[20], frames[-1])]
    assert area[1] / area[0] == pytest.approx(factor**2, rel=0.2)
