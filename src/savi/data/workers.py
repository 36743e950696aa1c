"""The processes of a DataLoader end with the process that started them."""

from __future__ import annotations

import os
import threading
import time
from multiprocessing import parent_process

INTERVAL = 0.5
"""Seconds between two looks at the parent."""


def end_with_parent(worker: int) -> None:
    """Let this worker of a DataLoader end soon after its parent, however that ends.

    torch ends its workers when it finds the parent gone. A worker that has a large batch to hand over doesn't get
    there: it waits for ever for a reader of its pipe. It would keep the memory, and the lock of the run's folder that
    it was forked with, so that a killed run could not be resumed. worker: the number that torch gives it.
    """
    parent = parent_process()
    if parent is not None:
        threading.Thread(target=_watch, args=(parent.pid,), daemon=True).start()


def _watch(parent: int | None) -> None:
    while os.getppid() == parent:
        time.sleep(INTERVAL)
    os._exit(1)
