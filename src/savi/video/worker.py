"""A process that decodes one file after another for its parent, and dies where it would hang.

Started by `savi.video.process` as `python -m savi.video.worker`. One line of JSON on standard input is a job; an
answer on standard output is one line of JSON, followed by the bytes of the pixels where there are any.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import resource
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from savi.video.packets import UnreadableError
from savi.video.reader import Reading, read_frames

# The reader looks at the limit itself, between packets. The kernel ends the process after this many more seconds of
# CPU time.
GRACE = 1.0

# Bytes of address space: 32 frames of 8K, and what decoding them takes. A damaged or hostile file may ask for any size.
MEMORY = 6 * 2**30


def serve(read: Callable[..., Reading] = read_frames) -> None:
    """Answer jobs until standard input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    for limit in (signal.SIGPROF, signal.SIGALRM):
        signal.signal(limit, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGPROF, signal.SIGALRM})
    _bound_memory()
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints must not get between the answers
    jobs: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(jobs,), daemon=True).start()
    with contextlib.suppress(BrokenPipeError):
        while True:
            header, pixels = _answer(jobs.get(), read)
            answers.write(json.dumps(header).encode() + b"\n")
            answers.write(pixels)
            answers.flush()


def _bound_memory() -> None:
    """Let a file that asks for more than `MEMORY` fail in this process, instead of all processes of the machine."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    if soft == resource.RLIM_INFINITY or soft > MEMORY:
        with contextlib.suppress(ValueError, OSError):  # not every system knows this limit
            resource.setrlimit(resource.RLIMIT_AS, (MEMORY, hard))


def _listen(jobs: queue.SimpleQueue[dict[str, Any]]) -> None:
    """Pass on jobs. The end of the input means that the parent is gone: so is this process, busy or not."""
    for line in sys.stdin.buffer:
        jobs.put(json.loads(line))
    os._exit(0)


def _answer(job: dict[str, Any], read: Callable[..., Reading]) -> tuple[dict[str, Any], Any]:
    # The default of both signals is the end of the process: it works inside a call that never comes back to Python.
    # The first counts the work, and the second the time of a process that hangs without any.
    signal.setitimer(signal.ITIMER_PROF, job["timeout"] + GRACE)
    signal.setitimer(signal.ITIMER_REAL, job["hung"])
    try:
        reading = _read(job, read)
    except UnreadableError as error:
        return {"reason": str(error)}, b""
    except MemoryError:
        return {"reason": f"takes more than {MEMORY / 2**30:g} GiB of memory"}, b""
    except Exception as error:  # whatever one file does to the decoder, the next one gets its turn
        return {"reason": f"{type(error).__name__}: {error}"}, b""
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
    header = {
        "shape": reading.pixels.shape,
        "timestamps": reading.timestamps,
        "indices": reading.indices,
        "fps": reading.fps,
        "duration": reading.duration,
    }
    return header, reading.pixels.data


def _read(job: dict[str, Any], read: Callable[..., Reading]) -> Reading:
    path, span, most_pixels = Path(job["path"]), job["span"], job["most_pixels"]
    if path.suffix == ".images":
        from savi.video.images import read_images

        return read_images(path, most_pixels)
    if job["fps"]:
        # A worker for videos starts faster without it.
        from savi.video.image_folder import read_image_folder

        return read_image_folder(path, job["count"], job["fps"], span, most_pixels)
    return read(path, job["count"], job["timeout"], span, most_pixels)


if __name__ == "__main__":
    serve()
