"""The parent's end of a decoding process: a clip handed in, its frames or the reason against them handed out.

A plain subprocess with two pipes: nothing is forked, so threads and CUDA don't matter; the caller's main module is
not imported again; torch isn't imported at all, so that one starts in a third of a second. Pixels come through the
pipe, since shared memory is small in many containers.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
from io import BufferedReader
from pathlib import Path
from typing import IO, cast

import torch

from savi.files import identify
from savi.types import Excerpt, Frames, SaviError

PATIENCE = 10.0
"""A file may take so many times its limit of CPU time by the clock on the wall: then its process hangs. A machine with
ten jobs a core still decodes what it would decode alone."""

PIPE = 2**20
"""Bytes that the pipe of pixels holds, the most that Linux gives everybody. The parent then wakes up for each MiB of a
clip and not for each 64 KiB."""

COMMAND = (sys.executable, "-P", "-m", "savi.video.worker")


class UndecodableClip(SaviError):  # noqa: N818 (it is handed on as a result, not only raised)
    """A file that gives no frames, and why."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(path, reason)
        self.path = path
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.path.name}: {self.reason}"


class DecodeProcess:
    """One decoding process, started anew after a clip that it didn't survive."""

    def __init__(self) -> None:
        self._process = _start()

    def submit(self, source: Path | Excerpt, count: int, timeout: float, most_pixels: int | None = None) -> None:
        """Hand in a clip; the one before must have been collected. timeout: seconds of CPU time. most_pixels: larger
        frames are scaled down to it."""
        if self._process.poll() is not None:
            self.kill()
            self._process = _start()
        part = source if isinstance(source, Excerpt) else Excerpt("", source)
        self._path, self._timeout, self._span = part.path, timeout, part.span
        self._file = identify(part.path)
        job = json.dumps(
            {
                "path": str(part.path),
                "count": count,
                "timeout": timeout,
                "hung": PATIENCE * timeout,
                "span": part.span,
                "fps": part.fps,
                "most_pixels": most_pixels,
            }
        )
        with contextlib.suppress(BrokenPipeError):  # collect() sees that it is dead, and of what
            self._stdin.write(job.encode() + b"\n")
            self._stdin.flush()

    def collect(self) -> Frames | UndecodableClip:
        """Wait for the clip that was handed in.

        Raises RuntimeError where the process ended by itself, which is no clip's doing.
        """
        line = self._stdout.readline()
        if not line.endswith(b"\n"):
            return self._died()
        answer = json.loads(line)
        if "reason" in answer:
            return UndecodableClip(self._path, answer["reason"])
        pixels = torch.empty(answer["shape"], dtype=torch.uint8)
        if self._stdout.readinto(pixels.numpy().data) < pixels.numel():
            return self._died()
        timestamps, indices = tuple(answer["timestamps"]), tuple(answer["indices"])
        return Frames(pixels, timestamps, indices, answer["fps"], answer["duration"], self._span, self._file)

    def kill(self) -> None:
        """End the process at once, and leave no zombie."""
        self._process.kill()
        self._process.communicate()

    def interrupt(self) -> None:
        """Have collect(), in another thread, end at once. That thread still has to call kill()."""
        self._process.kill()

    @property
    def pid(self) -> int:
        """Of the process, which another one replaces after a crash."""
        return self._process.pid

    @property
    def _stdin(self) -> IO[bytes]:
        return cast(IO[bytes], self._process.stdin)

    @property
    def _stdout(self) -> BufferedReader:
        return cast(BufferedReader, self._process.stdout)

    def _died(self) -> UndecodableClip:
        code = self._process.wait()
        if code >= 0:
            raise RuntimeError(f"the decoding process ended with code {code}; its standard error says why")
        if -code == signal.SIGPROF:
            return UndecodableClip(self._path, f"took longer than {self._timeout:g} s")
        if -code == signal.SIGALRM:
            return UndecodableClip(self._path, f"hung for {PATIENCE * self._timeout:g} s")
        return UndecodableClip(self._path, f"the decoder crashed ({signal.Signals(-code).name})")


def _start() -> subprocess.Popen[bytes]:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen(COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)
    if sys.platform == "linux" and process.stdout:
        with contextlib.suppress(OSError):  # users have a bound over all of their pipes
            fcntl.fcntl(process.stdout, fcntl.F_SETPIPE_SZ, PIPE)
    return process
