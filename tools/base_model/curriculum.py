"""What the base model is taught: captions, and the exchanges of the critique chain, answers with a language prior.

The gap between answering and criticising is made here, by `Prior`, and is described in the model card.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from savi.prompts.templates import WORLD
from savi.types import ASPECTS, Aspect, derive_seed
from savi.world.questions import Query, queries
from savi.world.scenes import Scene, make_scene
from savi.world.wording import MINIATURE

PRIOR_RANGE = (0.3, 0.75)


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


def captions(scene: Scene) -> list[Exchange]:
    """The whole clip, its objects in order of appearance, and each object by itself: perception, not answers."""
    whole = Exchange("describe", MINIATURE.caption(scene))
    single = (Exchange(f"describe the {thing.color} object", MINIATURE.describe([thing])) for thing in scene.things)
    return [whole, *single]


def exchanges(scene: Scene, prior: Prior, random: Random) -> list[Exchange]:
    """One lesson on a scene: up to four questions to answer and criticise, one to ask, one answer to revise, a caption.

    The answers to criticise tell nothing of the truth, so that the critic learns to look and not to agree. A third of
    the critiques to follow give random evidence, so that the reviser learns to follow its critic, not to look.
    """
    asked = [query for aspect in ASPECTS for query in _of_different_kinds(scene, aspect, random)]
    lesson = [random.choice(captions(scene))]
    for query in asked:
        proposed = prior.favourite(query)[0] if random.random() < 0.4 else random.choice(query.values)
        criticise = WORLD.critique.format(question=query.text, answer=proposed)
        lesson += [
            Exchange(WORLD.answer.format(question=query.text), prior.answer(query, random)),
            Exchange(criticise, MINIATURE.criticism(query, query.answer, proposed)),
        ]
    query = random.choice(asked)
    proposed = random.choice(query.values)
    evidence = query.answer if random.random() < 0.67 else random.choice(query.values)
    critique = MINIATURE.criticism(query, evidence, proposed)
    revise = WORLD.revision.format(question=query.text, answer=proposed, critique=critique)
    return [*lesson, Exchange(WORLD.ask(query.aspect, 1), query.text), Exchange(revise, evidence)]


def _of_different_kinds(scene: Scene, aspect: Aspect, random: Random) -> list[Query]:
    found = [query for query in queries(scene) if query.aspect == aspect]
    kinds = sorted({query.kind for query in found})
    return [
        random.choice([query for query in found if query.kind == kind])
        for kind in random.sample(kinds, min(2, len(kinds)))
    ]


def words() -> list[str]:
    """Every word that is ever said in the world, sorted."""
    texts = [WORLD.ask(aspect, 1) for aspect in ASPECTS]
    for seed in range(200):
        scene = make_scene(seed)
        texts += [text for exchange in captions(scene) for text in (exchange.prompt, exchange.reply)]
        for query in queries(scene):
            for answer in query.values:
                critique = MINIATURE.criticism(query, query.answer, answer)
                texts.append(WORLD.revision.format(question=query.text, answer=answer, critique=critique))
                texts.append(WORLD.critique.format(question=query.text, answer=answer))
    return sorted({word for text in texts for word in text.split()})
