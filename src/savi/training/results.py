"""The callback that writes down what happened: the base before the first round, and every round after it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sized
from typing import Any, cast

from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_info, rank_zero_only

from savi.alignment.held_out_figures import held_out_metrics
from savi.evaluation.measured import Entry, Summary
from savi.models.adapters import save_adapter
from savi.record.failure import clear_failure, write_failure
from savi.record.results import RunRecord, entry_lines, evaluation_metrics, pair_metrics, write_results
from savi.training.benchmarks import BenchmarkAnswers
from savi.training.dashboard import alert, report, show_earlier, show_pairs, show_replies
from savi.training.held_out import measure_held_out
from savi.training.memory import peak_memory
from savi.training.parts import aligned, data_of
from savi.training.progress import PARTS, progress_of
from savi.training.run_folder import run_folder, run_name
from savi.training.self_critique import SelfCritique
from savi.training.starts import round_settings
from savi.types import SaviError


class RunResults(Callback):
    """Hands each round's pairs, seconds and evaluation to the run's record, its loggers and its dashboard.

    Round 0 is the base, measured in Lightning's sanity check (`num_sanity_val_steps: -1`). Round r was trained on
    the pairs that the model of round r - 1 wrote.
    """

    def __init__(self, benchmarks: BenchmarkAnswers, critic: SelfCritique) -> None:
        self.benchmarks = benchmarks
        self.critic = critic
        self.record = RunRecord()
        self._base_held_out: dict[str, Any] = {}
        self._evaluated: int | None = None  # the round that this process evaluated last
        self._started = 0.0
        self._training_started = 0.0
        self._begun = False  # whether this process has begun to train

    def state_dict(self) -> dict[str, Any]:
        return {"rounds": self.record.rounds}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.record.restore(state_dict["rounds"])

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self.record.rounds:
            trainer.num_sanity_val_steps = 0  # the base was measured when the run began
            took = self.record.rounds[-1]["seconds"]
            progress_of(trainer).took.update({part: took[part] for part in PARTS if part in took})
            self._write(trainer, self.record.rounds)
            return
        self._started = time.monotonic()
        self._base_held_out = self._measure_held_out(trainer, 0)
        if self._base_held_out and not data_of(trainer).opened:
            self._say(trainer, self.record.add_base({}, time.monotonic() - self._started, self._base_held_out))

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._begun = True
        if trainer.is_global_zero:
            clear_failure(run_folder(trainer))
        # A run that is resumed inside a round has no start of that round.
        self._training_started = time.monotonic()
        show_earlier(trainer, self.critic.round)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        built = self.critic.built
        # Not by log_dict(): Lightning writes that after the round's checkpoint, and a kill in between would lose it.
        self._log(trainer, built.round + 1, pair_metrics(built.counts, self.critic.filters), trainer.global_step)
        show_pairs(trainer, built.round)
        self._training_started = time.monotonic()

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._started = time.monotonic()

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # Lightning repeats its sanity check when a run is resumed; the base has been measured by then.
        if trainer.sanity_checking and self.record.rounds:
            return
        measured = self.benchmarks.finish(trainer)
        if not measured:
            return
        metrics = evaluation_metrics(measured, "test" if trainer.testing else "val")
        if trainer.sanity_checking:
            # log() is silent in the sanity check, and the base belongs on the dashboard too.
            self._log(trainer, 0, metrics, 0)
        elif trainer.state.fn == "fit":
            pl_module.log_dict({"round": trainer.current_epoch + 1.0, **metrics})
        if trainer.state.fn != "fit":
            evaluating = time.monotonic() - self._started
            rounds = self.record.with_validation(measured, trainer.ckpt_path, evaluating)
            pl_module.log_dict({"round": float(rounds[-1]["round"]), **metrics})
            self._write(trainer, rounds)
            report(trainer, rounds)
        elif trainer.sanity_checking or _is_trained(trainer):
            # An evaluation in the middle of a round is not the round's: it goes to the loggers alone.
            self._evaluated = 0 if trainer.sanity_checking else trainer.current_epoch + 1
            self._add_round(trainer, measured)

    on_test_epoch_start = on_validation_epoch_start
    on_test_epoch_end = on_validation_epoch_end

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._evaluated != trainer.current_epoch + 1:
            # Without an evaluation of its own the round has no accuracy and no items.
            self._started = time.monotonic()
            self._add_round(trainer, {})
        if trainer.is_global_zero:
            save_adapter(aligned(pl_module).peft_model, run_folder(trainer) / "adapter")

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        if isinstance(exception, KeyboardInterrupt):
            rank_zero_info("Stopped; nothing is lost. --ckpt_path last (make train … RESUME=1) resumes from here.")
            return
        if isinstance(exception, SaviError):
            alert(trainer, f"The run has stopped: {exception}")
        if self._begun and trainer.is_global_zero:
            # A start that is refused changes no file of the run.
            write_failure(run_folder(trainer), exception)

    def _add_round(self, trainer: Trainer, measured: Mapping[str, Summary]) -> None:
        round = 0 if trainer.sanity_checking else trainer.current_epoch + 1
        held_out = self._measure_held_out(trainer, round) if round else self._base_held_out
        evaluating = time.monotonic() - self._started
        if not round:
            entry = self.record.add_base(measured, evaluating, held_out)
        else:
            training = self._started - self._training_started
            entry = self.record.add_round(
                self.critic.built,
                self.critic.filters,
                round,
                (_steps(trainer), len(cast(Sized, trainer.train_dataloader))),
                round_settings(trainer),
                {"building": self.critic.seconds, "training": training, "evaluating": evaluating},
                measured,
                held_out,
            )
        self._say(trainer, entry)

    def _measure_held_out(self, trainer: Trainer, round: int) -> dict[str, Any]:
        figures = measure_held_out(trainer, round)
        if figures:
            self._log_at_end(trainer, round, held_out_metrics(figures))
        return figures

    def _say(self, trainer: Trainer, entry: Entry) -> None:
        for line in entry_lines(entry):
            rank_zero_info(line)
        self._write(trainer, self.record.rounds)
        seconds = {f"seconds/{part}": value for part, value in entry["seconds"].items() if part != "waiting"}
        self._log_at_end(trainer, entry["round"], {**seconds, **peak_memory(trainer.strategy.root_device)})
        report(trainer, self.record.rounds)
        if entry["round"]:
            show_replies(trainer, entry["round"])

    def _log_at_end(self, trainer: Trainer, round: int, metrics: Mapping[str, float]) -> None:
        # With the round's last step: a resume keeps what was logged before the checkpoint's.
        self._log(trainer, round, metrics, max(0, trainer.global_step - 1))

    def _log(self, trainer: Trainer, round: int, metrics: Mapping[str, float], step: int) -> None:
        for logger in trainer.loggers:
            logger.log_metrics({"round": float(round), **metrics}, step=step)

    @rank_zero_only
    def _write(self, trainer: Trainer, rounds: list[Entry]) -> None:
        module = aligned(trainer.lightning_module)
        run = {
            "name": run_name(trainer),
            "seed": module.seed,
            "base": module.base_settings.path,
            "base_fingerprint": module.base_fingerprint(),
        }
        if pairs := data_of(trainer).sources.pairs:
            run["pairs"] = pairs
        write_results(run_folder(trainer), run, rounds)


def _is_trained(trainer: Trainer) -> bool:
    """Whether the round's training is over: its last step was taken, or the run stops here."""
    return _steps(trainer) >= trainer.num_training_batches or trainer.should_stop


def _steps(trainer: Trainer) -> int:
    """Optimizer steps taken in the current round; one batch is one step."""
    return trainer.fit_loop.epoch_loop.batch_progress.current.completed
