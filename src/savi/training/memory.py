"""What memory a run has taken."""

from __future__ import annotations

import resource
import sys

import torch

GIB = 2**30


def peak_memory(device: torch.device) -> dict[str, float]:
    """`memory/peak_gib` of this process and `memory/gpu_peak_gib` of its GPU, both since its start, in GiB."""
    # The kernel counts in KiB, that of macOS in bytes.
    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    peak = {"memory/peak_gib": resident / GIB}
    if device.type == "cuda":
        peak["memory/gpu_peak_gib"] = torch.cuda.max_memory_allocated(device) / GIB
    return peak
