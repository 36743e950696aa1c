"""What a model answers to the items of a benchmark, kept batch by batch, so that a killed evaluation goes on."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from savi.evaluation.benchmarks.items import BenchmarkItem
from savi.evaluation.benchmarks.registry import BENCHMARKS
from savi.evaluation.grading import Grade, Graded, Grader, summarise
from savi.evaluation.settings import OpenBenchmark
from savi.files import write_text
from savi.prompts.templates import Prompts
from savi.types import GenerateRequest, Sampling, ScoreRequest, Session


@dataclass(frozen=True)
class Answer:
    """What a model gave for one item.

    response: its reply; what it chose, where options were scored. logps: mean log-probability a token of each option,
    in their order. problem: why there is no reply, such as a video that can't be decoded.
    """

    id: str
    response: str
    logps: tuple[float, ...] = ()
    problem: str = ""


def answer_items(
    session: Session, clips: Sequence[int], items: Sequence[BenchmarkItem], sampling: Sampling
) -> list[Answer]:
    """Written replies to the benchmark's own prompts. clips: index into the session's, one per item."""
    requests = [GenerateRequest(clip, item.prompt) for clip, item in zip(clips, items, strict=True)]
    replies = session.generate(requests, sampling)
    return [Answer(item.id, reply.text) for item, reply in zip(items, replies, strict=True)]


def choose_options(
    session: Session, clips: Sequence[int], items: Sequence[BenchmarkItem], prompts: Prompts
) -> list[Answer]:
    """The likeliest option behind the run's own answer prompt, all options of a clip scored from one prefix.

    A token's mean, as in lmms-eval's perplexity tasks: options are of unlike length.
    """
    choices = [BENCHMARKS[item.benchmark].choices(item) for item in items]
    requests = [
        ScoreRequest(
            clip, prompts.answer.format(question=item.question.split("\n")[0]), tuple(text for _, text in options)
        )
        for clip, item, options in zip(clips, items, choices, strict=True)
    ]
    scores = session.score(requests)
    means = (scores.logps / scores.lengths).tolist()
    answers, start = [], 0
    for item, options in zip(items, choices, strict=True):
        own = means[start : start + len(options)]
        start += len(options)
        answers.append(Answer(item.id, options[own.index(max(own))][0], tuple(round(mean, 6) for mean in own)))
    return answers


class AnswerLog:
    """The answers of one evaluation on disk, a line a batch, under a key of everything that they depend on.

    A log with another key is begun anew. A line that a kill cut off is dropped. others: logs of the processes beside
    this one, whose answers count and are left where they are.
    """

    def __init__(self, path: Path, key: str, others: Iterable[Path] = ()) -> None:
        self.path = path
        self._answers: dict[str, Answer] = {}
        for other in others:
            self._read(_whole_lines(other, key))
        whole = _whole_lines(path, key)
        self._read(whole)
        write_text(path, "".join(f"{line}\n" for line in whole))

    def __len__(self) -> int:
        return len(self._answers)

    def get(self, items: Sequence[BenchmarkItem]) -> list[Answer] | None:
        """The answers to a batch, None where one of them isn't there."""
        found = [self._answers.get(item.id) for item in items]
        return [answer for answer in found if answer] if all(found) else None

    def add(self, answers: Sequence[Answer]) -> None:
        """Commit the answers of a batch."""
        self.take(answers)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps([asdict(answer) for answer in answers], ensure_ascii=False) + "\n")

    def take(self, answers: Sequence[Answer]) -> None:
        """Count answers that another process has committed."""
        self._answers.update({answer.id: answer for answer in answers})

    def all(self) -> list[Answer]:
        """Every answer, in the order in which they came."""
        return list(self._answers.values())

    def _read(self, lines: Sequence[str]) -> None:
        for line in lines[1:]:
            self.take([Answer(**fields | {"logps": tuple(fields["logps"])}) for fields in json.loads(line)])


def _whole_lines(path: Path, key: str) -> list[str]:
    """The key, and the lines under it that are whole."""
    lines = path.read_text(encoding="utf-8").split("\n") if path.is_file() else []
    return lines[:-1] if lines and _loads(lines[0]) == {"key": key} else [json.dumps({"key": key})]


def _loads(line: str) -> Any:
    try:
        return json.loads(line)
    except json.JSONDecodeError:
        return None


def grade_answers(opened: OpenBenchmark, log: AnswerLog) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """A row an item that was answered, as `savi score` takes and gives them, and the summary."""
    answers = [answer for item in opened.items for answer in log.get([item]) or []]
    items = {item.id: item for item in opened.items}
    grader = Grader(BENCHMARKS[opened.name], opened.settings.strict)
    graded, rows = [], []
    for answer in answers:
        item = items[answer.id]
        if answer.problem:
            grade = Grade(None, False)
        elif answer.logps:
            grade = Grade(answer.response, answer.response == item.answer[: len(answer.response)])
        else:
            grade = grader.grade(item, answer.response)
        graded.append(Graded(item, grade, item.clip.id, item.groups))
        rows.append(_row(item, answer, grade))
    summary = summarise(BENCHMARKS[opened.name], graded) | {
        "undecodable": sum(bool(answer.problem) for answer in answers),
        "missing": opened.missing,
        "unanswered": len(items) - len(answers),
        "scorer": opened.settings.scorer,
        "strict": opened.settings.strict,
    }
    return rows, summary


def _row(item: BenchmarkItem, answer: Answer, grade: Grade) -> dict[str, Any]:
    extra = {
        "drawn": grade.drawn,
        "logps": answer.logps or None,
        "problem": answer.problem or None,
        "counts": None if grade.counts else False,
    }
    return {
        "benchmark": item.benchmark,
        "id": item.id,
        "video": item.clip.id,
        "task": item.task,
        "groups": item.groups,
        "question": item.question,
        "options": item.options,
        "answer": item.answer,
        "response": answer.response,
        "pred": grade.pred,
        "correct": grade.correct,
        "fallback": grade.fallback,
        **{name: value for name, value in extra.items() if value is not None},
    }
