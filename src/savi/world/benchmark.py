"""A multiple-choice benchmark on held-out clips of the world, with the paper's names for each kind of error."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import Random

from savi.types import Clip, derive_seed
from savi.world.clips import clip
from savi.world.questions import KINDS, NUMBERS, WORDINGS, Kind, Query
from savi.world.questions import WordingName as WordingName
from savi.world.scenes import COLORS, Scene
from savi.world.sets import HeldOutSet as HeldOutSet
from savi.world.sets import questions_of, scene_of
from savi.world.wording import Wording

OPTIONS = 4
PER_CLIP = 3


@dataclass(frozen=True)
class HeldOutQuestion:
    """One multiple-choice question on a held-out clip.

    answer: index of the right option. errors: what kind of error choosing each option is, "" for the right one.
    replies: every answer to the question, in the phrasing of the options. read: which of `replies` a free-form reply
    means, None where it is malformed. key: the right answer's key words.
    """

    id: str
    clip: Clip
    task: str
    question: str
    options: tuple[str, ...]
    answer: int
    errors: tuple[str, ...]
    replies: tuple[str, ...]
    key: str
    read: Callable[[str], str | None] = field(repr=False, compare=False)


def held_out(
    folder: Path, clips: int, seed: int, split: HeldOutSet = "test", wording: WordingName = "miniature"
) -> list[HeldOutQuestion]:
    """PER_CLIP questions on each of `clips` held-out clips, rendered into `folder` if they aren't there.

    One-object clips of the compositional set have fewer.

    Kinds come equally often, and within a kind its answers as equally as the scenes allow, so that neither a
    constant answer nor a guess from the question's text is better than chance.
    """
    asked: Counter[tuple[str, ...]] = Counter()
    items: list[HeldOutQuestion] = []
    words = WORDINGS[wording]
    for index in range(clips):
        scene = scene_of(split, seed, index)
        random = Random(derive_seed("benchmark", split, seed, index))
        for query in choose(questions_of(split, scene, words), asked, random):
            values, answer = make_options(query, random)
            items.append(
                HeldOutQuestion(
                    id=f"{split}_{index:05}_{query.kind}",
                    clip=clip(split, folder, seed, index),
                    task=query.kind,
                    question=query.text,
                    options=tuple(words.reply(query, value) for value in values),
                    answer=answer,
                    errors=tuple(error(query, value, scene) for value in values),
                    replies=tuple(words.reply(query, value) for value in query.values),
                    key=words.key(query.answer),
                    read=partial(_read, words, query),
                )
            )
    return items


def _read(wording: Wording, query: Query, reply: str) -> str | None:
    value = wording.read(query, reply)
    return None if value is None else wording.reply(query, value)


def choose(found: list[Query], asked: Counter[tuple[str, ...]], random: Random) -> list[Query]:
    """The questions of one clip: of the kinds asked least so far, the text and answer that came least often.

    found: the possible questions; they are shuffled.
    """
    random.shuffle(found)
    kinds = list(KINDS)
    random.shuffle(kinds)
    there = [kind for kind in kinds if any(query.kind == kind for query in found)]
    chosen: list[Query] = []
    for kind in sorted(there, key=lambda kind: asked[(kind,)])[:PER_CLIP]:
        query = min(
            (query for query in found if query.kind == kind),
            key=lambda query: (asked[query.kind, query.answer], asked[query.text, query.answer]),
        )
        asked.update([(kind,), (kind, query.answer), (query.text, query.answer)])
        chosen.append(query)
    return chosen


def make_options(query: Query, random: Random) -> tuple[tuple[str, ...], int]:
    """Answers in a seeded order, and the index of the right one."""
    others = random.sample([value for value in query.values if value != query.answer], OPTIONS - 1)
    options = [query.answer, *others]
    random.shuffle(options)
    return tuple(options), options.index(query.answer)


def error(query: Query, option: str, scene: Scene) -> str:
    """Which of the paper's kinds of error an answer is, "" for the right one. The world has no causal questions."""
    if option == query.answer:
        return ""
    by_kind: dict[Kind, str] = {
        "motion": "factual inaccuracy",
        "order": "temporal ordering",
        "change": "factual inaccuracy",
        "shape": "factual inaccuracy",
        "count": "object hallucination",
        "spatial": "spatial relationship",
    }
    colors, shapes = {thing.color for thing in scene.things}, {thing.shape for thing in scene.things}
    backwards = {("left", "right"), ("up", "down"), ("gets bigger", "gets smaller")}
    if (option, query.answer) in backwards or (query.answer, option) in backwards:
        return "temporal ordering"  # what a film run backwards would show
    if query.kind == "shape" and option not in shapes:
        return "object hallucination"
    if option in COLORS and option not in colors:
        return "object hallucination"
    fewer = query.kind == "count" and NUMBERS.index(option) < NUMBERS.index(query.answer)
    if fewer or option == "stays same":
        return "detail omission"
    return by_kind[query.kind]
