"""The answers of a run's last evaluation, question by question."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from savi.evaluation.benchmarks.items import LETTERS
from savi.evaluation.benchmarks.registry import BENCHMARKS
from savi.evaluation.benchmarks.rows import Row, read_lines
from savi.evaluation.measured import Entry, Summary, heading, measured, read_results
from savi.types import SaviError

K = TypeVar("K")
V = TypeVar("V")

VIDEOS = "videos.json"
"""Name of the file, next to an evaluation's rows, that says where each benchmark's clips were, by id."""


@dataclass(frozen=True)
class Outcome:
    """A run's answer to one question. pred: the answer, as far as it was read."""

    benchmark: str
    id: str
    video: str
    task: str
    question: str
    answer: str
    pred: str | None
    correct: bool

    @property
    def key(self) -> tuple[str, ...]:
        """Equal where two evaluations asked the same. Of a path the file and its folder count: runs may be moved."""
        return (self.benchmark, self.id, "/".join(Path(self.video).parts[-2:]), self.task, self.question, self.answer)


@dataclass(frozen=True)
class Evaluation:
    """One evaluation of a run.

    round: the last one that was evaluated; None where the files don't say. outcomes: the labelled questions, each under
    everything that makes it the same question. measurements: its part of results.json, by benchmark.
    """

    place: Path
    round: int | None
    outcomes: dict[tuple[str, ...], Outcome]
    measurements: Mapping[str, Summary]

    def __str__(self) -> str:
        return str(self.place) + ("" if self.round is None else f", {heading({'round': self.round})}")


def read_evaluation(run: Path) -> Evaluation:
    """The last evaluation in a run's folder, or the rows of one folder or file.

    Raises SaviError where there is no answered question with a known answer.
    """
    place, entry, files = _find(run)
    outcomes = labelled_outcomes(files)
    if not outcomes:
        raise SaviError(f"{run}: no answered questions with a known answer")
    return Evaluation(place, entry.get("round"), outcomes, entry.get("benchmarks", {}))


def labelled_outcomes(files: Iterable[Path]) -> dict[tuple[str, ...], Outcome]:
    """The answers in files to questions whose right answer is known, by what makes a question the same one."""
    found = (outcome for path in files for _, outcome in read_answers(path))
    return {outcome.key: outcome for outcome in found if outcome.answer}


def asked_of_both(a: Mapping[K, V], b: Mapping[K, V]) -> list[tuple[V, V]]:
    """What two evaluations made of each question that both were asked, in the order of the first. Keys: questions."""
    return [(one, b[key]) for key, one in a.items() if key in b]


def read_answers(path: Path) -> Iterator[tuple[Row, Outcome]]:
    """Each row of a file of answers, and what it says. Raises SaviError."""
    for row in read_lines(path):
        yield row, _outcome(row) if "benchmark" in row.fields else _older_world(row)


def _find(run: Path) -> tuple[Path, Entry, list[Path]]:
    """Where a run's last evaluation is, its entry in results.json, and its rows: `savi validate`'s where there is one.

    A round that was not evaluated has no rows, so that results.json tells which round is the last one.
    """
    if run.is_file():
        return run, {}, [run]
    if not run.is_dir():
        raise SaviError(f"{run}: no such file or folder")
    for folder in (run / "validate", run):
        results = folder / "results.json"
        rounds = measured(read_results(results)["rounds"]) if results.is_file() else []
        if rounds and (files := answer_files(folder, rounds[-1])):
            return folder, rounds[-1], files
    return run, {}, _scored(run, BENCHMARKS)


def answer_files(folder: Path, entry: Entry) -> list[Path]:
    """The files of an evaluation's rows: in a fit's folder by round, in a validation's without.

    folder: of the run. entry: of its results.json, with a measurement.
    """
    name = f"round_{entry['round']:02d}"
    rounds = folder / "benchmarks" / name
    found = _scored(rounds if rounds.is_dir() else rounds.parent, entry["benchmarks"])
    if "world" in entry["benchmarks"] and not any(path.stem == "world" for path in found):
        # Where older runs kept the rendered world's rows.
        older = (folder / "items.jsonl", folder / "items" / f"{name}.jsonl")
        found += [path for path in older if path.is_file()][:1]
    return found


def _scored(folder: Path, names: Iterable[str]) -> list[Path]:
    return sorted(folder / f"{name}.jsonl" for name in names if (folder / f"{name}.jsonl").is_file())


def _outcome(row: Row) -> Outcome:
    return Outcome(
        row.text("benchmark"),
        row.text("id"),
        row.text("video"),
        row.text("task"),
        row.text("question"),
        row.text("answer"),
        row.fields.get("pred"),
        row.fields.get("correct") is True,
    )


def _older_world(row: Row) -> Outcome:
    """A row of the rendered world as older runs have it, with the options' texts instead of their letters."""
    options = row.texts("options")
    answer, choice = (LETTERS[options.index(row.text(name))] for name in ("answer", "choice"))
    where = (row.text("id"), row.text("video"), row.text("task"), row.text("question"))
    return Outcome("world", *where, answer, choice, choice == answer)
