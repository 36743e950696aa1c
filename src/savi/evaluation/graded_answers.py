"""From a model's answers to rows, one per question, and the summary of an evaluation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from savi.evaluation.answers import Answer, AnswerLog
from savi.evaluation.benchmarks.items import Item
from savi.evaluation.grading import Grade, Graded, Grader, summarise
from savi.evaluation.measured import MeasuredOn, digest_items
from savi.evaluation.settings import OpenBenchmark
from savi.prompts.answers import parse_answer
from savi.prompts.markup import Unparsable

AnsweredRow = dict[str, Any]


def grade_answers(
    opened: OpenBenchmark, log: AnswerLog, frames: int, max_pixels: int | None
) -> tuple[list[AnsweredRow], dict[str, Any]]:
    """One row per item that was answered, as `savi score` takes and gives them, and the summary.

    frames, max_pixels: of each clip, which the summary tells.
    """
    answered = [(item, answer) for item in opened.items for answer in log.get([item]) or []]
    grader = Grader(opened.record, opened.settings.strict)
    graded, rows = [], []
    for item, answer in answered:
        grade = _grade(grader, item, answer)
        graded.append(Graded(item, grade, item.clip.id, item.groups))
        rows.append(_row(item, answer, grade) | (_free_form(item, answer) if opened.asks_free_form else {}))
    summary = summarise(opened.record, graded) | _errors(opened.items, rows)
    if opened.asks_free_form and rows:
        for name, field in (("free_form_accuracy", "free_form_correct"), ("malformed", "malformed")):
            summary[name] = sum(row[field] for row in rows) / len(rows)
    summary |= {
        "undecodable": sum(bool(answer.problem) for _, answer in answered),
        "missing": opened.missing,
        "unanswered": len(opened.items) - len(answered),
        "scorer": opened.scorer,
        "strict": opened.settings.strict,
    }
    place = _measured_on(opened, [item for item, _ in answered], frames, max_pixels)
    return rows, summary | {"measured_on": asdict(place)}


def _grade(grader: Grader, item: Item, answer: Answer) -> Grade:
    if answer.problem:
        return Grade(None, False)
    if answer.logps:
        return Grade(answer.response, answer.response == item.answer[: len(answer.response)])
    return grader.grade(item, answer.response)


def _free_form(item: Item, answer: Answer) -> AnsweredRow:
    """The reply in the model's own words, and whether it is well-formed and right.

    Malformed: it didn't end, can't be read, or is no well-formed reply to the question where the benchmark says what
    those are.
    """
    try:
        text, readable = parse_answer(answer.free_form), True
    except Unparsable:
        text, readable = answer.free_form, False
    meant = item.read(text) if item.read else text
    malformed = not (answer.finished and readable and (not item.well_formed or meant in item.well_formed))
    right = item.options[item.letters.index(item.answer)]
    return {"free_form": text, "malformed": malformed, "free_form_correct": not malformed and meant == right}


def _errors(items: Sequence[Item], rows: Sequence[AnsweredRow]) -> dict[str, Any]:
    """Wrong choices by kind of error, where the benchmark names kinds."""
    by_id = {item.id: item for item in items if item.errors}
    if not by_id:
        return {}
    asked = [(by_id[row["id"]], row) for row in rows if row["id"] in by_id]
    counts = Counter(
        item.errors[item.letters.index(row["pred"])] for item, row in asked if row["pred"] and not row["correct"]
    )
    kinds = {kind for item, _ in asked for kind in item.errors if kind}
    return {"errors": {kind: counts[kind] for kind in sorted(kinds)}}


def _measured_on(opened: OpenBenchmark, items: Sequence[Item], frames: int, max_pixels: int | None) -> MeasuredOn:
    return MeasuredOn(
        benchmark=opened.name,
        split=opened.split,
        items=len(items),
        of=len(opened.items),
        clips=len({item.clip for item in items}),
        frames=frames,
        frame_pixels=max_pixels,
        seed=opened.seed,
        wording=opened.wording,
        scorer=opened.scorer + (", strict" if opened.settings.strict else ""),
        digest=digest_items((item.id, item.question, item.prompt, item.options, item.answer) for item in items),
    )


def _row(item: Item, answer: Answer, grade: Grade) -> dict[str, Any]:
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
