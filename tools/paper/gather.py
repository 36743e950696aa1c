"""From the folders of finished runs to one line of JSON each: all that the page is made of, small enough to commit."""

from __future__ import annotations

import json
import math
import re
import subprocess
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from safetensors import safe_open

from savi.evaluation.benchmarks.items import LETTERS
from savi.evaluation.measured import read_results
from savi.world import BASE
from savi.world.questions import NUMBERS, WORDINGS, Query, WordingName
from savi.world.scenes import CHANGES, COLORS, DIRECTIONS, PLACES, SHAPES
from tools.base_model.curriculum import Prior
from tools.paper.natural_rows import agreeing, answerable, examples, natural_favorite
from tools.paper.plan import NATURAL, Base, Fit, Measurement, Task, fits_of

KEPT = ("round", "accuracy", "by_task", "errors", "malformed", "free_form_accuracy", "items", "pairs", "seconds")
CARD = {
    "likeliest": "right option most likely, of four",
    "greedy": "greedy answers right",
    "greedy_revised": "greedy answers right ... after criticism and revision",
    "sampled": "sampled answers right (temperature 1)",
    "sampled_revised": "sampled answers right (temperature 1) ... after criticism and revision",
    "valid": "own questions that are valid for the clip",
    "changed_right": "changed answers that end up right",
}
PERCENT = r"([\d.]+)%(?: ± [\d.]+)?"
Row = dict[str, Any]


def gather(tasks: Sequence[Task], file: Path, failed: Collection[str] = (), quick: bool = False) -> int:
    """Write a line for the study, for each base, and for each task that is finished or failed; how many are finished.

    failed: labels. A line that says what it said before keeps its commit and day. Where nothing is finished the file
    is left alone.
    """
    found = [row for task in tasks if (row := _row(task, failed))]
    finished = sum("failed" not in row for row in found)
    if not finished:
        return 0
    fits = fits_of(tasks)
    study = {"row": "study", "quick": quick, "fits": len(fits), "measurements": len(tasks) - len(fits)}
    bases = [_base_row(base) for base in dict.fromkeys(fit.base for fit in fits)]
    before = {_key(row): row for row in read_rows(file)} if file.is_file() else {}
    commit = _commit()
    lines = []
    for row in (study, *bases, *found):
        row = _rounded(row)
        old = before.get(_key(row), {})
        if "day" in row:
            same = {**old, "commit": "", "day": ""} == {**row, "commit": "", "day": ""}
            row |= {"commit": old["commit"], "day": old["day"]} if same else {"commit": commit}
        lines.append(json.dumps(row, ensure_ascii=False) + "\n")
    file.parent.mkdir(parents=True, exist_ok=True)
    unfinished = file.with_suffix(".tmp")
    unfinished.write_text("".join(lines), encoding="utf-8")
    unfinished.replace(file)
    return finished


def read_rows(file: Path) -> list[Row]:
    """The lines of a result file."""
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def _key(row: Row) -> tuple[str, str]:
    return row["row"], row.get("label", "")


def _row(task: Task, failed: Collection[str]) -> Row | None:
    """What the page needs of a task; None of one that was not run."""
    if task.results is None and task.label not in failed:
        return None
    fit = task.fit if isinstance(task, Measurement) else task
    of_base = isinstance(task, Measurement) and task.of_base
    row: Row = {
        "row": "set" if isinstance(task, Measurement) else "fit",
        "label": task.label,
        "base": fit.base.name,
        "experiment": "base" if of_base else fit.experiment,
        "seed": fit.seed,
        "command": " ".join(["savi", *task.command]).replace(f"{Path.cwd()}/", ""),
        "commit": "",
        "day": datetime.now(UTC).date().isoformat(),
    }
    if isinstance(task, Measurement):
        row["set"] = task.set
    if task.results is None:
        return row | {"failed": True}
    rounds = measured_rounds(task.results)
    if isinstance(task, Measurement):
        return row | {key: rounds[-1][key] for key in ("accuracy", "by_task", "items")}
    row["rounds"] = [_round(task, entry) for entry in rounds]
    natural = fit.base.kind == NATURAL
    row["first_pairs"] = right_in_pairs(task.folder / "pairs" / "round_00.jsonl", "natural" if natural else "miniature")
    if natural:
        row["examples"] = examples(task.folder / "traces" / "round_00.jsonl")
    readiness = task.folder / "readiness.json"
    return row | {"readiness": json.loads(readiness.read_text()) if readiness.is_file() else None}


def measured_rounds(results: Path) -> list[Row]:
    """The entries of a run's results.json that were measured on the rendered world, its figures in the entry itself."""
    rounds = read_results(results)["rounds"]
    return [entry | entry["benchmarks"]["world"] for entry in rounds if "world" in entry.get("benchmarks", {})]


