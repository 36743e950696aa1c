"""What is read off around a step: seconds, or the peak of memory above what was resident before it."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from pathlib import Path

import torch


class Meter(ABC):
    """readings: one per step."""

    def __init__(self, device: str) -> None:
        self.device = torch.device(device)
        self.readings: list[float] = []

    @abstractmethod
    def start(self) -> None: ...

    @abstractmethod
    def stop(self) -> None: ...

    def __enter__(self) -> None:
        self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()


class Stopwatch(Meter):
    """Seconds, the device's queue emptied before and after.

    peaks: MiB above what was resident, a step, on a GPU, whose allocator counts them anyway.
    """

    def __init__(self, device: str) -> None:
        super().__init__(device)
        self.peaks = Watermark(device)

    def start(self) -> None:
        self._synchronise()
        if self.device.type == "cuda":
            self.peaks.start()
        self._started = time.perf_counter()

    def stop(self) -> None:
        self._synchronise()
        self.readings.append(time.perf_counter() - self._started)
        if self.device.type == "cuda":
            self.peaks.stop()

    def _synchronise(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


class ProcessClock(Meter):
    """Seconds of CPU time of this process: what others do on a shared machine is hardly in it."""

    def start(self) -> None:
        self._started = time.process_time()

    def stop(self) -> None:
        self.readings.append(time.process_time() - self._started)


def cpu_meter(device: str) -> Meter:
    """For a machine that others use too: the process's own time. On a GPU, whose work is elsewhere, the seconds."""
    return Stopwatch(device) if device == "cuda" else ProcessClock(device)


class Watermark(Meter):
    """MiB: the allocator's on a GPU; of the process on a CPU, where Linux lets the high-water mark be set back."""

    def start(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
            self._resident = torch.cuda.memory_allocated(self.device) / 2**20
        else:
            Path("/proc/self/clear_refs").write_text("5")
            self._resident = _status_mib("VmRSS")

    def stop(self) -> None:
        cuda = self.device.type == "cuda"
        peak = torch.cuda.max_memory_allocated(self.device) / 2**20 if cuda else _status_mib("VmHWM")
        self.readings.append(peak - self._resident)


def _status_mib(field: str) -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"this system has no {field} in /proc/self/status")


def matrix_product_rate(device: str, dtype: str) -> float:
    """Floating-point operations a second of the best of several matrix products: the limit that shares are taken of."""
    best = 0.0
    wide = (8192, 4096, 4096) if device == "cuda" else (1024, 512, 1536)
    for rows, inner, columns in (wide, (1024, 1024, 1024)):
        a = torch.randn(rows, inner, device=device, dtype=getattr(torch, dtype))
        b = torch.randn(columns, inner, device=device, dtype=getattr(torch, dtype))
        watch = Stopwatch(device)
        for _ in range(12):
            with watch:
                torch.nn.functional.linear(a, b)
        best = max(best, 2 * rows * inner * columns / min(watch.readings))
    return best
