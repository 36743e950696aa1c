"""The view of what was learned: held-out questions, as two evaluations of one run or of two answered them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from savi.evaluation.benchmarks.items import LETTERS
from savi.evaluation.benchmarks.registry import BENCHMARKS
from savi.evaluation.benchmarks.rows import Row
from savi.evaluation.compare import compare_outcomes
from savi.evaluation.measured import Summary, describe, is_comparable, measured
from savi.evaluation.outcomes import VIDEOS, Outcome, answer_files, asked_of_both, labelled_outcomes, read_answers
from savi.files import digest_json
from savi.view.media import Place
from savi.view.run import ViewedRun

PART = 50
"""Questions in one document of whole answers."""

SHOWN = ("options", "answer", "pred", "response", "logps", "free_form", "malformed", "groups", "video")
"""Fields of a row that the view shows of a single question."""


class HeldOut:
    """Documents about a run's evaluations. A benchmark's number counts those of the run, in the order of its results.

    A video's number counts the videos in the order in which files with questions about them were read.
    """

    def __init__(self) -> None:
        self.videos: list[Path | None] = []
        self._numbers: dict[tuple[str, str], int] = {}

    def names(self, run: ViewedRun) -> Iterator[str]:
        """The documents of the view, for a page without a server."""
        yield "learned"
        for benchmark, files in enumerate(evaluations(run).values()):
            for round, (path, _) in files.items():
                yield f"outcomes_{benchmark}_{round}"
                rows = self._numbered(path)
                yield from (f"answers_{benchmark}_{round}_{part}" for part in range(-(-len(rows) // PART)))
        for video in range(len(self.videos)):
            yield f"held_{video}"

    def document(self, run: ViewedRun, kind: str, numbers: list[int]) -> dict[str, Any] | None:
        """A document by the parts of its name; None where there is none of that name."""
        match kind, numbers:
            case "learned", []:
                return _learned(run)
            case "outcomes", [benchmark, round]:
                found = evaluation(run, benchmark, round)
                return None if found is None else _outcomes(found[0])
            case "answers", [benchmark, round, part]:
                found = evaluation(run, benchmark, round)
                return None if found is None else self._answers(found[0], part)
        return None

    def _answers(self, path: Path, part: int) -> dict[str, Any]:
        rows = self._numbered(path)[part * PART : (part + 1) * PART]
        kept = [{name: row.fields[name] for name in SHOWN if row.has(name)} | {"number": video} for row, video in rows]
        return {"rows": kept}

    def _numbered(self, path: Path) -> list[tuple[Row, int]]:
        """The rows of a file, each with the number of its video."""
        places = _videos(path.parent)
        answers = list(read_answers(path))
        return [(row, self._number(one, places.get(one.benchmark, {}).get(one.video))) for row, one in answers]

    def _number(self, outcome: Outcome, path: str | None) -> int:
        key = (outcome.benchmark, path or outcome.video)
        if key not in self._numbers:
            self._numbers[key] = len(self.videos)
            self.videos.append(None if path is None else Path(path))
        return self._numbers[key]

    def place(self, number: int) -> Place | None:
        """Where a video is; None where there is none of that number."""
        if number >= len(self.videos):
            return None
        video = self.videos[number]
        if video is None:
            return None, "an older savi doesn't say where this video was"
        return video if video.is_file() else None, f"the video is no longer at {video}"


def evaluations(run: ViewedRun) -> dict[str, dict[int, tuple[Path, Summary]]]:
    """The file of rows and the figures of each evaluation that a run has kept, by benchmark and round."""
    found: dict[str, dict[int, tuple[Path, Summary]]] = {}
    for entry in measured(run.entries):
        for path in answer_files(run.folder, entry):
            # Older runs have the rendered world's rows in files of other names.
            name = path.stem if path.stem in entry["benchmarks"] else "world"
            found.setdefault(name, {})[entry["round"]] = (path, entry["benchmarks"][name])
    return found


def evaluation(run: ViewedRun, benchmark: int, round: int) -> tuple[Path, Summary] | None:
    """One of them, by the benchmark's number; None where there is none."""
    found = list(evaluations(run).values())
    return found[benchmark].get(round) if benchmark < len(found) else None


def difference(
    run_a: ViewedRun, benchmark_a: int, round_a: int, run_b: ViewedRun, benchmark_b: int, round_b: int
) -> dict[str, Any] | None:
    """What evaluation B makes of evaluation A's questions: shares from 0 to 1, 95 % interval, p, changes by task.

    None where one of them isn't there. `others`: what each was measured on, where that isn't the same.
    """
    a, b = evaluation(run_a, benchmark_a, round_a), evaluation(run_b, benchmark_b, round_b)
    if a is None or b is None:
        return None
    of_a, of_b = (labelled_outcomes([path]) for path, _ in (a, b))
    pairs = asked_of_both(of_a, of_b)
    document: dict[str, Any] = {"questions": len(pairs), "left_out": len(of_a) + len(of_b) - 2 * len(pairs)}
    if not is_comparable(a[1], b[1]):
        document["others"] = [describe(a[1]), describe(b[1])]
    if not pairs:
        return document
    found = compare_outcomes(pairs[0][0].benchmark, pairs)
    return document | {
        "videos": found.videos,
        "accuracies": [found.accuracy_a, found.accuracy_b],
        "interval": found.interval,
        "p": found.p,
        "by_task": found.by_task,
    }


def _learned(run: ViewedRun) -> dict[str, Any]:
    return {
        "benchmarks": [
            {
                "name": name,
                "title": BENCHMARKS[name].title if name in BENCHMARKS else name,
                "rounds": [{"round": round, "measured": describe(summary)} for round, (_, summary) in files.items()],
            }
            for name, files in evaluations(run).items()
        ]
    }


def _outcomes(path: Path) -> dict[str, Any]:
    return {"part": PART, "rows": [_outcome(row, outcome) for row, outcome in read_answers(path)]}


def _outcome(row: Row, outcome: Outcome) -> list[Any] | None:
    """[key, task, question, right answer, answer, whether that is right]; None where the label isn't public."""
    if not outcome.answer:
        return None
    said = None if outcome.pred is None else _text(row, outcome.pred)
    key = digest_json(list(outcome.key))[:12]
    return [key, outcome.task, outcome.question, _text(row, outcome.answer), said, int(outcome.correct)]


def _text(row: Row, answer: str) -> str:
    """An option's text for its letter; other answers as they are."""
    options = row.texts("options") if row.has("options") else ()
    place = LETTERS.find(answer) if len(answer) == 1 else -1
    return options[place] if 0 <= place < len(options) else answer


def _videos(folder: Path) -> dict[str, dict[str, str]]:
    try:
        found: dict[str, dict[str, str]] = json.loads((folder / VIDEOS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found