def _round(fit: Fit, entry: Row) -> Row:
    """A round's numbers, and what the language prior did in it."""
    natural = fit.base.kind == NATURAL
    kept = {key: entry[key] for key in (*KEPT, *(("filters",) if natural else ())) if key in entry}
    name = f"round_{entry['round']:02d}"
    rows = fit.folder / "benchmarks" / name / "world.jsonl"
    items = rows if rows.is_file() else fit.folder / "items" / f"{name}.jsonl"  # where older runs have them
    if natural:
        favorite = natural_favorite(card_of(fit.base))
        return kept | {"prior": prior_errors(items, favorite) | agreeing(items, favorite)}
    return kept | {"prior": prior_errors(items, miniature_favorite(card_of(fit.base)))}


def miniature_favorite(card: str) -> Callable[[Row], str]:
    """From an item of the benchmark to the option that the base's language prior favors. card: the base's."""
    prior = Prior(taught_with(card))
    return lambda item: prior.favourite(Query(item["task"], item["question"], "", values_of(item), ""))[0]


def _base_row(base: Base) -> Row:
    card, folder = card_of(base), _folder(base)
    return {
        "row": "base",
        "label": base.name,
        "kind": base.kind,
        "embedded": base.path == "world",
        "taught_with": taught_with(card),
        "parameters": _parameters(folder.glob("*.safetensors")),
        "card": read_card(card),
    }


def prior_errors(items: Path, favorite: Callable[[Row], str]) -> dict[str, int]:
    """From a round's items file: how many items' language prior is wrong (the adversarial ones), and what was chosen.

    favorite: the option that the prior favors. driven: it was chosen, a wrong answer. right: the right option.
    """
    chosen = []
    for line in items.read_text().splitlines():
        item = _with_texts(json.loads(line))
        favored = favorite(item)
        if favored != item["answer"]:
            chosen.append((item["choice"] == favored, item["choice"] == item["answer"]))
    driven, right = (sum(pair[at] for pair in chosen) for at in (0, 1))
    return {"adversarial": len(chosen), "driven": driven, "right": right}


def _with_texts(row: Row) -> Row:
    """A row with the texts of the right and of the chosen option, where today's runs have their letters."""
    if "pred" not in row:
        return row
    texts = dict(zip(LETTERS, row["options"], strict=False))
    return row | {"answer": texts[row["answer"]], "choice": texts.get(row["pred"])}


def right_in_pairs(pairs: Path, wording: WordingName = "miniature") -> dict[str, int]:
    """From a round's pairs file: how often the chosen and the rejected response is right.

    answerable: the pairs whose question has a true answer, the only ones that are counted.
    """
    counts = Counter(answerable=0, chosen=0, rejected=0)
    for line in pairs.read_text().splitlines():
        pair = json.loads(line)
        query = answerable(pair["clip"], pair["video"], wording).get(pair["question"])
        if query is not None:
            counts["answerable"] += 1
            counts.update(
                side for side in ("chosen", "rejected") if WORDINGS[wording].read(query, pair[side]) == query.answer
            )
    return dict(counts)


def values_of(item: Row) -> tuple[str, ...]:
    """Every well-formed answer to a question of the test set."""
    kinds = {"motion": DIRECTIONS, "order": COLORS, "change": CHANGES, "shape": SHAPES, "count": NUMBERS}
    return kinds.get(item["task"], PLACES if item["question"].startswith("where") else COLORS)


def taught_with(card: str) -> int:
    """The seed that a base was taught with, by its card."""
    return int(re.findall(r"teach --seed (\d+)", card)[0])


def read_card(card: str) -> Row:
    """A card's numbers as shares, without their intervals if it has any; kinds: (greedy, revised) of each."""
    shares, above = {}, ""
    for name, value in re.findall(rf"^\| ([^|]+?) \| {PERCENT} \|$", card, re.MULTILINE):
        above = above if name.startswith("...") else name
        shares[name if above == name else f"{above} {name}"] = float(value) / 100
    kinds = re.findall(rf"^\| (\w+) \| {PERCENT} \| {PERCENT} \|$", card, re.MULTILINE)
    by_kind = {kind: [float(greedy) / 100, float(revised) / 100] for kind, greedy, revised in kinds}
    return {key: shares[name] for key, name in CARD.items()} | {"kinds": by_kind}


def card_of(base: Base) -> str:
    return (_folder(base) / "README.md").read_text(encoding="utf-8")


def _folder(base: Base) -> Path:
    return BASE if base.path == "world" else Path(base.path)


def _parameters(files: Iterable[Path]) -> int:
    """How many numbers the weights are."""
    total = 0
    for file in files:
        with safe_open(file, "pt") as weights:
            total += sum(math.prod(weights.get_slice(name).get_shape()) for name in weights.keys())  # noqa: SIM118 (no mapping)
    return total


def _commit() -> str:
    """The short name of the commit that is checked out, "" outside of git."""
    command = ["git", "rev-parse", "--short", "HEAD"]
    asked = subprocess.run(command, capture_output=True, text=True, check=False)
    return asked.stdout.strip()


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_rounded(one) for one in value]
    return round(value, 4) if isinstance(value, float) else value
