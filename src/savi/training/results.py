"""What a run has reached: measured before the first round and after each, kept in results.json and checkpoints."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import WandbLogger
from lightning.pytorch.utilities import rank_zero_info, rank_zero_only

from savi.critique.filters import FILTERS
from savi.evaluation.benchmarks.registry import BENCHMARKS
from savi.evaluation.multiple_choice import ItemResult, summarise
from savi.models.adapters import save_adapter
from savi.training.benchmarks import BenchmarkAnswers
from savi.training.dashboards import log_pairs
from savi.training.processes import gather, waited
from savi.training.run_folder import run_folder, run_name, write_json
from savi.training.self_critique import SelfCritique

if TYPE_CHECKING:
    from savi.training.module import SelfAlignment


class RunResults(Callback):
    """Collects the evaluation of each round, writes results.json, the items and the adapter.

    Round 0 is the base, measured in Lightning's sanity check (`num_sanity_val_steps: -1`). Round r was trained on
    the pairs that the model of round r - 1 wrote.
    """

    def __init__(self, benchmarks: BenchmarkAnswers) -> None:
        self.benchmarks = benchmarks
        self.rounds: list[dict[str, Any]] = []
        self._batches: list[list[ItemResult]] = []
        self._results: list[ItemResult] = []
        self._started = 0.0
        self._training_started = 0.0

    def state_dict(self) -> dict[str, Any]:
        return {"rounds": self.rounds}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.rounds = list(state_dict["rounds"])

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._training_started = time.monotonic()
        critic = _critic(trainer)
        counts = critic.counts
        taken = {f"filters/{name}": float(counts.get(name, 0)) for name in FILTERS}
        made = {name: float(count) for name, count in counts.items() if name.startswith("pairs/")}
        # Not by log_dict(): Lightning writes that after the round's checkpoint, and a kill in between would lose it.
        for logger in trainer.loggers:
            logger.log_metrics({"pairs/total": float(counts["pairs"]), **made, **taken}, step=trainer.global_step)
        boards = [logger for logger in trainer.loggers if isinstance(logger, WandbLogger)]
        log_pairs(boards, critic.round, critic.built, trainer.datamodule.frames)  # type: ignore[attr-defined]

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._started = time.monotonic()
        self._batches = []

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        # After each batch, so that no process waits for another longer than a batch takes.
        self._batches += gather(lambda: outputs, "evaluating")

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._results = [result for batch in self._batches for result in batch]
        # Lightning repeats its sanity check when a run is resumed; the base has been measured by then.
        if trainer.sanity_checking and self.rounds:
            return
        summary = summarise(self._results) if self._results else {}
        if measured := self.benchmarks.finish():
            summary["benchmarks"] = measured
        if not summary:
            return
        metrics = _metrics(summary)
        if trainer.sanity_checking:
            # log() is silent in the sanity check, and the base belongs on the dashboard too.
            for logger in trainer.loggers:
                logger.log_metrics(metrics, step=0)
        else:
            pl_module.log_dict(metrics)
        if trainer.state.fn == "fit":
            self._add_round(trainer, summary)
        else:
            seconds = {"evaluating": round(time.monotonic() - self._started, 1)}
            reached = self.rounds[-1] if self.rounds else {"round": 0, "pairs": 0, "filters": {}}
            # What the fit measured and this evaluation didn't is not its result.
            kept = {"round", "pairs", "filters", "seconds", *summary}
            earlier = [{k: v for k, v in entry.items() if k in kept} for entry in (*self.rounds[:1], reached)]
            self._write(trainer, [*earlier[:-1], {**earlier[-1], **summary, "seconds": seconds}])
            if self._results:
                write_items(run_folder(trainer) / "items.jsonl", self._results)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not self.rounds or self.rounds[-1]["round"] != trainer.current_epoch + 1:
            # Without a benchmark there was no evaluation; the round is told of all the same.
            self._started = time.monotonic()
            self._add_round(trainer, {})
        if trainer.is_global_zero:
            module: SelfAlignment = pl_module  # type: ignore[assignment]
            save_adapter(module.peft_model, run_folder(trainer) / "adapter")

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        if isinstance(exception, KeyboardInterrupt):
            rank_zero_info("Stopped; nothing is lost. --ckpt_path last (make train … RESUME=1) goes on from here.")

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self.rounds:
            trainer.num_sanity_val_steps = 0  # the base was measured when the run began
            self._write(trainer, self.rounds)

    def _add_round(self, trainer: Trainer, summary: dict[str, Any]) -> None:
        evaluating = time.monotonic() - self._started
        if trainer.sanity_checking:
            entry = {"round": 0, **summary, "pairs": 0, "filters": {}, "seconds": {"evaluating": evaluating}}
        else:
            critic = _critic(trainer)
            counts = critic.counts
            entry = {
                "round": trainer.current_epoch + 1,
                **summary,
                "pairs": counts["pairs"],
                "filters": {name: counts[name] for name in FILTERS if name in counts},
                "seconds": {
                    "building": critic.seconds,
                    "training": self._started - self._training_started,
                    "evaluating": evaluating,
                },
            }
        entry["seconds"] = {name: round(value, 1) for name, value in entry["seconds"].items()} | waited()
        self.rounds = [*self.rounds, entry]
        name = f"Round {entry['round']}" if entry["round"] else "The base"
        if "accuracy" in summary:
            rank_zero_info(f"{name}: {100 * summary['accuracy']:.1f} % of {summary['items']} held-out questions right")
        for benchmark, measured in summary.get("benchmarks", {}).items():
            share = "no public answers" if measured["accuracy"] is None else f"{100 * measured['accuracy']:.1f} %"
            rank_zero_info(f"{name}: {BENCHMARKS[benchmark].title}: {share}")
        self._write(trainer, self.rounds)
        if self._results:
            write_items(run_folder(trainer) / "items" / f"round_{entry['round']:02d}.jsonl", self._results)

    @rank_zero_only
    def _write(self, trainer: Trainer, rounds: list[dict[str, Any]]) -> None:
        module: SelfAlignment = trainer.lightning_module  # type: ignore[assignment]
        folder = run_folder(trainer)
        run = {
            "name": run_name(trainer),
            "seed": module.seed,
            "base": module.base_settings.path,
            "base_fingerprint": module.base_fingerprint(),
        }
        write_json(folder / "results.json", {"run": run, "rounds": rounds})


def _metrics(summary: dict[str, Any]) -> dict[str, float]:
    """What the loggers get: the world's figures under their own names, the others' under their benchmark's."""
    metrics: dict[str, float] = {}
    if "accuracy" in summary:
        metrics = {
            "val/accuracy": summary["accuracy"],
            "val/free_form_accuracy": summary["free_form_accuracy"],
            "val/malformed": summary["malformed"],
            **{f"val/{task}": accuracy for task, accuracy in summary["by_task"].items()},
            **{f"val/errors/{kind}": float(count) for kind, count in summary["errors"].items()},
        }
    for name, measured in summary.get("benchmarks", {}).items():
        if measured["accuracy"] is not None:
            metrics[f"val/{name}/accuracy"] = measured["accuracy"]
        metrics |= {f"val/{name}/{task}": accuracy for task, accuracy in measured["by_task"].items()}
        metrics[f"val/{name}/fallbacks"] = float(measured["fallbacks"])
    return metrics


@rank_zero_only
def write_items(path: Path, results: Sequence[ItemResult]) -> None:
    """One JSON line an item: what was asked, what was chosen and written, what is right."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as file:
        for result in results:
            item = result.item
            record = {
                "id": item.id,
                "video": str(item.clip.path),
                "task": item.task,
                "question": item.question,
                "options": item.options,
                "answer": item.options[item.answer],
                "choice": item.options[result.choice],
                "logps": [round(logp, 4) for logp in result.logps],
                "reply": result.reply,
                "malformed": result.malformed,
            }
            file.write(json.dumps(record, ensure_ascii=False) + "\n")


def _critic(trainer: Trainer) -> SelfCritique:
    return next(callback for callback in trainer.callbacks if isinstance(callback, SelfCritique))  # type: ignore[attr-defined]
