"""Clips that are held out: the same ones as others are added, never too few, and never learned from."""

from __future__ import annotations

from pathlib import Path

import pytest

from savi.data.held_out import LEAST, check_held_out, hold_out
from savi.errors import SaviError
from savi.types import Clip


def clips(count: int) -> list[Clip]:
    return [Clip(f"clip {index}", Path(f"{index}.mp4")) for index in range(count)]


def test_a_clip_that_is_held_out_stays_so_when_others_are_added() -> None:
    _, few = hold_out(clips(200), 0.1, 1000)
    rest, many = hold_out(clips(2000), 0.1, 1000)
    assert [clip for clip in many if clip in clips(200)] == few
    assert 150 < len(many) < 250
    assert sorted([*rest, *many], key=lambda clip: clip.id) == sorted(clips(2000), key=lambda clip: clip.id)
    assert hold_out(clips(2000)[::-1], 0.1, 1000)[1] == many[::-1]


def test_no_more_than_the_most_and_no_fewer_than_the_least_are_held_out() -> None:
    assert len(hold_out(clips(2000), 0.1, 50)[1]) == 50
    assert set(hold_out(clips(2000), 0.1, 50)[1]) < set(hold_out(clips(2000), 0.1, 1000)[1])
    assert len(hold_out(clips(40), 0.001, 50)[1]) == LEAST
    assert len(hold_out(clips(8), 0.001, 50)[1]) == 2


def test_nothing_is_learned_from_a_clip_with_labelled_questions(tmp_path: Path) -> None:
    (tmp_path / "same").symlink_to(tmp_path)
    own = [Clip(str(index), tmp_path / f"{index}.mp4") for index in range(40)]
    asked = tmp_path / "same" / "3.mp4"
    rest, held = hold_out(own, 0.1, 100, [asked])
    assert own[3] not in rest
    assert len(rest) + len({*held, own[3]}) == 40


@pytest.mark.parametrize("count", [1, 3])
def test_clips_that_are_too_few_are_refused_in_one_line(count: int) -> None:
    with pytest.raises(SaviError, match=r"^data\.held_out: \d clips are too few"):
        hold_out(clips(count), 0.1, 100)


@pytest.mark.parametrize(
    ("share", "most", "pairs", "says"),
    [
        (1.0, None, None, r"data\.held_out must be .* below 1"),
        (0.1, 0, None, r"data\.held_out_clips must be at least 1"),
        (0.0, 5, None, r"held_out_clips has no effect without"),
        (0.1, None, "pairs.jsonl", r"data\.held_out has no effect with data\.pairs"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(
    share: float, most: int | None, pairs: str | None, says: str
) -> None:
    with pytest.raises(SaviError, match=says):
        check_held_out(share, most, pairs)
