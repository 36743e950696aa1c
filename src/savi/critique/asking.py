"""The questions of a round: the model draws them about each clip, and filters take some."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from savi.critique.filters import OTHER_ASPECT, UNPARSABLE, FilterSettings, filter_question, filter_reply
from savi.critique.round import Round
from savi.critique.turns import Question, Thread, said
from savi.inference import GenerateRequest, Reply, Session
from savi.prompts.content import aspect_of
from savi.prompts.markup import Unparsable
from savi.prompts.questions import parse_questions
from savi.types import Aspect, derive_seed


def ask(session: Session, aspects: Sequence[Aspect], round: Round) -> list[Thread]:
    """Draw questions of every aspect for every clip; keep the first distinct ones."""
    seeds = [derive_seed(round.run_seed, round.index, clip.id) for clip in session.clips]
    count = round.chain.questions_per_aspect
    slots = [
        (clip, aspect, index)
        for clip in range(len(session.clips))
        for aspect in aspects
        for index in range(round.chain.question_replies)
    ]
    requests = [
        GenerateRequest(clip, round.prompts.ask(aspect, count), derive_seed(seeds[clip], "question", aspect, index))
        for clip, aspect, index in slots
    ]
    replies = session.generate(requests, round.chain.question)
    threads: list[Thread] = []
    asked: dict[int, list[str]] = {}
    kept: Counter[tuple[int, Aspect]] = Counter()
    for (clip, aspect, index), request, reply in zip(slots, requests, replies, strict=True):
        turn = said("question", request, reply)
        for number, (text, filtered_by) in enumerate(_questions(reply, round.filters)):
            if kept[clip, aspect] == count:
                break
            # By its own words, and the aspect that was asked for where they don't tell.
            found = (aspect_of(text) if round.filters.other_aspect else None) or aspect
            thread = Thread(Question(clip, found, text, f"{aspect} {index}.{number}", seeds[clip]), [turn])
            earlier = asked.setdefault(clip, [])
            thread.filtered_by = (
                filtered_by
                or (OTHER_ASPECT if found not in aspects else None)
                or filter_question(text, earlier, round.filters)
            )
            if thread.filtered_by is None:
                earlier.append(text)
                kept[clip, aspect] += 1
            threads.append(thread)
    return threads


def left(threads: Sequence[Thread]) -> list[Thread]:
    """Those that no filter has taken."""
    return [thread for thread in threads if thread.filtered_by is None]


def _questions(reply: Reply, filters: FilterSettings) -> list[tuple[str, str | None]]:
    """The questions of one reply, each with the filter that takes it."""
    filtered_by = filter_reply(reply.text, reply.finished, filters)
    try:
        questions = parse_questions(reply.text, strict=filters.question_form)
    except Unparsable:
        return [(reply.text, filtered_by or UNPARSABLE)]
    return [(question, filtered_by) for question in questions]
