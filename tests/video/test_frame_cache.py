"""Frames kept on disk: the same as decoded ones, of the same file, whole, and within their bound."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import savi.cache
from savi.cache import BoundedFolder
from savi.types import Excerpt, Frames, SaviError
from savi.video.frame_cache import FrameCache, FrameCacheSettings, open_frame_cache
from savi.video.prefetch import decode_ahead
from savi.video.process import DecodeProcess
from tests.video.footage import film

GIB = 2.0**30
CLIP = 4 * 48 * 80 * 3
"""Bytes of the frames of a clip in these tests."""


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return film(tmp_path_factory.mktemp("films") / "a.mp4", 20)


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that were decoded."""
    names: list[str] = []
    submit = DecodeProcess.submit

    def count(self: DecodeProcess, source: Path | Excerpt, *asked: object) -> None:
        names.append((source.path if isinstance(source, Excerpt) else source).name)
        submit(self, source, *asked)  # type: ignore[arg-type]  # as they came

    monkeypatch.setattr(DecodeProcess, "submit", count)
    return names


def cache(folder: Path, clips: float = 100, count: int = 4) -> FrameCache:
    return FrameCache(BoundedFolder(folder, clips * CLIP / GIB, ".frames"), count, 80 * 48)


def read(cache: FrameCache, *sources: Path | Excerpt, workers: int = 0) -> list[Frames]:
    return list(decode_ahead(sources, 4, 60, workers, 80 * 48, cache=cache))


@pytest.mark.parametrize("workers", [0, 2])
def test_kept_frames_are_those_of_the_file(workers: int, video: Path, tmp_path: Path, decoded: list[str]) -> None:
    part = Excerpt("part", video, (0.1, 0.5))
    first = read(cache(tmp_path), video, part, workers=workers)
    again = read(cache(tmp_path), video, part, workers=workers)
    assert decoded == ["a.mp4"] * 2
    for one, other in zip(first, again, strict=True):
        assert torch.equal(one.pixels, other.pixels)
        assert replace(one, pixels=other.pixels) == other


def test_frames_of_another_file_or_another_sampling_are_not_taken(
    video: Path, tmp_path: Path, decoded: list[str]
) -> None:
    path = tmp_path / "b.mp4"
    shutil.copy(video, path)
    read(cache(tmp_path / "kept"), path)
    times = path.stat().st_mtime_ns
    shutil.copy(video, path)
    os.utime(path, ns=(times, times))  # a program can set this time, and not that of the change
    read(cache(tmp_path / "kept"), path)
    read(cache(tmp_path / "kept", count=5), path)
    assert decoded == ["b.mp4"] * 3


@pytest.mark.parametrize("damage", ["flipped", "times", "shape", "cut", "longer", "empty", "garbage"])
def test_a_damaged_file_is_decoded_again(damage: str, video: Path, tmp_path: Path, decoded: list[str]) -> None:
    (whole,) = read(cache(tmp_path), video)
    (kept,) = tmp_path.iterdir()
    data = bytearray(kept.read_bytes())
    data[-100] ^= damage == "flipped"
    changed = {"cut": data[:-1], "longer": data + b"x", "empty": b"", "garbage": b"{}\n"}
    changed["times"] = data.replace(b'"timestamps": [0', b'"timestamps": [9')
    changed["shape"] = data.replace(b'"shape": [4,', b'"shape": [-4')
    assert changed.get(damage) != kept.read_bytes()
    kept.write_bytes(changed.get(damage, data))
    for _ in range(2):
        (again,) = read(cache(tmp_path), video)
        assert torch.equal(again.pixels, whole.pixels)
        assert again.timestamps == whole.timestamps
    assert decoded == ["a.mp4"] * 2


