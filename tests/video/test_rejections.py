"""A file that can't be decoded is refused in one line that says why; none is quietly sampled as far as it goes."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from savi.types import SaviError
from savi.video.decode import UndecodableClip, decode
from savi.video.packets import UnreadableError
from savi.video.reader import read_frames
from tests.video.footage import copy_of, film, remuxed, sound

B_FRAMES = {"bf": "3", "g": "30"}


def cut(path: Path, part: float) -> Path:
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * part)])
    return path


def empty(folder: Path) -> Path:
    path = folder / "empty.mp4"
    path.touch()
    return path


def written(name: str, data: bytes) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        path = folder / name
        path.write_bytes(data)
        return path

    return make


def picture(folder: Path) -> Path:
    path = folder / "picture.mp4"
    Image.fromarray(np.zeros((16, 16, 3), np.uint8)).save(path, format="png")
    return path


def damaged(folder: Path) -> Path:
    path = film(folder / "damaged.mp4", 100, "libx264", B_FRAMES)
    data = bytearray(path.read_bytes())
    at = data.find(b"mdat") + 3000
    data[at : at + 40] = bytes(byte ^ 0x5A for byte in data[at : at + 40])
    path.write_bytes(data)
    return path


def damaged_in_silence(folder: Path) -> Path:
    """One MPEG-2 frame with bytes that the decoder patches up without an error."""

    def damage(number: int, packet: av.Packet) -> av.Packet:
        if number != 50:
            return packet
        data = bytearray(bytes(packet))
        data[30:36] = bytes(byte ^ 0xFF for byte in data[30:36])
        return copy_of(packet, data)

    whole = film(folder / "whole.mp4", 100, "mpeg2video", {"g": "12", "bf": "0"})
    return remuxed(whole, folder / "patched.mp4", damage)


def front_index(folder: Path) -> Path:
    return film(folder / "front.mp4", 100, "libx264", B_FRAMES, container={"movflags": "faststart"})


def front_index_cut_between_frames(folder: Path) -> Path:
    """A cut that leaves whole frames only, so that nothing but the index gives it away."""
    path = front_index(folder)
    data = path.read_bytes()
    start = data.find(b"mdat") + 4
    offset = start
    for _ in range(40):
        offset += 4 + int.from_bytes(data[offset : offset + 4], "big")  # H.264 units with their lengths
    path.write_bytes(data[:offset])
    return path


CASES: dict[str, tuple[Callable[[Path], Path], str]] = {
    "missing": (lambda folder: folder / "missing.mp4", "no such file"),
    "folder": (lambda folder: folder, "not a file"),
    "empty": (empty, "empty file"),
    "text": (written("notes.mp4", b"nothing to see here\n" * 40), "not a video"),
    "playlist": (written("list.mp4", b"#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/a.ts\n"), "not a video"),
    "concatenation": (written("list.mp4", b"ffconcat version 1.0\nfile a.mp4\n"), "not a video"),
    "noise": (written("noise.mp4", np.random.default_rng(0).bytes(5000)), "not a video"),
    "picture": (picture, "not a video"),
    "sound": (lambda folder: sound(folder / "sound.m4a"), "audio only"),
    "sound with a cover": (lambda folder: sound(folder / "sound.mp4", cover=True), "audio only"),
    "index lost": (lambda folder: cut(film(folder / "a.mp4"), 0.6), r"truncated: its index \(moov\) is missing"),
    "index cut": (lambda folder: cut(film(folder / "a.mp4"), 0.97), r"truncated: its index \(moov\) is .* cut off"),
    "header cut": (lambda folder: cut(film(folder / "a.mp4"), 0.002), "truncated|not a video"),
    "front index": (lambda folder: cut(front_index(folder), 0.6), "truncated: its index lists 100 frames"),
    "front index, whole frames": (front_index_cut_between_frames, "truncated: its index lists 100 frames"),
    "fragments": (
        lambda folder: cut(film(folder / "a.mp4", container={"movflags": "frag_keyframe+empty_moov"}), 0.6),
        "truncated",
    ),
    "Matroska": (lambda folder: cut(film(folder / "a.mkv", 100, "libx264", B_FRAMES), 0.6), "truncated: .* missing"),
    "WebM": (lambda folder: cut(film(folder / "a.webm", 100, "libvpx-vp9"), 0.9), "truncated: .* missing"),
    "AVI": (lambda folder: cut(film(folder / "a.avi", 100, "mpeg4"), 0.6), "truncated"),
    "Flash": (lambda folder: cut(film(folder / "a.flv"), 0.6), "truncated"),
    "Windows Media": (lambda folder: cut(film(folder / "a.wmv", 100, "wmv2"), 0.6), "truncated: .* missing"),
    "GIF": (
        lambda folder: cut(film(folder / "a.gif", 20, "gif", pixel_format="rgb8"), 0.6),
        "truncated: it has no end mark",
    ),
    "damaged in silence": (damaged_in_silence, "damaged: frame 50 is incomplete"),
    "damaged in the middle": (damaged, r"damaged: decoding fails after \d+ of 100 frames"),
}


@pytest.mark.parametrize("case", CASES)
def test_refused_with_its_reason(case: str, tmp_path: Path) -> None:
    make, reason = CASES[case]
    path = make(tmp_path)
    with pytest.raises(UnreadableError, match=f"^{reason}") as refusal:
        read_frames(path, 32, 60)
    assert "\n" not in str(refusal.value)


def test_the_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UndecodableClip) as refusal:
        decode(empty(tmp_path))
    assert str(refusal.value) == "empty.mp4: empty file"
    assert (refusal.value.path, refusal.value.reason) == (tmp_path / "empty.mp4", "empty file")
    assert isinstance(refusal.value, SaviError)
    assert str(pickle.loads(pickle.dumps(refusal.value))) == "empty.mp4: empty file"  # noqa: S301 (our own)


def test_a_small_file_of_enormous_frames_takes_bounded_memory(tmp_path: Path) -> None:
    """A GIF of some kilobytes may say that its canvas has any size; 200 frames of this one take 9 GiB."""
    path = film(tmp_path / "a.gif", 3, "gif", pixel_format="rgb8")
    data = bytearray(path.read_bytes())
    data[6:10] = (4000).to_bytes(2, "little") * 2
    path.write_bytes(data)
    assert decode(path, 2).pixels.shape == (2, 4000, 4000, 3)
    with pytest.raises(UndecodableClip, match=r"a\.gif: takes more than 6 GiB of memory"):
        decode(path, 200)


def test_no_rights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = film(tmp_path / "a.mp4", 3)

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)  # the tests may run as root, whom no mode stops
    with pytest.raises(UnreadableError, match=r"^can't be read: Permission denied$"):
        read_frames(path, 3, 60)


def test_time_limit_between_packets(tmp_path: Path) -> None:
    path = film(tmp_path / "a.mp4", 3)
    with pytest.raises(UnreadableError, match=r"^took longer than 0 s$"):
        read_frames(path, 3, 0)
