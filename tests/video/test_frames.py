"""The frames that come out are the ones that were asked for, whatever the container does to their numbers."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest
import torch
from av.video.frame import PictureType

from savi.video import reader
from savi.video.decode import decode
from savi.video.packets import DoubtfulTimesError, Sample, Scan
from savi.video.reader import Reading, read_frames
from savi.video.sampling import midpoint_indices
from tests.real_videos import real_videos
from tests.video.footage import HEIGHT, WIDTH, copy_of, draw, film, number_in, numbers_in, remuxed

B_FRAMES = {"bf": "3", "g": "30"}
OPEN_264 = {"bf": "3", "x264-params": "open-gop=1:keyint=20:scenecut=0"}
OPEN_265 = {"x265-params": "open-gop=1:keyint=20:scenecut=0:bframes=4:log-level=none"}
ALT_REF = {"auto-alt-ref": "1", "lag-in-frames": "16", "deadline": "realtime", "cpu-used": "8"}

FILES: dict[str, tuple[str, dict[str, Any]]] = {
    "B-frames": ("a.mp4", {"options": B_FRAMES}),
    "fragments": ("a.mp4", {"options": B_FRAMES, "container": {"movflags": "frag_keyframe+empty_moov"}}),
    "mov": ("a.mov", {"options": B_FRAMES}),
    "Matroska": ("a.mkv", {"options": B_FRAMES}),
    "transport stream": ("a.ts", {"options": B_FRAMES}),
    "program stream": ("a.mpg", {"codec": "mpeg2video", "options": {"bf": "2"}}),
    "AVI": ("a.avi", {"codec": "mpeg4", "options": {"bf": "2"}}),
    "AVI with H.264": ("a.avi", {"options": {"bf": "2"}}),
    "Flash": ("a.flv", {"options": B_FRAMES}),
    "Windows Media": ("a.wmv", {"codec": "wmv2"}),
    "3GP": ("a.3gp", {"codec": "mpeg4"}),
    "VP8": ("a.webm", {"codec": "libvpx", "options": ALT_REF}),
    "VP9": ("a.webm", {"codec": "libvpx-vp9", "options": ALT_REF}),
    "open groups": ("a.mp4", {"options": OPEN_264}),
    "open groups, HEVC": ("a.mp4", {"codec": "libx265", "options": OPEN_265}),
    "GIF": ("a.gif", {"codec": "gif", "pixel_format": "rgb8"}),
}


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files whose frames had to be counted by decoding from end to end."""
    files: list[Path] = []
    by_counting = reader._counted_times

    def spy(path: Path, *rest: Any) -> Any:
        files.append(path)
        return by_counting(path, *rest)

    monkeypatch.setattr(reader, "_counted_times", spy)
    return files


def shown(reading: Reading) -> list[int]:
    return numbers_in(reading.pixels)


@pytest.mark.parametrize("kind", FILES)
def test_numbers_are_right_in(kind: str, tmp_path: Path, counted: list[Path]) -> None:
    name, settings = FILES[kind]
    path = film(tmp_path / name, 100, **settings)
    for count in (1, 3, 32, 100, 130):
        reading = read_frames(path, count, 60)
        assert list(reading.indices) == midpoint_indices(100, count)
        assert shown(reading) == list(reading.indices)
        assert reading.timestamps == pytest.approx([i / 25 for i in reading.indices], abs=1e-3)
        assert (reading.fps, reading.duration) == pytest.approx((25, 4), rel=1e-3)
    # H.264 in AVI has B-frames and no times for them; everywhere else the packets tell the frames.
    assert bool(counted) == (kind == "AVI with H.264")


