"""Checkpoint files, read without running code and found by what is in them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from savi.errors import SaviError
from savi.record.renamed import current_settings

WEIGHTS = ("state_dict", "base", "epoch", "global_step", "loops")
"""The keys of every checkpoint of savi."""

TRAINING = ("callbacks", "optimizer_states", "lr_schedulers")
"""The keys that training needs in addition."""


@dataclass(frozen=True)
class CheckpointFile:
    """A checkpoint on disk.

    rounds: finished rounds that it has learned from. step: optimizer steps taken. ends_round: whether it was written at
    the end of a round with everything that training needs, so that the next round can follow it. settings: those of
    the run by dotted key; None in checkpoints of older versions, which don't hold them.
    """

    path: Path
    rounds: int
    step: int
    ends_round: bool
    settings: dict[str, Any] | None


def read_checkpoint(path: Path, *, lazily: bool = False) -> dict[str, Any]:
    """A checkpoint's content on the CPU: tensors, numbers, texts and containers of them, never code.

    lazily: leave tensors on disk until they are used. Raises SaviError for a file that is broken, or not of savi.
    """
    import torch  # here alone: who only looks for a run's settings goes without it

    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=lazily)
    except (FileNotFoundError, PermissionError, IsADirectoryError) as error:
        raise SaviError(f"{path}: {error.strerror}") from None
    except Exception as error:  # a broken file can fail in any place of the unpickler
        raise SaviError(f"{path} is no checkpoint of savi, or a damaged one ({type(error).__name__})") from None
    missing = [name for name in WEIGHTS if not isinstance(content, dict) or name not in content]
    if missing:
        raise SaviError(f"{path} is no checkpoint of savi: it has no {missing[0]!r}")
    return dict(content)


def inspect_checkpoint(path: Path) -> CheckpointFile:
    """A checkpoint's record, without reading its tensors. Raises SaviError as read_checkpoint does."""
    content = read_checkpoint(path, lazily=True)
    try:
        fit_loop = content["loops"]["fit_loop"]
        ended = bool(fit_loop["epoch_loop.batch_progress"]["is_last_batch"])
        epochs = fit_loop["epoch_progress"]["current"]
        step = int(content["global_step"])
    except (KeyError, TypeError, ValueError):
        raise SaviError(f"{path} is no checkpoint of savi: its progress can't be read") from None
    # The count of completed rounds is raised after the checkpoint is written, that of processed ones before.
    rounds = int(epochs["processed"] if ended else epochs["completed"])
    whole = ended and epochs["processed"] == epochs["ready"] and all(name in content for name in TRAINING)
    settings = content.get("settings")
    return CheckpointFile(path, rounds, step, whole, None if settings is None else current_settings(settings))


def newest_checkpoint(run: Path, *, at_end_of_round: bool) -> CheckpointFile | None:
    """The checkpoint of a run that has learned most, by what is in the files: their names say too little.

    Lightning calls a file last-v1.ckpt where the run's folder was moved, and leaves the older last.ckpt next to it.
    Raises SaviError for a file that can't be read, with what to do about it.
    """
    found, broken = [], []
    for path in sorted((run / "checkpoints").glob("*.ckpt")):
        try:
            found.append(inspect_checkpoint(path))
        except SaviError as error:
            broken.append((path, error))
    found = [file for file in found if file.ends_round or not at_end_of_round]
    newest = max(found, key=lambda file: (file.step, file.rounds, file.path.name == "last.ckpt"), default=None)
    if broken:
        rest = (
            f"{newest.path.name} (round {newest.rounds}) is the newest of the others" if newest else "there is no other"
        )
        raise SaviError(f"{broken[0][1]}; remove it to go without it: {rest}")
    return newest
