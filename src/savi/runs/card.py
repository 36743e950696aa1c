"""The model card of an export, written from the run: base, data, rounds, results, settings."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from savi.evaluation.benchmarks.registry import BENCHMARKS
from savi.evaluation.measured import Entry, comparable_with_last, describe, heading, left_out, untrained
from savi.record.settings_kinds import in_words
from savi.runs.read import Run

CARD = """---
{header}---

# {name}: {base}, {how}

## Use
    python ask.py clip.mp4 "what happens first?"

needs torch, torchvision, transformers, peft, av{more}. In code:

    from transformers import AutoModelForImageTextToText, AutoProcessor
{load}
{notes}
## Base and data
| | |
|---|---|
| base | {base}{four_bits} |
| videos | {videos}, {frames} frames of each |
| reference | {reference} |
| prompts | {prompts} |
| seed | {seed} |

## Rounds
{rounds}

## Settings
```yaml
{settings}```
"""

SELF_ALIGNED = """aligned by its own criticism

{what}, made with savi, an implementation of [VideoSAVi](https://arxiv.org/abs/2412.00624): round by round the model
wrote questions about unlabelled videos, answered them, criticized and revised its answers, and DPO taught it to prefer
the revision. No annotator and no other model took part."""
FROM_FILES = """trained on {pairs}

{what}, made with savi: {loss} on the preference pairs of {pairs} about videos, in rounds of one epoch each."""
BY_METHOD = """aligned on its own pairs

{what}, made with savi: {loss} on preference pairs that the model made itself, round by round, by the method
{method}."""

LOSSES = {"sigmoid": "DPO", "ipo": "IPO", "hinge": "hinge"}
"""The losses of `model.dpo` by the names that the field has for them."""

IN_WORDS = {"SFT": "supervised fine-tuning", "hinge": "the hinge loss"}
"""Losses by their names, where those are no words."""

ADAPTER_LOAD = """    from peft import PeftModel
    base = AutoModelForImageTextToText.from_pretrained("{base}")
    model = PeftModel.from_pretrained(base, "this folder")
    processor = AutoProcessor.from_pretrained("{base}")"""
MERGED_LOAD = """    model = AutoModelForImageTextToText.from_pretrained("this folder")
    processor = AutoProcessor.from_pretrained("this folder")"""

DATASET = """---
{header}---

# {title}: preference pairs about videos

{pairs} pairs (`prompt`, `chosen`, `rejected`) in {rounds} that a video language model made about unlabelled clips, with
savi, an implementation of [VideoSAVi](https://arxiv.org/abs/2412.00624). **Nobody has checked them.** `critique` is
what was said against the rejected response, `reference_*_logp` are log-probabilities under the reference.

| | |
|---|---|
| base | {base} |
| method | {method} |
| prompts | {prompts} |
| frames | {frames} of each clip |
| videos | {videos} |

Each round's pairs are from the model that the round before left: {counts}. To learn from them:

    savi fit --config pairs --data.pairs FOLDER{more}
"""

SHARES = {"accuracy": "accuracy", "free_form_accuracy": "free-form replies", "malformed": "malformed"}
"""The columns of a benchmark."""

EMBEDDED = "this folder/base"


def model_card(run: Run, *, merged: bool, notes: str = "") -> str:
    """The README.md of an export. notes: what its user must know."""
    settings = run.config["model"]
    base = _base(run)
    pairs = run.config["data"].get("pairs")
    loss = _loss(run)
    own = SELF_ALIGNED if _criticizes_itself(run) and loss == "DPO" else BY_METHOD
    objective = "loss" if settings.get("loss") else "dpo"
    groups = ["lora", objective, "optimizer", *([] if pairs else ["pairs", "chain", "filters"])]
    return CARD.format(
        header=_header(run, merged),
        name=run.results["run"]["name"],
        base=base,
        how=(FROM_FILES if pairs else own).format(
            what="Base and LoRA adapter merged" if merged else "A LoRA adapter in PEFT's format",
            loss=IN_WORDS.get(loss, loss),
            method=in_words(settings["pairs"]),
            pairs=pairs and Path(pairs).name,
        ),
        more=" and bitsandbytes" if run.base.nf4 and not merged else "",
        load=MERGED_LOAD if merged else ADAPTER_LOAD.format(base=EMBEDDED if run.embedded else run.base.path),
        notes=f"\n{notes}\n" if notes else "",
        four_bits=", held in 4 bits (NF4)" if run.base.nf4 else f", in {run.base.dtype}",
        videos=_videos(run),
        frames=run.data["frames"],
        reference="the base" if settings["reference"] == "base" else "the round before",
        prompts=run.prompts.version,
        seed=run.results["run"]["seed"],
        rounds=_rounds(run.results["rounds"]),
        settings=yaml.safe_dump({name: settings[name] for name in groups}),
    )


def _loss(run: Run) -> str:
    model = run.config["model"]
    named = model.get("loss")
    return named["class_path"].rpartition(".")[2] if named else LOSSES[model["dpo"]["loss"]]


def _criticizes_itself(run: Run) -> bool:
    """Whether the pairs are VideoSAVi's, without another critic."""
    named = run.config["model"]["pairs"]
    return named["class_path"] == "savi.methods.VideoSAVi" and not (named.get("init_args") or {}).get("critic")


def _header(run: Run, merged: bool) -> str:
    own = not run.config["data"].get("pairs")
    header: dict[str, Any] = {
        "library_name": "transformers" if merged else "peft",
        "pipeline_tag": "video-text-to-text",
        "tags": ["savi", *(["videosavi"] if own and _criticizes_itself(run) else []), _loss(run).lower(), "lora"],
    }
    if not run.embedded and not Path(run.base.path).is_dir():  # a folder is of no use to others
        header["base_model"] = run.base.path
    return yaml.safe_dump(header, sort_keys=False)


def dataset_card(run: Run, name: str, counts: Sequence[int], *, videos: bool) -> str:
    """The README.md of a run's pairs. counts: pairs of each round. videos: whether their files go along."""
    header: dict[str, Any] = {
        "pretty_name": name.rpartition("/")[2],
        "task_categories": ["video-text-to-text"],
        "tags": ["savi", "preference", "dpo", "video"],
        "configs": [{"config_name": "default", "data_files": "round_*.jsonl"}],
    }
    return DATASET.format(
        header=yaml.safe_dump(header, sort_keys=False),
        title=name,
        pairs=sum(counts),
        rounds="one round" if len(counts) == 1 else f"{len(counts)} rounds",
        base=_base(run),
        method=_method(run),
        prompts=run.prompts.version,
        frames=run.data["frames"],
        videos="in `videos/`" if videos else "not part of this data set; `video` is each one's name",
        counts=", ".join(map(str, counts)),
        more="" if videos else " --data.videos FOLDER_OF_VIDEOS",
    )


def _method(run: Run) -> str:
    """The class that made the pairs, with its settings."""
    named = run.config["model"]["pairs"]
    given = {name: value for name, value in (named.get("init_args") or {}).items() if value is not None}
    return named["class_path"].rpartition(".")[2] + (f", `{json.dumps(given)}`" if given else "")


def _base(run: Run) -> str:
    """The base's name, without the place that a folder has on this machine."""
    if run.embedded:
        return "the miniature embedded in savi"
    return Path(run.base.path).name if Path(run.base.path).is_dir() else run.base.path


def _videos(run: Run) -> str:
    """How many clips the run has seen, by its first round's traces, of what."""
    traces = run.folder / "traces" / "round_00.jsonl"
    count = f"{len(traces.read_bytes().splitlines())} " if traces.is_file() else ""
    if run.config["data"].get("pairs"):
        return f"{count}clips"
    embedded = run.data["clips"] == "world"
    return f"{count}rendered clips of savi's world" if embedded else f"{count}clips of {Path(run.data['clips']).name}"


def _rounds(rounds: list[Entry]) -> str:
    """One row per round: its pairs, the counts of the filters, and the accuracies where they are comparable."""
    comparable = {entry["round"]: entry["benchmarks"] for entry in comparable_with_last(rounds)}
    last = list(comparable.values())[-1] if comparable else {}
    columns = [
        (name, key, f"{BENCHMARKS[name].title}: {label}" if len(last) > 1 else label)
        for name in last
        for key, label in SHARES.items()
        if any(key in benchmarks.get(name, {}) for benchmarks in comparable.values())
    ]
    heads = ["round", "pairs", "taken by filters", *(label for _, _, label in columns)]
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    for entry in rounds:
        taken = ", ".join(f"{name} {count}" for name, count in entry["filters"].items()) or "-"
        shares = [comparable.get(entry["round"], {}).get(name, {}).get(key) for name, key, _ in columns]
        cells = [str(entry["round"] or "base"), str(entry["pairs"] or "-"), taken]
        cells += ["-" if share is None else f"{100 * share:.1f} %" for share in shares]
        lines.append("| " + " | ".join(cells) + " |")
    notes = [f"{heading(entry).capitalize()} {text}." for entry in rounds if (text := untrained(entry))]
    notes += [f"{BENCHMARKS[name].title}: {describe(summary)}." for name, summary in last.items()]
    notes += [
        f"{BENCHMARKS[name].title}, not compared: {heading(entry)} on {describe(entry['benchmarks'][name])}."
        for entry, name in left_out(rounds)
    ]
    return "\n".join([*lines, *([""] if notes else []), *(f"- {note}" for note in notes)])
