"""Keeps what a run answers to benchmarks, as it answers, and sums it up at the end of each evaluation."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_info, rank_zero_only

from savi.data.batches import ItemBatch
from savi.distributed.collectives import all_gather
from savi.evaluation.answers import Answer, AnswerLog, answer_items, greedy
from savi.evaluation.benchmarks.items import Item
from savi.evaluation.benchmarks.registry import BENCHMARKS
from savi.evaluation.graded_answers import grade_answers
from savi.evaluation.settings import OpenBenchmark, describe
from savi.evaluation.tables import write_tables
from savi.files import write_json, write_json_lines
from savi.models.adapters import trainable_state
from savi.prompts.templates import WORLD as WORLD_PROMPTS
from savi.training.run_folder import run_folder, run_name
from savi.types import Clip, Frames
from savi.video.decode import UndecodableClip

if TYPE_CHECKING:
    from savi.training.module import SelfAlignment


class BenchmarkAnswers(Callback):
    """Answers benchmark items with the module's model, through a log that survives a kill.

    Files go to `benchmarks/` in the folder of a validation, to `benchmarks/round_NN/` in that of a fit.
    """

    def __init__(self) -> None:
        self.logs: dict[str, AnswerLog] = {}

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self._trainer = trainer
        self._module: SelfAlignment = pl_module  # type: ignore[assignment]
        self._data: Any = trainer.datamodule  # type: ignore[attr-defined]
        self._data.answer_source = self
        for opened in self.opened.values():
            rank_zero_info(describe(opened))

    @property
    def opened(self) -> Mapping[str, OpenBenchmark]:
        opened: Mapping[str, OpenBenchmark] = self._data.opened
        return opened

    @property
    def folder(self) -> Path:
        """Where the files of the current evaluation go."""
        folder = run_folder(self._trainer) / "benchmarks"
        if self._trainer.state.fn != "fit":
            return folder
        return folder / f"round_{0 if self._trainer.sanity_checking else self._trainer.current_epoch + 1:02d}"

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        adapter = _digest(trainable_state(self._module))
        for name, opened in self.opened.items():
            # A process has a log of its own, and takes what any process has answered before.
            rank = f"-{trainer.global_rank}" if trainer.global_rank else ""
            own = self.folder / f"{name}.replies{rank}.jsonl"
            others = [path for path in sorted(self.folder.glob(f"{name}.replies*.jsonl")) if path != own]
            log = self.logs[name] = AnswerLog(own, self._key(opened, adapter), others)
            if len(log):
                rank_zero_info(f"{BENCHMARKS[name].title}: {len(log)} of {len(opened.items)} were answered before")

    def on_validation_batch_end(self, *_: Any) -> None:
        # After each batch, so that no process waits for another longer than a batch takes.
        all_gather(lambda: None, "evaluating")

    def is_answered(self, items: Sequence[Item]) -> bool:
        """Whether a batch is in the log already, so that its frames aren't needed."""
        return self._logged(items) is not None

    def answer(self, batch: ItemBatch) -> None:
        """Answer a batch of one benchmark's items, unless the log has it."""
        items = [item for clip_items in batch.items for item in clip_items]
        if not items or self._logged(items) is not None:
            return
        name = items[0].benchmark
        answers = {answer.id: answer for answer in self._answers(self.opened[name], batch)}
        self.logs[name].add([answers[item.id] for item in items])

    def _logged(self, items: Sequence[Item]) -> list[Answer] | None:
        return self.logs[items[0].benchmark].get(items) if items and items[0].benchmark in self.logs else None

    def _answers(self, opened: OpenBenchmark, batch: ItemBatch) -> list[Answer]:
        """Of the clips that could be decoded in one pass; the others have a problem instead of an answer."""
        broken: list[Answer] = []
        clips: list[Clip] = []
        frames: list[Frames | None] = []
        items: list[Item] = []
        owners: list[int] = []
        # A worker may have left frames out for an evaluation that has been begun anew since.
        read = batch.frames if any(f is not None for f in batch.frames) else self._data.read_frames(batch.clips)
        for clip, clip_frames, clip_items in zip(batch.clips, read, batch.items, strict=True):
            if isinstance(clip_frames, UndecodableClip):
                broken += [Answer(item.id, "", problem=clip_frames.reason) for item in clip_items]
                continue
            items += clip_items
            owners += [len(clips)] * len(clip_items)
            clips.append(clip)
            frames.append(clip_frames)
        if not clips:
            return broken
        module = self._module
        session = module.video_lm.encode(clips, frames)
        return broken + answer_items(session, owners, items, opened, module.prompts, module.reply)

    def finish(self) -> dict[str, dict[str, Any]]:
        """Grade the answers of all processes, write rows and tables, and give the summaries by benchmark."""
        summaries = {}
        for name, opened in self.opened.items():
            for answers in all_gather(self.logs[name].all, "evaluating"):
                self.logs[name].take(answers)
            rows, summaries[name] = grade_answers(opened, self.logs[name], self._data.frames, self._data.max_pixels)
            self._write(name, rows)
            # Only the miniatures understand the rendered world's prompts.
            summaries[name]["miniature"] = self._module.prompts.version.startswith(WORLD_PROMPTS.version)
        if summaries and self._trainer.is_global_zero:
            write_tables(self.folder, run_name(self._trainer), summaries)
        # The next evaluation's workers are forked before it opens its own; with these they would leave all frames out.
        self.logs.clear()
        return summaries

    @rank_zero_only
    def _write(self, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
        write_json_lines(self.folder / f"{name}.jsonl", rows)
        make_files = BENCHMARKS[name].extra_files
        for file_name, content in (make_files(rows) if make_files else {}).items():
            write_json(self.folder / file_name, content)

    def _key(self, opened: OpenBenchmark, adapter: str) -> str:
        """A digest of all that answers depend on. Answers under another one are not taken up."""
        module = self._module
        parts = {
            "base": [module.base_fingerprint(), module.base_settings.dtype, module.base_settings.nf4],
            "adapter": [adapter, asdict(module.lora_settings)],
            "frames": [self._data.frames, self._data.max_pixels],
            "clips_per_chain": self._data.generation_batch_clips,
            "scorer": opened.scorer,
            "sampling": asdict(greedy(opened)),
            "free_form": asdict(module.reply) if opened.asks_free_form else None,
            "prompt": module.prompts.answer if opened.scorer == "likelihood" else "",
            "items": [[item.id, str(item.clip), item.prompt, item.options] for item in opened.items],
        }
        if self._trainer.precision != "32-true":
            parts["precision"] = self._trainer.precision
        return hashlib.blake2b(json.dumps(parts, sort_keys=True).encode(), digest_size=16).hexdigest()


def _digest(state: Mapping[str, Any]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for name in sorted(state):
        digest.update(name.encode())
        digest.update(state[name].detach().float().cpu().numpy().tobytes())
    return digest.hexdigest()
