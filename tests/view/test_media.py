"""Posters, small copies and the marks of sampled frames, of files as cameras and editors write them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import av
import pytest
from PIL import Image

from savi.video.packets import UnreadableError
from savi.video.reader import read_frames
from savi.view.media import SMALL, Media
from tests.video.footage import film

JUMPS = [0, 40, 80, 400, 440, 900, 1000, 1040].__getitem__
"""When each of eight frames is shown, in milliseconds."""


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Media]:
    made = Media(tmp_path_factory.mktemp("cache"))
    yield made
    made.close()


@pytest.mark.parametrize("times", [None, JUMPS], ids=["one rate", "a changing rate"])
def test_the_marks_are_the_frames_that_the_model_sees(
    media: Media, tmp_path: Path, times: Callable[[int], int] | None
) -> None:
    path = film(tmp_path / "clip.mp4", 8, "libx264", times=times)
    found = media.probe(path, 4)
    assert found["times"] == pytest.approx(read_frames(path, 4, 60.0).timestamps, abs=1e-3)
    assert found["plays"] == "mp4"


def test_a_file_that_no_browser_plays_is_copied_with_the_times_of_its_frames(media: Media, tmp_path: Path) -> None:
    path = film(tmp_path / "clip.mkv", 8, "libx264", times=JUMPS)
    assert media.probe(path, 4)["plays"] is None
    small = media.small(path)
    assert media.probe(small, 8)["plays"] == "mp4"
    assert media.probe(small, 8)["times"] == pytest.approx(media.probe(path, 8)["times"], abs=2e-3)
    assert media.small(path) == small


def test_a_phones_video_is_upright_and_of_even_size_in_its_copy(media: Media, tmp_path: Path) -> None:
    path = film(tmp_path / "phone.mov", 6, "libx264", rotation=90)
    with av.open(str(media.small(path))) as copy, av.open(str(path)) as original:
        sizes = [(one.streams.video[0].width, one.streams.video[0].height) for one in (original, copy)]
    assert sizes[1] == (min(SMALL, sizes[0][1]), sizes[0][0])
    with Image.open(media.poster(path)) as poster:
        assert poster.height > poster.width


def test_a_damaged_file_is_named_and_the_next_one_is_shown(media: Media, tmp_path: Path) -> None:
    bad, good = tmp_path / "bad.mp4", film(tmp_path / "good.mp4", 6, "libx264")
    bad.write_bytes(good.read_bytes()[:700])
    with pytest.raises(UnreadableError):
        media.probe(bad, 4)
    with pytest.raises(UnreadableError):
        media.small(bad)
    assert "can't be shown" in media.player(bad, "", 4)["problem"]
    assert media.poster(good).is_file()
