"""What the base model is taught: captions, and the exchanges of the critique chain, answers with a language prior.

The gap between answering and criticising is made here, by `Prior`, and stands in the model card.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from savi.prompts.templates import WORLD
from savi.types import derive_seed
from savi.world.questions import Query, queries
from savi.world.scenes import Scene, make_scene

CAPTION = "describe"
PRIOR_RANGE = (0.25, 0.7)


@dataclass(frozen=True)
class Exchange:
    """One user text, which follows the clip, and the reply to learn."""

    prompt: str
    reply: str


class Prior:
    """A language prior: each question text has a favourite answer, and how often it takes the place of the truth."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def favourite(self, query: Query) -> tuple[str, float]:
        """The favourite answer of a question text, and its probability."""
        random = Random(derive_seed("prior", self.seed, query.text))
        return random.choice(query.values), random.uniform(*PRIOR_RANGE)

    def answer(self, query: Query, random: Random) -> str:
        """What the base is taught to answer: the truth, or the favourite instead."""
        favourite, probability = self.favourite(query)
        return favourite if random.random() < probability else query.answer


def caption(scene: Scene) -> Exchange:
    """Every object with its properties, in the order of appearance: perception, not answers."""
    objects = [
        f"a {thing.color} {thing.shape} at the {thing.place} moves {thing.direction} and {thing.change}"
        for thing in scene.things
    ]
    return Exchange(CAPTION, " , then ".join(objects))


def criticism(query: Query, evidence: str, answer: str) -> str:
    """A critique: the evidence (an answer's claim) first, then the verdict that follows from it."""
    verdict = "correct" if answer == evidence else "wrong"
    return f"{query.claim.format(evidence)} , so {answer} is {verdict}"


def exchanges(scene: Scene, prior: Prior, random: Random) -> list[Exchange]:
    """One lesson on a scene: for one question of each aspect asking, answering, criticising and revising.

    Half of the answers to criticise are right. A third of the critiques to follow are mistaken, so that
    the reviser learns to follow its critic, not to look for itself.
    """
    found = queries(scene)
    lesson: list[Exchange] = []
    for aspect in ("spatial", "temporal"):
        kinds = sorted({query.kind for query in found if query.aspect == aspect})
        kind = random.choice(kinds)
        query = random.choice([query for query in found if query.kind == kind])
        wrong = random.choice([value for value in query.values if value != query.answer])
        proposed = random.choice((query.answer, wrong))
        evidence = query.answer if random.random() < 0.67 else random.choice(query.values)
        critique = criticism(query, evidence, proposed)
        truth = criticism(query, query.answer, proposed)
        lesson += [
            Exchange(WORLD.ask(aspect, 1), query.text),
            Exchange(WORLD.answer.format(question=query.text), prior.answer(query, random)),
            Exchange(WORLD.critique.format(question=query.text, answer=proposed), truth),
            Exchange(WORLD.revision.format(question=query.text, answer=proposed, critique=critique), evidence),
        ]
    return lesson


def corpus(scenes: int = 400) -> list[str]:
    """Texts that hold every word of the world where a reply or a sentence can have it: the tokenizer learns them."""
    texts: list[str] = []
    for index in range(scenes):
        scene = make_scene(derive_seed("corpus", index))
        taught = [caption(scene), *exchanges(scene, Prior(0), Random(index))]
        texts += [text for exchange in taught for text in (exchange.prompt, exchange.reply)]
    words = sorted({word for text in texts for word in text.split()})
    return texts + [f"{word} {word}" for word in words]  # at the start of a text, and behind a space
