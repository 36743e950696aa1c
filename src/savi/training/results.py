"""The results of a run, measured before the first round and after each, kept in results.json and checkpoints."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import WandbLogger
from lightning.pytorch.utilities import rank_zero_info, rank_zero_only

from savi.distributed.collectives import waited
from savi.evaluation.benchmarks.registry import BENCHMARKS
from savi.evaluation.measured import Entry, Summary, keep_comparable, upgrade
from savi.files import write_json
from savi.models.adapters import save_adapter
from savi.record.metrics import metric_name
from savi.training.benchmarks import BenchmarkAnswers
from savi.training.dashboards import log_earlier_pairs, log_pairs
from savi.training.loggers import RunWandbLogger
from savi.training.parts import aligned, data_of
from savi.training.run_folder import run_folder, run_name
from savi.training.self_critique import SelfCritique
from savi.training.starts import round_settings


class RunResults(Callback):
    """Collects the evaluation of each round, writes results.json, the items and the adapter.

    Round 0 is the base, measured in Lightning's sanity check (`num_sanity_val_steps: -1`). Round r was trained on
    the pairs that the model of round r - 1 wrote. A round has one entry, whatever the number of evaluations in it.
    """

    def __init__(self, benchmarks: BenchmarkAnswers, critic: SelfCritique) -> None:
        self.benchmarks = benchmarks
        self.critic = critic
        self.rounds: list[Entry] = []
        self._evaluated: int | None = None  # the round that this process evaluated last
        self._started = 0.0
        self._training_started = 0.0

    def state_dict(self) -> dict[str, Any]:
        return {"rounds": self.rounds}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.rounds = [upgrade(entry) for entry in state_dict["rounds"]]

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self.rounds:
            trainer.num_sanity_val_steps = 0  # the base was measured when the run began
            self._write(trainer, self.rounds)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # A run that is resumed inside a round has no start of that round.
        self._training_started = time.monotonic()
        boards = [one for one in trainer.loggers if isinstance(one, RunWandbLogger) and one.repeats_earlier_rounds]
        data = data_of(trainer)
        log_earlier_pairs(boards, run_folder(trainer), self.critic.round, data.clips, data.frames)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._training_started = time.monotonic()
        counts = self.critic.built.counts
        taken = {metric_name(f"filters/{name}"): float(counts.get(name, 0)) for name in self.critic.filters}
        made = {name: float(count) for name, count in counts.items() if name.startswith("pairs/")}
        # Not by log_dict(): Lightning writes that after the round's checkpoint, and a kill in between would lose it.
        for logger in trainer.loggers:
            logger.log_metrics({"pairs/total": float(counts["pairs"]), **made, **taken}, step=trainer.global_step)
        boards = [logger for logger in trainer.loggers if isinstance(logger, WandbLogger)]
        data = data_of(trainer)
        log_pairs(boards, self.critic.round, self.critic.built.pairs, data.clips, data.frames)

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._started = time.monotonic()

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # Lightning repeats its sanity check when a run is resumed; the base has been measured by then.
        if trainer.sanity_checking and self.rounds:
            return
        measured = self.benchmarks.finish(trainer)
        if not measured:
            return
        metrics = _metrics(measured)
        if trainer.sanity_checking:
            # log() is silent in the sanity check, and the base belongs on the dashboard too.
            for logger in trainer.loggers:
                logger.log_metrics(metrics, step=0)
        else:
            pl_module.log_dict(metrics)
        if trainer.state.fn != "fit":
            self._write_validation(trainer, measured)
        elif trainer.sanity_checking or _is_trained(trainer):
            # An evaluation in the middle of a round is not the round's: it goes to the loggers alone.
            self._evaluated = 0 if trainer.sanity_checking else trainer.current_epoch + 1
            self._add_round(trainer, measured)

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

    def _add_round(self, trainer: Trainer, measured: Mapping[str, Summary]) -> None:
        evaluating = time.monotonic() - self._started
        entry: Entry = {"round": 0, "pairs": 0, "filters": {}, "seconds": {"evaluating": evaluating}}
        if not trainer.sanity_checking:
            built = self.critic.built
            entry = {
                "round": trainer.current_epoch + 1,
                "pairs": len(built.pairs),
                "filters": {name: built.counts[name] for name in self.critic.filters if name in built.counts},
                "steps": {"taken": _steps(trainer), "planned": len(trainer.train_dataloader)},  # type: ignore[arg-type]
                "settings": round_settings(trainer),
                "seconds": {
                    "building": self.critic.seconds,
                    "training": self._started - self._training_started,
                    "evaluating": evaluating,
                },
            }
        entry["seconds"] = {name: round(value, 1) for name, value in entry["seconds"].items()} | waited()
        if measured:
            entry["benchmarks"] = dict(measured)
        self.rounds = [*(one for one in self.rounds if one["round"] != entry["round"]), entry]
        _announce(entry)
        self._write(trainer, self.rounds)

    def _write_validation(self, trainer: Trainer, measured: dict[str, Summary]) -> None:
        """The figures of this evaluation and their checkpoint, behind the base if the fit measured the same items."""
        seconds = {"evaluating": round(time.monotonic() - self._started, 1)}
        reached = self.rounds[-1] if self.rounds else {"round": 0, "pairs": 0, "filters": {}}
        entry = {**reached, "checkpoint": trainer.ckpt_path, "benchmarks": measured, "seconds": seconds}
        base = [keep_comparable(one, measured) for one in self.rounds[:1] if one["round"] < entry["round"]]
        self._write(trainer, [*(one for one in base if one["benchmarks"]), entry])

    @rank_zero_only
    def _write(self, trainer: Trainer, rounds: list[Entry]) -> None:
        module = aligned(trainer.lightning_module)
        folder = run_folder(trainer)
        run = {
            "name": run_name(trainer),
            "seed": module.seed,
            "base": module.base_settings.path,
            "base_fingerprint": module.base_fingerprint(),
        }
        if pairs := data_of(trainer).sources.pairs:
            run["pairs"] = pairs
        write_json(folder / "results.json", {"run": run, "rounds": rounds})


def _is_trained(trainer: Trainer) -> bool:
    """Whether the round's training is over: its last step was taken, or the run stops here."""
    return _steps(trainer) >= trainer.num_training_batches or trainer.should_stop


