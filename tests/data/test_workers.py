"""No process of a DataLoader outlives the process that started it, even where that is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

LOADER = """
import sys, time
import torch
from savi.training.datamodule import ClipDataModule

class Large(torch.utils.data.Dataset):
    '''Batches that fill the pipe to a parent that doesn't read them.'''
    def __len__(self):
        return 4
    def __getitem__(self, index):
        return bytes(2**22)

loader = iter(ClipDataModule(clips=sys.argv[1], benchmark=None, workers=2)._loader(Large()))
print(*(worker.pid for worker in loader._workers), flush=True)
time.sleep(600)
"""


def ended(pid: int) -> bool:
    """Whether a process, of which this one isn't the parent, has ended. What nobody has reaped has ended, too."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    status = Path(f"/proc/{pid}/stat")
    return status.is_file() and status.read_text().rpartition(")")[2].split()[0] == "Z"


def test_workers_with_a_full_pipe_end_after_their_parent_is_killed(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", LOADER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    workers = [int(word) for word in process.stdout.readline().split()]
    assert len(workers) == 2
    time.sleep(3)  # both have filled their pipes by then
    process.send_signal(signal.SIGKILL)
    process.wait()
    end = time.monotonic() + 30
    try:
        while time.monotonic() < end and not all(map(ended, workers)):
            time.sleep(0.1)
        assert all(map(ended, workers))
    finally:
        for pid in workers:
            if not ended(pid):
                os.kill(pid, signal.SIGKILL)