def test_what_is_kept_stays_within_its_bound(tmp_path: Path, decoded: list[str]) -> None:
    """And those that are kept stay: a round takes its clips in a cycle."""
    films = [film(tmp_path / f"{name}.mp4", 20) for name in "abcd"]
    kept = cache(tmp_path / "kept", clips=2.5)
    for _ in range(2):
        read(kept, *films)
    assert [path.suffix for path in (tmp_path / "kept").iterdir()] == [".frames"] * 2
    assert decoded == [f"{name}.mp4" for name in "abcdcd"]
    assert "is full: raise x.gib." in (kept.folder.lack_of_room("x") or "")


def test_frames_that_no_run_uses_any_more_make_room(tmp_path: Path, decoded: list[str]) -> None:
    films = [film(tmp_path / f"{name}.mp4", 20) for name in "abc"]
    read(cache(tmp_path / "kept", clips=2.5), *films[:2])
    for path in (tmp_path / "kept").iterdir():
        os.utime(path, (1, 1))
    later = cache(tmp_path / "kept", clips=2.5)
    for _ in range(2):
        read(later, *films[1:])
    assert decoded == ["a.mp4", "b.mp4", "c.mp4"]


@pytest.mark.parametrize(("disk", "left_free"), [(100 * GIB, 10 * GIB), (20_000 * GIB, 16 * GIB)])
def test_a_tenth_of_the_disk_stays_free_and_of_a_large_one_16_gib(
    disk: float, left_free: float, video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(total=int(disk))
    for room, files in [(CLIP - 1, 0), (2 * CLIP, 1)]:
        kept = cache(tmp_path / "kept")
        monkeypatch.setattr(shutil, "disk_usage", lambda _, room=room: usage._replace(free=int(left_free) + room))
        read(kept, video)
        assert len(list((tmp_path / "kept").iterdir())) == files
        line = kept.folder.lack_of_room("data.frame_cache")
        assert (line is None) == bool(files)
        assert line is None or "nearly full: free some of it, or name another by data.frame_cache.folder" in line


def test_what_a_killed_process_has_begun_is_removed(
    video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / f"{'0' * 32}-1234-5.unfinished").touch()
    monkeypatch.setattr(savi.cache, "ABANDONED", -1.0)
    read(cache(tmp_path), video)
    assert [path.suffix for path in tmp_path.iterdir()] == [".frames"]


def test_the_files_of_the_user_stay_in_a_folder_that_was_named(video: Path, tmp_path: Path) -> None:
    mine = [tmp_path / "holiday.mp4", tmp_path / "taken.frames", tmp_path / "a"]
    mine[2].mkdir()
    for path in mine:
        if not path.is_dir():
            path.write_bytes(bytes(CLIP))
        os.utime(path, (1, 1))
    read(cache(tmp_path, clips=1.5), video)
    assert all(path.exists() for path in mine)
    assert len(list(tmp_path.iterdir())) == 4


def test_frames_that_another_user_has_kept_are_taken(
    video: Path, tmp_path: Path, decoded: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    read(cache(tmp_path), video)

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "utime", refuse)
    read(cache(tmp_path), video)
    assert decoded == ["a.mp4"]


def test_where_nothing_can_be_written_files_are_decoded(video: Path, tmp_path: Path, decoded: list[str]) -> None:
    (tmp_path / "file").touch()
    for _ in range(2):
        read(cache(tmp_path / "file" / "frames"), video)
    assert len(decoded) == 2


def test_a_folder_that_was_named_and_cannot_be_used_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    named = FrameCacheSettings(folder=str(tmp_path / "file" / "frames"))
    with pytest.raises(SaviError, match=r"data\.frame_cache\.folder: .* can't be made"):
        open_frame_cache(named, tmp_path, 4, None)
    monkeypatch.setattr(os, "access", lambda *_: False)  # for root, everything can be written
    with pytest.raises(SaviError, match=r"data\.frame_cache\.folder: .* can't be written"):
        open_frame_cache(FrameCacheSettings(folder=str(tmp_path)), tmp_path, 4, None)
    assert open_frame_cache(FrameCacheSettings(gib=0), tmp_path, 4, None) is None
    with pytest.raises(SaviError, match=r"data\.frame_cache\.gib must be at least 0"):
        FrameCacheSettings(gib=-1)
