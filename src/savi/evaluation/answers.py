"""A model's answers to the items of a benchmark, kept batch by batch, so that a killed evaluation resumes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from savi.evaluation.benchmarks.items import Benchmark, Item
from savi.evaluation.settings import OpenBenchmark
from savi.files import write_text
from savi.inference import GenerateRequest, ScoreRequest, Session
from savi.prompts.templates import Prompts
from savi.types import Sampling


@dataclass(frozen=True)
class Answer:
    """A model's answer to one item.

    response: its reply; the answer that it chose, where options were scored. logps: log-probability of each option, in
    their order, summed or averaged over tokens as the benchmark has it. free_form: its greedy reply without options;
    finished: whether it ended that reply by itself. problem: why there is no answer, such as a video that can't be
    decoded.
    """

    id: str
    response: str
    logps: tuple[float, ...] = ()
    free_form: str = ""
    finished: bool = True
    problem: str = ""


def answer_items(
    session: Session,
    clips: Sequence[int],
    items: Sequence[Item],
    opened: OpenBenchmark,
    prompts: Prompts,
    free_form: Sampling,
) -> list[Answer]:
    """Answers to items about a session's clips. clips: index into the session's, one per item.

    prompts: the run's own, behind which options are scored. free_form: how replies without options are decoded.
    """
    if opened.scorer == "reply":
        requests = [GenerateRequest(clip, item.prompt) for clip, item in zip(clips, items, strict=True)]
        replies = session.generate(requests, greedy(opened))
        return [Answer(item.id, reply.text) for item, reply in zip(items, replies, strict=True)]
    # Some questions list their options below the first line.
    texts = [prompts.answer.format(question=item.question.split("\n")[0]) for item in items]
    answers = _choose_options(session, clips, items, texts, opened.record)
    if not opened.asks_free_form:
        return answers
    replies = session.generate([GenerateRequest(*at) for at in zip(clips, texts, strict=True)], free_form)
    return [
        replace(answer, free_form=reply.text, finished=reply.finished)
        for answer, reply in zip(answers, replies, strict=True)
    ]


def greedy(opened: OpenBenchmark) -> Sampling:
    """How scored replies are decoded: greedily, as lmms-eval does it for all of these benchmarks."""
    limit = opened.settings.max_new_tokens or opened.record.max_new_tokens
    return Sampling(temperature=0.0, max_new_tokens=limit)


def _choose_options(
    session: Session, clips: Sequence[int], items: Sequence[Item], texts: Sequence[str], benchmark: Benchmark
) -> list[Answer]:
    """The likeliest option behind each text, all options of a clip scored from one prefix.

    A mean over tokens is lmms-eval's measure in its perplexity tasks.
    """
    choices = [benchmark.choices(item) for item in items]
    requests = [
        ScoreRequest(clip, text, tuple(option for _, option in options))
        for clip, text, options in zip(clips, texts, choices, strict=True)
    ]
    scores = session.score(requests)
    values = (scores.logps if benchmark.score == "sum" else scores.logps / scores.lengths).tolist()
    answers, start = [], 0
    for item, options in zip(items, choices, strict=True):
        own = values[start : start + len(options)]
        start += len(options)
        answers.append(Answer(item.id, options[own.index(max(own))][0], tuple(round(value, 6) for value in own)))
    return answers


class AnswerLog:
    """The answers of one evaluation on disk, one line per batch, under a key of everything that they depend on.

    A log with another key is begun anew. A line that a kill cut off is dropped. others: logs of the other processes
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

    def get(self, items: Sequence[Item]) -> list[Answer] | None:
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


def _loads(line: str) -> object:
    try:
        value: object = json.loads(line)
    except json.JSONDecodeError:
        return None
    return value
