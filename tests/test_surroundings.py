"""Disks that are full or read-only, folders that can't be made: one line that names the file, and nothing is lost."""

from __future__ import annotations

import errno
import json
import os
import re
import resource
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from datasets import load_dataset

from savi.cli.main import main
from savi.critique.pairs import json_records, read_pairs
from savi.errors import describe_os_error
from tests.quick_runs import QUICK
from tests.test_cli import complaint
from tests.test_run import DEMO, assert_same_run

SMALL = [
    *QUICK,
    "--data.clip_count=6",
    "--data.benchmark_clips=2",
    "--data.micro_batch_clips=3",
    "--trainer.max_epochs=1",
]


def arguments(runs: Path, *more: str) -> list[str]:
    return ["fit", "--config", str(DEMO), f"--runs={runs}", *SMALL, *more]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nothing disturbed."""
    runs = tmp_path_factory.mktemp("whole")
    main(arguments(runs))
    return runs / "demo" / "version_0"


Mount = Callable[[str], None]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[tuple[Path, Mount]]:
    """A small file system, and what mounts it anew with other options. It needs a user who may mount."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if not shutil.which("mount") or _mount("size=64k", folder).returncode:
        pytest.skip("this user can't mount a file system of a given size")
    try:
        yield folder, lambda options: _mount(f"remount,{options}", folder).check_returncode()
    finally:
        subprocess.run([shutil.which("umount") or "", "--lazy", str(folder)], check=True)


def _mount(options: str, folder: Path) -> subprocess.CompletedProcess[bytes]:
    command = [shutil.which("mount") or "", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    return subprocess.run(command, capture_output=True, check=False)


@pytest.mark.parametrize("size", ["12k", "40k", "600k"], ids=["measuring", "building", "saving"])
def test_a_full_disk_is_one_line_and_the_run_resumes_to_the_same_end(
    size: str, disk: tuple[Path, Mount], whole: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, mount = disk
    mount(f"size={size}")
    line = complaint(arguments(folder), capsys)
    assert re.fullmatch(rf"savi: {folder}/demo/version_0/\S+: .*No space left on device.*", line)
    mount("size=8m")
    main(arguments(folder, "--ckpt_path=last"))
    assert_same_run(whole, folder / "demo" / "version_0")


def test_a_read_only_disk_is_one_line(disk: tuple[Path, Mount], capsys: pytest.CaptureFixture[str]) -> None:
    folder, mount = disk
    mount("ro")
    line = complaint(arguments(folder), capsys)
    assert line.startswith(f"savi: {folder}")
    assert line.endswith(": Read-only file system")


def test_a_file_that_may_not_grow_is_one_line(tmp_path: Path, whole: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As a quota does it, on any machine: the adapter is the first file above the limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        line = complaint(arguments(tmp_path), capsys)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert str(tmp_path / "demo" / "version_0" / "adapter") in line
    assert "File too large" in line
    main(arguments(tmp_path, "--ckpt_path=last"))
    assert_same_run(whole, tmp_path / "demo" / "version_0")


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert complaint(arguments(tmp_path / "file"), capsys).endswith(": Not a directory")
    cache = f"--data.cache={tmp_path / 'file' / 'cache'}"
    assert complaint(arguments(tmp_path, cache), capsys).startswith(f"savi: {tmp_path / 'file' / 'cache'}")
    replies = tmp_path / "replies.jsonl"
    row = {"benchmark": "mvbench", "task": "x", "question": "?", "options": ["a", "b"], "answer": "A", "response": "A"}
    replies.write_text(json.dumps(row) + "\n")
    target = tmp_path / "file" / "scored.jsonl"
    assert complaint(["score", str(replies), "--output", str(target)], capsys).startswith(f"savi: {target.parent}")


def test_the_traceback_is_behind_an_environment_variable(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bug of savi's own may be an OSError too."""

    def broken(_: object) -> None:
        raise FileNotFoundError(errno.ENOENT, "No such file or directory", "nowhere")

    monkeypatch.setattr("savi.evaluation.rescore.score", broken)
    with pytest.raises(SystemExit):
        main(["score"])
    assert capsys.readouterr().err == "savi: nowhere: No such file or directory\n"
    monkeypatch.setenv("SAVI_DEBUG", "1")
    with pytest.raises(SystemExit) as stop:
        main(["score"])
    assert stop.value.code == 2
    said = capsys.readouterr().err
    assert "Traceback" in said
    assert "in broken" in said
    assert said.endswith("savi: nowhere: No such file or directory\n")


def test_an_error_from_writing_is_given_the_name_of_the_file_that_was_open() -> None:
    with pytest.raises(OSError, match="No space left") as full:
        Path("/dev/full").write_text("text")
    assert describe_os_error(full.value) == "/dev/full: No space left on device"
    unknown = OSError(errno.EIO, os.strerror(errno.EIO))
    assert describe_os_error(unknown) == "Input/output error (SAVI_DEBUG=1 shows where)"
    assert describe_os_error(OSError("no such\n model")) == "no such model (SAVI_DEBUG=1 shows where)"
    assert describe_os_error(PermissionError(errno.EACCES, "Permission denied", b"a", None, "b")) == (
        "b: Permission denied"
    )


def test_an_error_from_copying_a_folder_names_its_first_file(tmp_path: Path) -> None:
    (tmp_path / "from").mkdir()
    (tmp_path / "from" / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(shutil.Error) as failed:
        shutil.copytree(tmp_path / "from", tmp_path / "to")
    line = describe_os_error(failed.value)
    assert line.startswith(f"{tmp_path / 'to' / 'link'}: ")
    assert "No such file" in line


def test_clips_whose_names_are_not_utf8_are_learned_from_and_named(
    tmp_path: Path, whole: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / os.fsdecode(b"vid\xe9os")
    folder.mkdir()
    videos = [record["video"] for _, record in json_records(whole / "traces" / "round_00.jsonl")]
    for number, video in enumerate(videos[:3]):
        shutil.copy(video, folder / os.fsdecode(b"caf\xe9 %d.mp4" % number))
    (folder / os.fsdecode(b"bro\xfcken.mp4")).write_bytes(b"")
    given = [f"--data.clips={folder}", "--data.clip_count=null", "--data.benchmark=null"]
    main(arguments(tmp_path, *given))
    run = tmp_path / "demo" / "version_0"
    pairs = read_pairs(run / "pairs" / "round_00.jsonl")
    assert {pair.clip for pair in pairs} <= {rf"caf\xe9 {number}" for number in range(3)}
    assert {pair.video for pair in pairs} <= {rf"{tmp_path}/vid\xe9os/caf\xe9 {number}.mp4" for number in range(3)}
    for file in [*run.rglob("*.json*"), *run.rglob("*.csv")]:
        file.read_text(encoding="utf-8", errors="strict")
    assert len(load_dataset("json", data_files=str(run / "pairs" / "round_00.jsonl"), cache_dir=str(tmp_path))["train"])
    assert r"vid\xe9os/bro\xfcken.mp4: empty file" in capsys.readouterr().out
    assert torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["global_step"] > 0
