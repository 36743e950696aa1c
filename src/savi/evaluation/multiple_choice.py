"""Multiple choice by likelihood, and one greedy reply an item: what is right, which errors, what is malformed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from savi.prompts.answers import parse_answer
from savi.prompts.markup import Unparsable
from savi.prompts.templates import Prompts
from savi.types import GenerateRequest, Item, Sampling, ScoreRequest, Session


@dataclass(frozen=True)
class ItemResult:
    """What a model made of one item.

    choice: index of the option with the highest log-probability behind the answer prompt. logps: one an option,
    summed over its tokens. reply: the greedy free-form reply. malformed: it didn't end, can't be read, or is no
    well-formed reply to the question, where the benchmark says what those are.
    """

    item: Item
    choice: int
    logps: tuple[float, ...]
    reply: str
    malformed: bool

    @property
    def correct(self) -> bool:
        return self.choice == self.item.answer

    @property
    def free_form_correct(self) -> bool:
        return not self.malformed and self.reply == self.item.options[self.item.answer]


def evaluate(
    session: Session,
    clips: Sequence[int],
    items: Sequence[Item],
    prompts: Prompts,
    reply: Sampling,
) -> list[ItemResult]:
    """Answer items about a session's clips. clips: index into them, one per item."""
    if not items:
        return []
    texts = [prompts.answer.format(question=item.question) for item in items]
    scores = session.score(
        [ScoreRequest(clip, text, item.options) for clip, text, item in zip(clips, texts, items, strict=True)]
    ).logps.tolist()
    replies = session.generate([GenerateRequest(clip, text) for clip, text in zip(clips, texts, strict=True)], reply)
    results, start = [], 0
    for item, written in zip(items, replies, strict=True):
        logps = tuple(scores[start : start + len(item.options)])
        start += len(item.options)
        text, readable = _read(written.text)
        malformed = not (written.finished and readable and (not item.replies or text in item.replies))
        results.append(ItemResult(item, max(range(len(logps)), key=logps.__getitem__), logps, text, malformed))
    return results


def summarise(results: Sequence[ItemResult]) -> dict[str, Any]:
    """Accuracy overall and by task (0 to 1), errors by kind (counts), and the shares of the greedy replies."""
    total: Counter[str] = Counter(result.item.task for result in results)
    right: Counter[str] = Counter(result.item.task for result in results if result.correct)
    kinds = {kind for result in results for kind in result.item.errors if kind}
    errors = Counter(r.item.errors[r.choice] for r in results if r.item.errors and not r.correct)
    return {
        "accuracy": right.total() / total.total(),
        "by_task": {task: right[task] / total[task] for task in sorted(total)},
        "errors": {kind: errors[kind] for kind in sorted(kinds)},
        "items": total.total(),
        "free_form_accuracy": sum(result.free_form_correct for result in results) / total.total(),
        "malformed": sum(result.malformed for result in results) / total.total(),
    }


def _read(text: str) -> tuple[str, bool]:
    try:
        return parse_answer(text), True
    except Unparsable:
        return text, False
