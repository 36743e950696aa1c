"""A small disk fills up, grows and goes away, where this machine allows mounting one."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from tools.faults.disks import can_mount, resize, small_disk


def test_a_small_disk_fills_up_grows_and_goes_away(tmp_path: Path) -> None:
    folder = tmp_path / "disk"
    if not can_mount(folder):
        pytest.skip("this machine doesn't allow mounting")
    assert not folder.is_mount()
    with small_disk(folder, 2**16):
        with pytest.raises(OSError, match="No space left") as full:
            (folder / "file").write_bytes(bytes(2**17))
        assert full.value.errno == errno.ENOSPC
        resize(folder, 2**20)
        (folder / "file").write_bytes(bytes(2**17))
    assert not folder.is_mount()
    assert not any(folder.iterdir())
