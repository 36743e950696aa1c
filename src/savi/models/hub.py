"""Checkpoints of the Hugging Face hub that can't be read: what is in the way, and what to do."""

from __future__ import annotations

from pathlib import Path

from huggingface_hub import constants
from huggingface_hub.errors import (
    GatedRepoError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
)

from savi.errors import SaviError


class NotHereError(SaviError):
    """A checkpoint of the hub that isn't on this machine and can't be downloaded. remedy: what to do."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(f"{reason}: {remedy}")
        self.reason = reason
        self.remedy = remedy


def unread(what: str, path: str, error: Exception) -> SaviError:
    """The refusal of a checkpoint, from the error that its reading ended with.

    what: what of the checkpoint could not be read, a sentence's start. path: its folder or hub name.
    """
    causes = [error]
    while cause := causes[-1].__cause__ or causes[-1].__context__:
        if not isinstance(cause, Exception) or cause in causes:
            break
        causes.append(cause)

    def is_by(*kinds: type[Exception]) -> bool:
        return not Path(path).is_dir() and any(isinstance(cause, kinds) for cause in causes)

    download = f"run `hf download {path}` where there is a network, or give a folder that holds the checkpoint"
    if is_by(GatedRepoError):
        terms = f"accept its terms on {constants.ENDPOINT}/{path}, then run `hf auth login`"
        return NotHereError(f"{what}: the hub asks who wants it", terms)
    if is_by(RepositoryNotFoundError):
        spelled = "check the spelling; a private checkpoint needs `hf auth login`"
        return NotHereError(f"{what}: there is no such folder, and the hub has no such checkpoint", spelled)
    if is_by(LocalEntryNotFoundError, OfflineModeIsEnabled, ConnectionError):
        why = "HF_HUB_OFFLINE is set" if constants.HF_HUB_OFFLINE else "the hub can't be reached"
        return NotHereError(f"{what}: there is no such folder, no download of that name, and {why}", download)
    return SaviError(f"{what}: {first_line(error)}")


def first_line(error: Exception) -> str:
    """What an error says, in one line."""
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__
