"""The damage to video files: it repeats, it changes something, and it finds the tables it is meant for."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest

from tests.video.footage import film
from tools.faults.fields import absurd, fields
from tools.faults.mutate import MUTATIONS

SHORT = {"mp4": "libx264", "mkv": "libx264", "avi": "mpeg4", "ts": "mpeg2video"}


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], bytes]:
    folder = tmp_path_factory.mktemp("videos")
    files = {kind: film(folder / f"film.{kind}", 12, codec).read_bytes() for kind, codec in SHORT.items()}
    return files.__getitem__


@pytest.mark.parametrize("name", MUTATIONS)
@pytest.mark.parametrize("kind", SHORT)
def test_damage_repeats_and_changes_the_file(name: str, kind: str, video: Callable[[str], bytes]) -> None:
    data = video(kind)
    mutants = [MUTATIONS[name](data, Random(seed)) for seed in range(20)]
    assert mutants == [MUTATIONS[name](data, Random(seed)) for seed in range(20)]
    # Blocks may be swapped with their like.
    assert sum(mutant != data for mutant in mutants) >= 15
    assert len(set(mutants)) >= 15


@pytest.mark.parametrize("name", MUTATIONS)
def test_damage_takes_files_of_any_size(name: str) -> None:
    for size in (4, 5, 17, 600):
        for seed in range(50):
            MUTATIONS[name](bytes(range(size % 256)) * (size // (size % 256)), Random(seed))


def starts(data: bytes) -> set[int]:
    return {field.at for field in fields(data)}


def test_fields_of_mp4_are_sizes_and_tables(video: Callable[[str], bytes]) -> None:
    data = video("mp4")
    for box in (b"moov", b"trak", b"stts", b"stsz", b"stco"):
        assert data.find(box) - 4 in starts(data), box
    sizes = data.find(b"stsz")
    assert int.from_bytes(data[sizes + 12 : sizes + 16], "big") == 12
    assert set(range(sizes + 12, sizes + 16 + 4 * 12, 4)) <= starts(data)


def test_fields_of_matroska_are_sizes_and_numbers(video: Callable[[str], bytes]) -> None:
    data = video("mkv")
    scale = data.find(b"\x2a\xd7\xb1")  # TimestampScale
    assert int.from_bytes(data[scale + 4 : scale + 7], "big") == 1_000_000
    assert {scale + 3, scale + 4} <= starts(data)
    assert data.find(b"\x18\x53\x80\x67") + 4 in starts(data)  # the Segment's size
    assert data.find(b"\x1f\x43\xb6\x75") + 4 in starts(data)  # a Cluster's


def test_fields_of_avi_are_sizes_headers_and_the_index(video: Callable[[str], bytes]) -> None:
    data = video("avi")
    for chunk in (b"avih", b"strh", b"strf", b"idx1"):
        at = data.find(chunk)
        assert {at + 4, at + 8} <= starts(data), chunk


def test_other_files_have_no_fields(video: Callable[[str], bytes]) -> None:
    assert fields(video("ts")) == fields(b"") == fields(b"RIFF") == []


def test_absurd_numbers_fit_their_place() -> None:
    numbers = {absurd(Random(seed), 4, True) for seed in range(200)}
    assert {bytes(4), b"\xff" * 4, b"\x80\0\0\0", b"\0\0\0\1"} <= numbers
    assert {len(number) for number in numbers} == {4}
    assert absurd(Random(3), 4, True) == absurd(Random(3), 4, False)[::-1]
