"""A run on its dashboards: W&B by the run's own switch, and the W&B and TensorBoard loggers that the user gives."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from lightning import Trainer
from lightning.pytorch.loggers import TensorBoardLogger, WandbLogger
from lightning.pytorch.utilities import rank_zero_info

from savi.evaluation.measured import Entry, comparable_with_last
from savi.record.boards import TensorBoard, WandbBoard
from savi.record.dashboards import OWN_CLIPS, Board, reply_tables, show_tables, training_tables
from savi.training.loggers import RunWandbLogger
from savi.training.parts import data_of
from savi.training.run_folder import run_folder, run_name

MOST_MALFORMED = 0.2
"""Share of malformed held-out replies above which a round counts as collapsed."""


def show_pairs(trainer: Trainer, index: int) -> None:
    """Show what a round learns from. index: from 0. All processes have to call it, as show_tables()."""
    _show_pairs(trainer, boards_of(trainer), index)


def show_replies(trainer: Trainer, round: int) -> None:
    """Show the held-out replies of a round next to the base's. round: from 1. All processes have to call it."""
    _show_replies(trainer, boards_of(trainer), round)


def show_earlier(trainer: Trainer, rounds: int) -> None:
    """Show the tables of a resumed run's first rounds to the W&B runs that haven't got them. All have to call it."""
    loggers = [one for one in trainer.loggers if isinstance(one, RunWandbLogger) and one.repeats_earlier_rounds]
    boards = [WandbBoard(logger.experiment) for logger in loggers]
    for index in range(rounds):
        _show_pairs(trainer, boards, index)
        _show_replies(trainer, boards, index + 1)


def report(trainer: Trainer, rounds: Sequence[Entry]) -> None:
    """Give W&B the figures that runs are sorted by, and tell of a round whose replies have collapsed."""
    for logger in trainer.loggers if trainer.is_global_zero else ():
        if isinstance(logger, WandbLogger):
            logger.experiment.summary.update(summary_of(rounds))
    last = rounds[-1]
    for name, share in malformed(last).items() if last["round"] else ():
        if share > MOST_MALFORMED:
            text = f"Round {last['round']}: {100 * share:.0f} % of the replies to {name} are malformed"
            rank_zero_info(f"{text}; the model may have collapsed.")
            alert(trainer, text)


def malformed(entry: Entry) -> dict[str, float]:
    """The share of malformed replies by benchmark, and of those about the run's own held-out clips."""
    shares = {name: one["malformed"] for name, one in entry.get("benchmarks", {}).items() if "malformed" in one}
    own = entry.get("held_out", {}).get("malformed")
    return shares | ({OWN_CLIPS: own["mean"]} if own else {})


def alert(trainer: Trainer, text: str) -> None:
    """Tell the dashboards of something that somebody should look at."""
    for board in boards_of(trainer) if trainer.is_global_zero else ():
        board.alert(run_name(trainer), text)


def summary_of(rounds: Sequence[Entry]) -> dict[str, float]:
    """`run/...`: pairs of all rounds, best and last accuracy of the first benchmark, gain over the base, malformed."""
    summary = {"run/pairs": float(sum(entry["pairs"] for entry in rounds))}
    if shares := list(malformed(rounds[-1]).values()):
        summary["run/malformed"] = shares[0]
    measured = comparable_with_last(rounds)
    if not measured:
        return summary
    first = next(iter(measured[-1]["benchmarks"]))
    series = [(entry["round"], entry["benchmarks"][first]) for entry in measured if first in entry["benchmarks"]]
    accuracies = [one["accuracy"] for _, one in series if one["accuracy"] is not None]
    if accuracies:
        summary |= {"run/best_accuracy": max(accuracies), "run/last_accuracy": accuracies[-1]}
        if series[0][0] == 0:
            summary["run/gain"] = accuracies[-1] - accuracies[0]
    return summary


def boards_of(trainer: Trainer) -> list[Board]:
    """The dashboards of this process. A W&B run that hasn't begun has none: it begins with the fit."""
    boards: list[Board] = []
    for logger in trainer.loggers:
        if isinstance(logger, WandbLogger) and not (isinstance(logger, RunWandbLogger) and not logger.begun):
            boards.append(WandbBoard(logger.experiment))
        elif isinstance(logger, TensorBoardLogger):
            boards.append(TensorBoard(logger.experiment))
    return boards


def _show_pairs(trainer: Trainer, boards: Sequence[Board], index: int) -> None:
    data = data_of(trainer)
    clips = {clip.id: clip for clip in data.clips}
    show_tables(boards, partial(training_tables, run_folder(trainer), index), clips, data.frames, index + 1)


def _show_replies(trainer: Trainer, boards: Sequence[Board], round: int) -> None:
    data = data_of(trainer)
    clips = {clip.id: clip for clip in [*data.held_out, *(one.clip for one in data.labelled)]}
    clips |= {item.clip.id: item.clip for opened in data.opened.values() for item in opened.items}
    show_tables(boards, partial(reply_tables, run_folder(trainer), round), clips, data.frames, round)
