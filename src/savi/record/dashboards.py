"""A round in Weights & Biases: its pairs, each with a contact sheet of its clip."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from PIL import Image

from savi.critique.pairs import read_pairs
from savi.distributed.collectives import from_rank_zero, shard_and_gather
from savi.distributed.failures import is_first
from savi.types import Clip, PreferencePair
from savi.video.contact_sheet import contact_sheet
from savi.video.decode import UndecodableClip, decode

if TYPE_CHECKING:
    import wandb

COLUMNS = [
    "clip",
    "frames",
    "aspect",
    "question",
    "rejected",
    "critique",
    "chosen",
    "reference_rejected_logp",
    "reference_chosen_logp",
]

MOST_CLIPS = 32
"""Clips shown of a round. Each is decoded once more for its picture; all pairs are in the round's file."""


class Board(Protocol):
    """A logger of Weights & Biases. experiment: its run."""

    @property
    def experiment(self) -> Any: ...


def log_pairs(
    loggers: Sequence[Board],
    round_index: int,
    pairs: Sequence[PreferencePair],
    clips: Sequence[Clip],
    frame_count: int,
) -> None:
    """Log the pairs of up to MOST_CLIPS clips, spread over the round, as the table `pairs/round_NN`.

    clips: those that the pairs were built from. One that can't be decoded any more has no picture. All processes have
    to call it, because they share the decoding; the first one logs.
    """
    if not from_rank_zero(lambda: bool(loggers), "training"):
        return
    videos = {clip.id: clip.path for clip in clips}
    paired = list(dict.fromkeys(pair.clip for pair in pairs))
    shown = paired[:: -(-len(paired) // MOST_CLIPS) or 1]
    made = shard_and_gather(shown, lambda clip: _sheet(videos[clip], frame_count), "training")
    sheets = {clip: sheet for clip, sheet in zip(shown, made, strict=True) if sheet is not None}
    if is_first():
        for logger in loggers:
            table = pair_table([pair for pair in pairs if pair.clip in shown], sheets)
            logger.experiment.log({f"pairs/round_{round_index:02d}": table})


def log_earlier_pairs(
    loggers: Sequence[Board], run: Path, rounds: int, clips: Sequence[Clip], frame_count: int
) -> None:
    """Log the tables of the first `rounds` rounds of a run from its files, for W&B runs that haven't got them.

    All processes have to call it, as log_pairs().
    """
    for round_index in range(rounds):
        pairs = read_pairs(run / "pairs" / f"round_{round_index:02d}.jsonl")
        log_pairs(loggers, round_index, pairs, clips, frame_count)


def pair_table(pairs: Sequence[PreferencePair], sheets: Mapping[str, Image.Image]) -> wandb.Table:
    """One row per pair, in the order of a chain's turns. sheets: contact sheets by clip id; a clip may be without."""
    # It takes seconds to import, and most runs go without.
    import wandb

    images = {clip: wandb.Image(sheet) for clip, sheet in sheets.items()}
    table = wandb.Table(columns=COLUMNS)
    for pair in pairs:
        table.add_data(
            pair.clip,
            images.get(pair.clip),
            pair.aspect,
            pair.question,
            pair.rejected,
            pair.critique,
            pair.chosen,
            pair.reference_rejected_logp,
            pair.reference_chosen_logp,
        )
    return table


def _sheet(video: Path, frame_count: int) -> Image.Image | None:
    try:
        return contact_sheet(decode(video, frame_count))
    except UndecodableClip:
        return None
