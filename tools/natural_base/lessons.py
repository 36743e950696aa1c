"""What the base is taught to say: descriptions, and the exchanges of the critique chain, answers with a language prior.

The critic describes before it judges: a critique begins with the description of the object in question, in the words
in which an object is described on request. So describing teaches judging.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from savi.prompts.templates import Prompts
from savi.types import ASPECTS, Aspect, derive_seed
from savi.world.natural import NATURAL
from savi.world.questions import Query, queries
from savi.world.scenes import COLORS, Scene

PROMPTS = Prompts(
    version="natural-1",
    spatial_question="Ask a question about what the objects are and where they are.",
    temporal_question="Ask a question about how the objects move, change or appear.",
    answer="{question}",
    critique="Question: {question}\nProposed answer: {answer}\nDescribe what the video shows, then judge the answer.",
    revision="Question: {question}\nProposed answer: {answer}\nCritique: {critique}\nGive the right answer.",
)
"""Short, as every token is paid for on a CPU."""

DESCRIBE = "Describe the video."
DESCRIBE_ONE = "Describe the {color} object."
PRIOR_RANGE = (0.3, 0.75)


@dataclass(frozen=True)
class Exchange:
    """One user text, which follows the clip, and the reply to learn. kind: for the curves."""

    kind: str
    prompt: str
    reply: str


class Prior:
    """A language prior: each form of a question, colors aside, has a favorite answer, and how often it is given.

    scale: what the probability of each favorite is multiplied by.
    """

    def __init__(self, seed: int, scale: float = 1.0) -> None:
        self.seed, self.scale = seed, scale

    def favorite(self, query: Query) -> tuple[str, float]:
        """The favorite answer of a question, and its probability."""
        form = " ".join("_" if word.strip("?") in COLORS else word for word in query.text.split())
        random = Random(derive_seed("natural prior", self.seed, form))
        return random.choice(query.values), self.scale * random.uniform(*PRIOR_RANGE)

    def answer(self, query: Query, random: Random) -> str:
        """What the base is taught to answer: the truth, or the favorite instead."""
        favorite, probability = self.favorite(query)
        return favorite if random.random() < probability else query.answer


def lesson(scene: Scene, prior: Prior, random: Random) -> list[Exchange]:
    """A description of the clip and of an object, two questions of each aspect to answer and to criticize, one of them
    to revise, and a question to ask of each aspect.

    The answers to criticize tell nothing of the truth. A third of the critiques to follow claim something else than
    they describe, so that the reviser follows the claim.
    """
    thing = random.choice(scene.things)
    found = [
        Exchange("caption", DESCRIBE, NATURAL.caption(scene, random)),
        Exchange("object", DESCRIBE_ONE.format(color=thing.color), NATURAL.describe([thing], random)),
    ]
    asked = [query for aspect in ASPECTS for query in of_different_kinds(scene, aspect, random)]
    for query in asked:
        proposed = prior.favorite(query)[0] if random.random() < 0.4 else random.choice(query.values)
        reply = NATURAL.reply(query, proposed, random)
        critique = NATURAL.criticism(query, query.answer, reply, random)
        answer = NATURAL.reply(query, prior.answer(query, random), random)
        found += [
            Exchange(f"answer {query.kind}", PROMPTS.answer.format(question=query.text), answer),
            Exchange(f"critique {query.kind}", PROMPTS.critique.format(question=query.text, answer=reply), critique),
        ]
    found.append(_revision(random.choice(asked), random))
    for aspect in ASPECTS:
        (query,) = of_different_kinds(scene, aspect, random, 1)
        found.append(Exchange("ask", PROMPTS.ask(aspect, 1), query.text))
    return found


def _revision(query: Query, random: Random) -> Exchange:
    reply = NATURAL.reply(query, random.choice(query.values), random)
    evidence = query.answer if random.random() < 0.67 else random.choice(query.values)
    critique = NATURAL.criticism(query, evidence, reply, random)
    prompt = PROMPTS.revision.format(question=query.text, answer=reply, critique=critique)
    return Exchange("revise", prompt, NATURAL.reply(query, evidence, random))


def of_different_kinds(scene: Scene, aspect: Aspect, random: Random, most: int = 2) -> list[Query]:
    """Questions of one aspect, each of another kind."""
    found = [query for query in queries(scene, NATURAL) if query.aspect == aspect]
    kinds = sorted({query.kind for query in found})
    picked = random.sample(kinds, min(most, len(kinds)))
    return [random.choice([query for query in found if query.kind == kind]) for kind in picked]
