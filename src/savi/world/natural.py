"""The rendered world in natural English: whole sentences, with several phrasings, read by their key words."""

from __future__ import annotations

import re
from collections.abc import Sequence
from random import Random

from savi.world.facts import Fact
from savi.world.scenes import COLORS, Thing
from savi.world.wording import Phrases, Query, Wording

VALUES = {
    "left": "to the left",
    "right": "to the right",
    "stays same": "stays the same",
}
"""The words of an answer where they are others than the world's own."""

KEY_WORDS = {
    "left": "left(?:wards?)?",
    "right": "right(?:wards?)?",
    "up": "up(?:wards?)?",
    "down": "down(?:wards?)?",
    "gets bigger": "bigger|larger|grow(?:s|n|ing)?|grew",
    "gets smaller": "smaller|shrinks?|shrinking|shrank",
    "turns white": "white",
    "stays same": "same|unchanged|not change",
    "top left": "(?:top|upper)[ -]left",
    "top right": "(?:top|upper)[ -]right",
    "bottom left": "(?:bottom|lower)[ -]left",
    "bottom right": "(?:bottom|lower)[ -]right",
    "one": "one|1",
    "two": "two|2",
    "three": "three|3",
    "four": "four|4",
    "cross": "cross(?:es)?",
}
"""A pattern for the words by which an answer is known, where they are others than its own, with or without an s."""

FROM_TO = re.compile(r"from (?:the )?\w+ to (?:the )?(\w+)")

RIGHT = ("The proposed answer is right.", "So the proposed answer is correct.", "The answer is correct.")
WRONG = ("The proposed answer is wrong.", "So the proposed answer is not correct.", "The answer is wrong.")


class Natural(Wording):
    """Natural English."""

    def show(self, fact: Fact) -> str:
        """The named object with all its properties; where objects are counted or ordered, all of them, shortly."""
        if fact.topic in ("next to", "count at"):
            return " ".join(f"The {thing.color} object is at the {thing.place}." for thing in fact.shown)
        if len(fact.shown) == 1 and fact.named:
            return self.describe(fact.shown)
        if fact.topic == "count":
            return f"The video shows {_listed([f'a {thing.color} {thing.shape}' for thing in fact.shown])}."
        return f"The objects appear in this order: {_listed([f'{t.color} {t.shape}' for t in fact.shown], ', then')}."

    def reply(self, query: Query, value: str, random: Random | None = None) -> str:
        claim = random.choice(query.claims) if random else query.claim
        return _sentence(claim.format(VALUES.get(value, value)))

    def key(self, value: str) -> str:
        return VALUES.get(value, value)

    def read(self, query: Query, reply: str) -> str | None:
        text = FROM_TO.sub(r"\1", reply.lower())
        for claim in query.claims:
            before, _, after = claim.partition("{}")
            if before and text.startswith(before):
                text = text.removeprefix(before)
            if after and text.rstrip(".").endswith(after):
                text = text.rstrip(".").removesuffix(after)
        if query.about:
            text = text.replace(query.about, "")
        said = [value for value in query.values if re.search(rf"\b(?:{KEY_WORDS.get(value, f'{value}s?')})\b", text)]
        if query.values == COLORS:
            # The color that names the object in question is no answer, unless it is all that was said.
            said = [color for color in said if color not in query.text.lower()] or said
        return said[0] if len(said) == 1 else None

    def criticism(self, query: Query, evidence: str, reply: str, random: Random | None = None) -> str:
        right = self.read(query, reply) == evidence
        verdicts = RIGHT if right else WRONG
        return f"{query.shown} {self.reply(query, evidence)} {random.choice(verdicts) if random else verdicts[0]}"

    def describe(self, things: Sequence[Thing], random: Random | None = None) -> str:
        template = random.choice(DESCRIPTIONS) if random else DESCRIPTIONS[0]
        return " ".join(
            template.format(
                color=thing.color,
                shape=thing.shape,
                place=thing.place,
                direction=VALUES.get(thing.direction, thing.direction),
                change=VALUES.get(thing.change, thing.change),
            )
            for thing in things
        )


DESCRIPTIONS = (
    "The {color} object is a {shape} at the {place}. It moves {direction} and {change}.",
    "The {color} object is a {shape} at the {place} that moves {direction} and {change}.",
    "A {color} {shape} at the {place} moves {direction} and {change}.",
)


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def _listed(parts: Sequence[str], last: str = " and") -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])}{last} {parts[-1]}"


NATURAL = Natural(
    names={
        "color": "the {color} object",
        "when": "the {when} object",
        "relation": "the object {relation} the {color} one",
    },
    relations={"left of": "to the left of", "right of": "to the right of", "above": "above", "below": "below"},
    phrases={
        "motion": Phrases(
            ("Which way does {name} move?", "In which direction does {name} move?", "Where is {name} moving?"),
            ("{name} moves {value}", "{name} is moving {value}", "{name} goes {value}"),
            "Can you tell in which direction {name} goes?",
        ),
        "change": Phrases(
            ("What happens to {name}?", "How does {name} change?", "What happens to {name} at the end?"),
            ("{name} {value}", "at the end {name} {value}", "late in the video {name} {value}"),
            "Can you tell what becomes of {name}?",
        ),
        "shape": Phrases(
            ("What shape is {name}?", "What is the shape of {name}?", "Which shape does {name} have?"),
            ("{name} is a {value}", "the shape of {name} is a {value}", "{name} has the shape of a {value}"),
            "Can you tell which shape {name} has?",
        ),
        "place": Phrases(
            ("Where is {name}?", "In which corner is {name}?", "Where in the picture is {name}?"),
            ("{name} is at the {value}", "{name} is in the {value} corner", "{name} can be seen at the {value}"),
            "Can you tell where {name} can be found?",
        ),
        "next to": Phrases(
            ("Which object is {relation} the {color} one?", "What color is the object {relation} the {color} one?"),
            (
                "the {value} object is {relation} the {color} one",
                "it is the {value} object that is {relation} the {color} one",
            ),
            "Can you tell which object can be found {relation} the {color} one?",
        ),
        "count": Phrases(
            ("How many {noun} are there?", "What is the number of {noun}?", "How many {noun} can be seen?"),
            ("the number of {noun} is {value}", "the video shows this number of {noun}: {value}"),
            "Can you tell how many {noun} the video shows?",
        ),
        "count at": Phrases(
            ("How many objects are at the {place}?", "What is the number of objects at the {place}?"),
            (
                "the number of objects at the {place} is {value}",
                "the video shows this number of objects at the {place}: {value}",
            ),
            "Can you tell how many objects the video shows at the {place}?",
        ),
        "appears": Phrases(
            ("Which object appears {when}?", "What color is the object that appears {when}?"),
            ("the {value} object appears {when}", "the object that appears {when} is {value}"),
            "Can you tell which object comes {when}?",
        ),
        "after": Phrases(
            (
                "Which object appears right after the {color} one?",
                "What color is the object that appears right after the {color} one?",
            ),
            (
                "the {value} object appears right after the {color} one",
                "right after the {color} one appears the {value} object",
            ),
            "Can you tell which object follows the {color} one?",
        ),
        "appearing shape": Phrases(
            ("What shape appears {when}?", "Which shape does the object have that appears {when}?"),
            ("a {value} appears {when}", "the shape that appears {when} is a {value}"),
            "Can you tell which shape comes {when}?",
        ),
    },
)
