"""The words that the rendered world is put in: its questions, answers, critiques and descriptions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from random import Random

from savi.types import Aspect
from savi.world.facts import KINDS, Fact, Kind, Topic
from savi.world.scenes import Scene, Thing


@dataclass(frozen=True)
class Phrases:
    """How one topic is put into words.

    questions, claims: templates that mean the same; a claim has {value} for the answer. held_out: another form of the
    question, for held-out sets alone.
    """

    questions: tuple[str, ...]
    claims: tuple[str, ...]
    held_out: str


@dataclass(frozen=True)
class Query:
    """One question about a scene.

    answer: the true one. values: every answer that there is. claim: a sentence that states an answer, with {} for it.
    The rest is for wordings with several phrasings. claims: every such sentence. about: the words that name what is
    asked about. shown: a description of what decides the answer.
    """

    kind: Kind
    text: str
    answer: str
    values: tuple[str, ...]
    claim: str
    claims: tuple[str, ...] = ()
    about: str = ""
    shown: str = ""

    @property
    def aspect(self) -> Aspect:
        """Which of the two question prompts asks for this."""
        return KINDS[self.kind]


@dataclass(frozen=True)
class Wording(ABC):
    """One way to speak about the world.

    names: how an object is named, by `Fact.named`. relations: the words of each relation. phrases: by topic.
    """

    names: Mapping[str, str]
    relations: Mapping[str, str]
    phrases: Mapping[Topic, Phrases]

    def questions(self, facts: Iterable[Fact], held_out: bool = False) -> list[Query]:
        """The questions about some facts, one for each phrasing of each fact. held_out: in their held-out form."""
        return [query for fact in facts for query in self._of_fact(fact, held_out)]

    def _of_fact(self, fact: Fact, held_out: bool) -> list[Query]:
        phrases = self.phrases[fact.topic]
        fields = dict(fact.fields)
        if "relation" in fields:
            fields["relation"] = self.relations[fields["relation"]]
        name = self.names[fact.named].format(**fields) if fact.named else ""
        claims = tuple(claim.format(**fields, name=name, value="{}") for claim in phrases.claims)
        about = name or " ".join(fields.get(key, "") for key in ("relation", "noun")).strip()
        return [
            Query(
                kind=fact.kind,
                text=question.format(**fields, name=name),
                answer=fact.answer,
                values=fact.values,
                claim=claims[index % len(claims)],
                claims=claims,
                about=about,
                shown=self.show(fact),
            )
            for index, question in enumerate((phrases.held_out,) if held_out else phrases.questions)
        ]

    @abstractmethod
    def show(self, fact: Fact) -> str:
        """A description of what decides a fact, "" in a wording that has none."""

    @abstractmethod
    def reply(self, query: Query, value: str, random: Random | None = None) -> str:
        """The text of one of the query's answers. random: draws the phrasing; None takes the query's own claim."""

    @abstractmethod
    def key(self, value: str) -> str:
        """The words by which an answer is known."""

    @abstractmethod
    def read(self, query: Query, reply: str) -> str | None:
        """The answer that a reply gives, None where it gives none or several."""

    @abstractmethod
    def criticism(self, query: Query, evidence: str, reply: str, random: Random | None = None) -> str:
        """A critique of a reply: the evidence (an answer's claim) first, then the verdict that follows from it."""

    @abstractmethod
    def describe(self, things: Sequence[Thing], random: Random | None = None) -> str:
        """A caption: some objects, in order of appearance, with all their properties."""

    def caption(self, scene: Scene, random: Random | None = None) -> str:
        """A whole scene."""
        return self.describe(scene.things, random)


class Miniature(Wording):
    """The words of the miniature base: an answer is a value and nothing else, and nothing is phrased twice."""

    def show(self, fact: Fact) -> str:
        return ""

    def reply(self, query: Query, value: str, random: Random | None = None) -> str:
        return value

    def key(self, value: str) -> str:
        return value

    def read(self, query: Query, reply: str) -> str | None:
        return reply if reply in query.values else None

    def criticism(self, query: Query, evidence: str, reply: str, random: Random | None = None) -> str:
        return f"{query.claim.format(evidence)} , so {reply} is {'correct' if reply == evidence else 'wrong'}"

    def describe(self, things: Sequence[Thing], random: Random | None = None) -> str:
        return " , then ".join(
            f"a {thing.color} {thing.shape} at the {thing.place} moves {thing.direction} and {thing.change}"
            for thing in things
        )


def _one(question: str, claim: str, held_out: str) -> Phrases:
    return Phrases((question,), (claim,), held_out)


MINIATURE = Miniature(
    names={
        "color": "the {color} object",
        "when": "the {when} object",
        "relation": "the object {relation} the {color} one",
    },
    relations={relation: relation for relation in ("left of", "right of", "above", "below")},
    phrases={
        "motion": _one("which way does {name} move ?", "{name} moves {value}", "{name} moves which way ?"),
        "change": _one("what happens to {name} ?", "{name} {value}", "to {name} happens what ?"),
        "shape": _one("what shape is {name} ?", "{name} is a {value}", "{name} is what shape ?"),
        "place": _one("where is {name} ?", "{name} is at the {value}", "{name} is where ?"),
        "next to": _one(
            "which object is {relation} the {color} one ?",
            "the {value} object is {relation} the {color} one",
            "{relation} the {color} one is which object ?",
        ),
        "count": _one("how many {noun} are there ?", "the number of {noun} is {value}", "there are how many {noun} ?"),
        "count at": _one(
            "how many objects are at the {place} ?",
            "the number of objects at the {place} is {value}",
            "at the {place} are how many objects ?",
        ),
        "appears": _one(
            "which object appears {when} ?", "the {value} object appears {when}", "{when} appears which object ?"
        ),
        "after": _one(
            "which object appears right after the {color} one ?",
            "the {value} object appears right after the {color} one",
            "right after the {color} one appears which object ?",
        ),
        "appearing shape": _one(
            "what shape appears {when} ?", "a {value} appears {when}", "{when} appears what shape ?"
        ),
    },
)