def _steps(trainer: Trainer) -> int:
    """Optimizer steps taken in the current round; one batch is one step."""
    return trainer.fit_loop.epoch_loop.batch_progress.current.completed


def _announce(entry: Entry) -> None:
    """Print the results of a round."""
    name = f"Round {entry['round']}" if entry["round"] else "The base"
    for benchmark, summary in entry.get("benchmarks", {}).items():
        title, right = BENCHMARKS[benchmark].title, summary["accuracy"]
        share = "no public answers" if right is None else f"{100 * right:.1f} % of {summary['counted']} questions right"
        rank_zero_info(f"{name}: {title}: {share}")


def _metrics(measured: Mapping[str, Summary]) -> dict[str, float]:
    """Metrics for the loggers: `val/accuracy` is the first benchmark's, all others are below the benchmark's name."""
    metrics: dict[str, float] = {}
    for name, summary in measured.items():
        shares = {key: summary[key] for key in ("accuracy", "free_form_accuracy", "malformed") if key in summary}
        counts = {"unread": summary["unread"], "fallbacks": summary["fallbacks"]}
        counts |= {f"errors/{kind}": count for kind, count in summary.get("errors", {}).items()}
        values = {**shares, **summary["by_task"], **counts}
        metrics |= {
            metric_name(f"val/{name}/{key}"): float(value) for key, value in values.items() if value is not None
        }
    first = next(iter(measured.values()))["accuracy"]
    return metrics if first is None else {"val/accuracy": first, **metrics}
