"""The held-out clips of a run: measured before its first round and after each."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from lightning import Trainer
from lightning.pytorch.utilities import rank_zero_info

from savi.alignment.finite import explained
from savi.alignment.held_out import HeldOut, HeldOutReply, Questions
from savi.alignment.held_out_figures import held_out_figures
from savi.critique.chain import CritiqueChain
from savi.critique.round import Round
from savi.critique.round_report import LISTED
from savi.critique.turns import CRITIQUE_AND_REVISE
from savi.distributed.collectives import from_rank_zero
from savi.errors import SaviError
from savi.files import write_json, write_json_lines
from savi.training.aligned_model import AlignedModel
from savi.training.parts import aligned, data_of
from savi.training.progress import HELD_OUT, progress_of
from savi.training.run_folder import run_folder
from savi.types import ASPECTS, Clip, readable


def measure_held_out(trainer: Trainer, round: int) -> dict[str, Any]:
    """The figures of the model as it is now, {} for a run without held-out clips. All processes have to call it.

    round: 0 for the base. The run's folder gets the questions, which the base writes once, as held_out/questions.json,
    and the replies as held_out/round_<nn>.jsonl. Raises SaviError where the base has no question.
    """
    module, data = aligned(trainer.lightning_module), data_of(trainer)
    if not data.held_out:
        return {}
    folder, name = run_folder(trainer) / "held_out", f"Round {round}" if round else "The base"
    progress = progress_of(trainer)
    asked = list(dict.fromkeys(one.clip for one in data.labelled))
    questions = from_rank_zero(partial(_questions, folder), "evaluating")
    total = len(data.held_out) * (1 if questions else 2) + len(asked)
    was_training = module.training
    module.eval()
    with (
        explained(f"{name}, its held-out clips"),
        trainer.precision_plugin.forward_context(),
        progress.part(HELD_OUT, total, base=not round),
    ):
        held_out = HeldOut(
            _chain(module),
            getattr(module.pair_method, "aspects", ASPECTS),
            module.peft_model.disable_adapter,
            data.decode_ahead,
            data.generation_batch_clips,
            progress.advance,
        )
        if questions is None:
            questions = held_out.write_questions(data.held_out)
            if line := not_measured(data.held_out, questions):
                rank_zero_info(line)
        replies = held_out.measure(data.held_out, questions)
        replies += held_out.measure_labelled(data.labelled)
    module.train(was_training)
    if not replies:
        raise SaviError("data.held_out: the base wrote no question about the held-out clips; set it to 0 to go without")
    return from_rank_zero(partial(_keep, folder, round, questions, replies), "evaluating")


def not_measured(clips: Sequence[Clip], questions: Questions) -> str:
    """Which of the held-out clips nothing is asked about, in a line; "" where there is none."""
    silent = [readable(clip.id) for clip in clips if clip.id not in questions]
    named = ", ".join(silent[:LISTED]) + (", ..." if len(silent) > LISTED else "")
    return f"Held-out clips that can't be decoded, or without a question: {len(silent)} ({named})" if silent else ""


def _chain(module: AlignedModel) -> CritiqueChain:
    """The turns with the model itself as the critic, whoever criticizes in the run."""
    settings = (module.prompts, module.chain_settings, module.filter_settings)
    return CritiqueChain(Round(module.video_lm, *settings, run_seed=module.seed, index=0), CRITIQUE_AND_REVISE)


def _questions(folder: Path) -> Questions | None:
    """Those that were written when the run began."""
    path = folder / "questions.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def _keep(folder: Path, round: int, questions: Mapping[str, Any], replies: Sequence[HeldOutReply]) -> dict[str, Any]:
    write_json(folder / "questions.json", questions)
    write_json_lines(folder / f"round_{round:02d}.jsonl", map(asdict, replies))
    return held_out_figures(replies, _read(folder / "round_00.jsonl") if round else None)


def _read(path: Path) -> list[HeldOutReply] | None:
    if not path.is_file():
        return None
    return [HeldOutReply(**json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]