def test_frames_between_are_left_undecoded(
    tmp_path: Path, counted: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = film(tmp_path / "long.mp4", 400, "libx264", {"bf": "2", "g": "10"})
    decoded = 0

    def spy(frames: Any, *rest: Any) -> Any:
        nonlocal decoded
        for frame in checked(frames, *rest):
            decoded += 1
            yield frame

    checked = reader._checked
    monkeypatch.setattr(reader, "_checked", spy)
    assert shown(read_frames(path, 3, 60)) == midpoint_indices(400, 3)
    assert not counted
    assert decoded <= 3 * (10 + 3)


def test_variable_frame_rate(tmp_path: Path) -> None:
    def times(i: int) -> int:
        return 40 * i + 500 * (i // 10) + 7 * (i % 3)

    path = film(tmp_path / "vfr.mp4", 100, "libx264", B_FRAMES, times=times)
    reading = read_frames(path, 32, 60)
    assert shown(reading) == midpoint_indices(100, 32)
    assert reading.timestamps == pytest.approx([times(i) / 1000 for i in reading.indices], abs=1e-3)
    assert reading.duration == pytest.approx(times(99) / 1000 + 0.04, abs=0.05)
    assert reading.fps == pytest.approx(100 / reading.duration)


@pytest.mark.parametrize("cut", [20, 37])
def test_edit_list_hides_the_first_frames(cut: int, tmp_path: Path) -> None:
    whole = film(tmp_path / "whole.mp4", 100, "libx264", B_FRAMES)
    path = tmp_path / "edited.mp4"
    options = {"avoid_negative_ts": "disabled", "use_editlist": "1"}
    with av.open(str(whole)) as source, av.open(str(path), "w", options=options) as output:
        stream = source.streams.video[0]
        copy = output.add_stream_from_template(stream)
        shift = int(cut / (stream.average_rate * stream.time_base))
        for packet in source.demux(stream):
            if packet.size:
                packet.pts, packet.dts, packet.stream = packet.pts - shift, packet.dts - shift, copy
                output.mux(packet)
    reading = read_frames(path, 16, 60)
    assert list(reading.indices) == midpoint_indices(100 - cut, 16)
    assert shown(reading) == [cut + i for i in reading.indices]
    assert reading.timestamps == pytest.approx([i / 25 for i in reading.indices], abs=1e-3)


@pytest.mark.parametrize("claimed", [7, 1000])
def test_frame_count_of_the_header_is_not_believed(claimed: int, tmp_path: Path) -> None:
    path = film(tmp_path / "a.avi", 100, "mpeg4")
    data = bytearray(path.read_bytes())
    for chunk, field in ((b"avih", 24), (b"strh", 40)):  # dwTotalFrames, dwLength
        at = data.find(chunk) + field
        data[at : at + 4] = claimed.to_bytes(4, "little")
    path.write_bytes(data)
    assert shown(read_frames(path, 16, 60)) == midpoint_indices(100, 16)


def test_stretches_reach_back_to_the_keyframe_shown_before() -> None:
    # In the order of decoding: I0 P2 B1 | I5 B3 B4 P7 B6 | I8 P9; B3 and B4 are shown before I5 and need the group
    # before it, B6 needs I5 only.
    times = [0, 2, 1, 5, 3, 4, 7, 6, 8, 9]
    samples = [Sample(time, key=time in (0, 5, 8), shown=True) for time in times]
    found = Scan(skipped=0, samples=samples, unit=1.0, last=1.0, rate=1.0)

    def stretches(*wanted: int) -> list[tuple[int, int]]:
        return reader._stretches(found, wanted)

    assert stretches(1) == [(0, 2)]
    assert stretches(5) == [(3, 3)]
    assert stretches(6) == [(3, 7)]
    assert stretches(3) == [(0, 4)]
    assert stretches(3, 5) == [(0, 4)]
    assert stretches(0, 6) == [(0, 0), (3, 7)]
    assert stretches(0, 2, 5, 9) == [(0, 1), (3, 3), (8, 9)]
    assert stretches(6, 9) == [(3, 9)]


def test_a_frame_that_stays_away_is_noticed() -> None:
    samples = [Sample(time, key=time == 0, shown=True) for time in range(3)]
    found = Scan(skipped=0, samples=samples, unit=1.0, last=1.0, rate=1.0)
    frames = [SimpleNamespace(pts=time, is_corrupt=False, pict_type=PictureType.I) for time in range(3)]
    assert list(reader._checked(iter(frames), found, 0, 2)) == frames
    with pytest.raises(DoubtfulTimesError):
        list(reader._checked(iter(frames[:2]), found, 0, 2))


@pytest.mark.parametrize("codec", ["mpeg4", "libx265"])
def test_keyframes_that_are_none_are_noticed(codec: str, tmp_path: Path, counted: list[Path]) -> None:
    # Without a sync sample table every sample of an MP4 file counts as a keyframe.
    path = film(tmp_path / "a.mp4", 100, codec, {"bf": "0", "g": "30", "x265-params": "log-level=none"})
    data = path.read_bytes()
    assert data.count(b"stss") == 1
    path.write_bytes(data.replace(b"stss", b"free"))
    assert shown(read_frames(path, 16, 60)) == midpoint_indices(100, 16)
    assert counted == [path]


def test_packets_that_show_no_frame_are_noticed(tmp_path: Path, counted: list[Path]) -> None:
    hidden = {17, 50, 51, 80}

    def hide(number: int, packet: av.Packet) -> av.Packet:
        if number not in hidden:
            return packet
        data = bytearray(bytes(packet))
        data[0] &= ~0x10  # show_frame (RFC 6386, 9.1)
        return copy_of(packet, data)

    source = film(tmp_path / "a.webm", 100, "libvpx", {"deadline": "realtime", "cpu-used": "8"})
    path = remuxed(source, tmp_path / "hidden.webm", hide)
    frames = [i for i in range(100) if i not in hidden]
    assert shown(read_frames(path, 20, 60)) == [frames[i] for i in midpoint_indices(96, 20)]
    assert counted == [path]


@pytest.mark.parametrize(
    ("suffix", "codec", "options"),
    [(".mkv", "libx264", OPEN_264), (".mp4", "libx265", OPEN_265), (".ts", "mpeg2video", {"bf": "2", "g": "12"})],
)
def test_a_file_that_begins_between_keyframes_counts_from_the_first_one(
    suffix: str, codec: str, options: dict[str, str], tmp_path: Path, counted: list[Path]
) -> None:
    source = film(tmp_path / "a.mp4", 100, codec, options)
    path = remuxed(source, tmp_path / f"b{suffix}", lambda number, packet: packet if number >= 5 else None)
    reading = read_frames(path, 20, 60)
    first = 12 if codec == "mpeg2video" else 20
    assert list(reading.indices) == midpoint_indices(100 - first, 20)
    assert shown(reading) == [first + i for i in reading.indices]
    assert reading.timestamps == pytest.approx([i / 25 for i in reading.indices], abs=1e-3)
    assert not counted


def test_joined_streams_of_two_sizes(tmp_path: Path) -> None:
    small = film(tmp_path / "small.ts", 60, "libx264", {"g": "20"})
    large = film(tmp_path / "large.ts", 60, "libx264", {"g": "20"}, size=(2 * WIDTH, 2 * HEIGHT))
    path = tmp_path / "joined.ts"
    path.write_bytes(small.read_bytes() + large.read_bytes())
    reading = read_frames(path, 10, 60)
    assert reading.pixels.shape == (10, HEIGHT, WIDTH, 3)
    assert shown(reading) == [i % 60 for i in midpoint_indices(120, 10)]
    assert reading.timestamps == pytest.approx([i / 25 for i in reading.indices])


@pytest.mark.parametrize("rotation", [90, 180, -90])
def test_rotation_is_applied(rotation: int, tmp_path: Path) -> None:
    path = film(tmp_path / "phone.mp4", 20, "libx264", rotation=rotation)
    reading = read_frames(path, 4, 60)
    # PyAV's degrees run counterclockwise, as NumPy's do.
    as_filmed = np.rot90(reading.pixels, -rotation // 90, axes=(1, 2))
    assert as_filmed.shape == (4, HEIGHT, WIDTH, 3)
    assert numbers_in(as_filmed) == list(reading.indices)


def test_upright_follows_the_display_matrix() -> None:
    image = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    one = 1 << 16

    def matrix(a: int, b: int, c: int, d: int) -> bytes:
        return np.array([a, b, 0, c, d, 0, 0, 0, 1 << 30], np.int32).tobytes()

    assert (reader.upright(image, None) == image).all()
    assert (reader.upright(image, matrix(one, 0, 0, one)) == image).all()
    assert (reader.upright(image, matrix(-one, 0, 0, one)) == image[:, ::-1]).all()  # mirrored
    assert (reader.upright(image, matrix(one, 0, 0, -one)) == image[::-1]).all()
    assert (reader.upright(image, matrix(0, one, one, 0)) == image.swapaxes(0, 1)).all()
    # x' = -y, y' = x: what was the left edge is at the top, read from right to left: a quarter clockwise
    assert (reader.upright(image, matrix(0, one, -one, 0)) == np.rot90(image, -1)).all()


@pytest.mark.parametrize("frames", [1, 2, 5])
def test_short_clips_repeat_frames(frames: int, tmp_path: Path) -> None:
    reading = read_frames(film(tmp_path / "short.mp4", frames), 8, 60)
    assert reading.pixels.shape == (8, HEIGHT, WIDTH, 3)
    assert shown(reading) == midpoint_indices(frames, 8)
    assert (reading.fps, reading.duration) == pytest.approx((25, frames / 25))


def test_colours_survive(tmp_path: Path) -> None:
    reading = read_frames(film(tmp_path / "a.mp4", 3, "libx264", {"crf": "1"}), 3, 60)
    assert np.abs(reading.pixels[1].astype(int) - draw(1).astype(int)).mean() < 3


def test_a_name_with_a_colon_is_no_protocol(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = film(Path("a.mp4"), 5).rename("http:élan %d.mp4")
    assert shown(read_frames(path, 5, 60)) == midpoint_indices(5, 5)


def test_metadata_need_not_be_utf_8(tmp_path: Path) -> None:
    path = film(tmp_path / "a.mkv", 5, title="café")
    data = path.read_bytes()
    assert "café".encode() in data
    path.write_bytes(data.replace("café".encode(), "café ".encode("latin-1")))
    assert shown(read_frames(path, 5, 60)) == midpoint_indices(5, 5)


def test_decode_gives_frames(tmp_path: Path) -> None:
    path = film(tmp_path / "a.mp4", 50)
    frames = decode(path, 8)
    assert frames.pixels.dtype == torch.uint8
    assert frames.pixels.shape == (8, HEIGHT, WIDTH, 3)
    assert frames.indices == tuple(midpoint_indices(50, 8))
    assert numbers_in(frames.pixels) == list(frames.indices)
    assert frames.timestamps == pytest.approx([i / 25 for i in frames.indices])
    assert (frames.fps, frames.duration) == pytest.approx((25, 2))
    reading = read_frames(path, 8, 60)
    assert (frames.pixels.numpy() == reading.pixels).all()


# Frames, size and duration as the files' own tables have them (`ffprobe -count_frames`).
REAL = {
    "bigbuckbunny.mp4": (132, 1280, 720, 5.28),
    "bikes.mp4": (250, 640, 272, 10.0),
    "carphone_distorted.mp4": (120, 176, 144, 4.004),
    "carphone_pristine.mp4": (120, 176, 144, 4.004),
}


@pytest.mark.parametrize("name", REAL)
def test_real_videos(name: str) -> None:
    path = next(path for path in real_videos() if path.name == name)
    count, width, height, duration = REAL[name]
    with av.open(str(path)) as container:
        every = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert len(every) == count
    frames = decode(path, 32)
    assert frames.pixels.shape == (32, height, width, 3)
    assert frames.indices == tuple(midpoint_indices(count, 32))
    assert all((frames.pixels[slot].numpy() == every[index]).all() for slot, index in enumerate(frames.indices))
    assert frames.duration == pytest.approx(duration, abs=0.05)


def test_the_patterns_can_be_read_back() -> None:
    assert [number_in(draw(i)) for i in (0, 1, 2, 5, 1023)] == [0, 1, 2, 5, 1023]
