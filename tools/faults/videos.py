"""The files that are damaged: ordinary videos, short ones of every container and codec, and files that are no video."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tests.real_videos import real_videos
from tests.video.footage import film, sound

SHORT: dict[str, Any] = {"frames": 24, "size": (96, 64)}
B_FRAMES = {"bf": "3", "g": "12"}
QUIET = {"x265-params": "log-level=none"}


def uneven(index: int) -> int:
    """Milliseconds at which a frame of a variable frame rate is shown."""
    return index * 40 + 13 * (index % 3)


FILMS: dict[str, dict[str, Any]] = {
    "h264_b_frames.mp4": {"options": B_FRAMES},
    "h264_front_index.mp4": {"options": B_FRAMES, "container": {"movflags": "faststart"}},
    "h264_fragments.mp4": {"options": B_FRAMES, "container": {"movflags": "frag_keyframe+empty_moov"}},
    "h264_uneven.mp4": {"times": uneven},
    "h265.mp4": {"codec": "libx265", "options": QUIET},
    "av1.mp4": {"codec": "libsvtav1", "options": {"preset": "12"}},
    "mpeg4.mp4": {"codec": "mpeg4"},
    "h264_rotated.mov": {"rotation": 90},
    "prores.mov": {"codec": "prores_ks", "pixel_format": "yuv422p10le", "frames": 8},
    "mjpeg.mov": {"codec": "mjpeg", "pixel_format": "yuvj420p"},
    "h264_b_frames.mkv": {"options": B_FRAMES},
    "h265_uneven.mkv": {"codec": "libx265", "options": QUIET, "times": uneven},
    "ffv1.mkv": {"codec": "ffv1"},
    "mpeg2.mkv": {"codec": "mpeg2video", "options": {"bf": "2", "g": "12"}},
    "vp8.webm": {"codec": "libvpx"},
    "vp9.webm": {"codec": "libvpx-vp9"},
    "vp9_uneven.webm": {"codec": "libvpx-vp9", "times": uneven},
    "mpeg4.avi": {"codec": "mpeg4"},
    "mjpeg.avi": {"codec": "mjpeg", "pixel_format": "yuvj420p"},
    "h264.avi": {"options": {"bf": "0"}},
    "raw.avi": {"codec": "rawvideo", "frames": 8, "size": (32, 32)},
    "mpeg2.ts": {"codec": "mpeg2video"},
    "gif.gif": {"codec": "gif", "pixel_format": "rgb8"},
    "flv.flv": {"codec": "flv"},
    "wmv2.wmv": {"codec": "wmv2"},
}
"""Short videos by name, and what is said of them to `tests.video.footage.film`."""

FOREIGN: dict[str, Callable[[], bytes]] = {
    "picture.png": lambda: _picture("png"),
    "picture.jpg": lambda: _picture("jpeg"),
    "text.txt": lambda: b"a man walks into a bar\n" * 99,
    "playlist.m3u8": lambda: b"#EXTM3U\n#EXTINF:1,\nmpeg2.ts\n#EXT-X-ENDLIST\n",
    "list.ffconcat": lambda: b"ffconcat version 1.0\nfile mpeg2.ts\n",
    "empty.bin": lambda: b"",
}
"""What no extension makes a video."""

EXTENSIONS = (".mp4", ".webm", ".mkv", ".avi", ".mov")


def make_bases(folder: Path) -> list[Path]:
    """The videos that are damaged, made where they aren't there yet. Raises RuntimeError without a package index."""
    folder.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("SVT_LOG", "1")  # the AV1 encoder's errors alone
    for name, settings in FILMS.items():
        path = folder / name
        if not path.exists():
            part = path.with_stem("part")
            film(part, **SHORT | settings)
            part.replace(path)
    return [*real_videos(), *(folder / name for name in FILMS)]


def make_foreign(folder: Path) -> list[Path]:
    """Files that aren't videos, and one with sound alone."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, make in FOREIGN.items():
        (folder / name).write_bytes(make())
    return [*(folder / name for name in FOREIGN), sound(folder / "sound.m4a")]


def _picture(kind: str) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.zeros((16, 16, 3), np.uint8)).save(file, format=kind)
    return file.getvalue()
