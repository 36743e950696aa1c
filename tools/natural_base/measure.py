"""How well the natural base sees: `python -m tools.natural_base.measure --work FOLDER`, while it is taught or after.

On development scenes: answers, critiques and revisions by kind; and how many properties of an object are right where it
is described on request, in a caption of the whole clip, and at the start of a critique. What captions know and
critiques don't is still to be learned.
"""

from __future__ import annotations

import argparse
import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

import torch

from savi.inference import GenerateRequest
from savi.models.packed import PackedClips
from savi.types import Clip, Sampling
from savi.world.benchmark import choose
from savi.world.natural import NATURAL, VALUES
from savi.world.questions import KINDS, Query, queries
from savi.world.scenes import CHANGES, COLORS, DIRECTIONS, PLACES, SHAPES, Scene, Thing, make_scene, scene_seed
from tools.natural_base.film import pixels, shoot
from tools.natural_base.lessons import DESCRIBE, DESCRIBE_ONE, PROMPTS
from tools.natural_base.pupil import Pupil
from tools.natural_base.teach import Classroom

BATCH = 8
"""Scenes whose questions are answered together."""
TOKENS = {"answer": 24, "critique": 96, "caption": 112}


def _any(values: Sequence[str]) -> str:
    return "|".join(VALUES.get(value, value) for value in values)


DESCRIPTION = re.compile(
    rf"(?:the|a) ({_any(COLORS)}) (?:object is a )?({_any(SHAPES)}) at the ({_any(PLACES)})"
    rf"(?:\. it| that)? moves ({_any(DIRECTIONS)}) and ({_any(CHANGES)})"
)
PROPERTIES = ("shape", "place", "direction", "change")


@dataclass(frozen=True)
class Said:
    """What was said about one question. clip: the scene's index."""

    clip: int
    query: Query
    answer: str
    critique: str
    revision: str

    def gain(self) -> int:
        """1 where a wrong answer became right, -1 the other way round."""
        return self.right(self.revision) - self.right(self.answer)

    def right(self, reply: str) -> bool:
        return NATURAL.read(self.query, reply) == self.query.answer


class Speaker:
    """A pupil that speaks greedily about scenes."""

    def __init__(self, pupil: Pupil, scenes: Sequence[Scene]) -> None:
        self.pupil = pupil
        with torch.no_grad():
            tokens = [
                pupil.watch(pixels(shoot(scene, pupil.processor).numpy()[None], pupil.processor))[0] for scene in scenes
            ]
            self.prefixes = [pupil.prefix(one) for one in tokens]

    def say(self, clips: Sequence[int], prompts: Sequence[str], tokens: int) -> list[str]:
        """One reply per prompt. clips: the index of the scene of each, in ascending order."""
        replies: list[str] = []
        for start in range(0, max(clips) + 1, BATCH):
            some = [at for at, clip in enumerate(clips) if start <= clip < start + BATCH]
            if not some:
                continue
            prefixes = self.prefixes[start : start + BATCH]
            clips_here = [Clip(str(index), Path()) for index in range(len(prefixes))]
            read = PackedClips(self.pupil.model, self.pupil.chat, clips_here, prefixes)
            requests = [GenerateRequest(clips[at] - start, prompts[at], 0) for at in some]
            written = read.generate(requests, Sampling(temperature=0, max_new_tokens=tokens))
            replies += [self.pupil.chat.decode(one.ids) for one in written]
        return replies


def chain(speaker: Speaker, scenes: Sequence[Scene]) -> list[Said]:
    """Three questions a scene, of balanced kinds, through the chain."""
    random, counts = Random(0), Counter[tuple[str, ...]]()
    asked = [(at, q) for at, scene in enumerate(scenes) for q in choose(queries(scene, NATURAL), counts, random)]
    clips = [clip for clip, _ in asked]
    questions = [query.text for _, query in asked]
    answers = speaker.say(clips, [PROMPTS.answer.format(question=one) for one in questions], TOKENS["answer"])
    pairs = list(zip(questions, answers, strict=True))
    critiques = speaker.say(
        clips, [PROMPTS.critique.format(question=q, answer=a) for q, a in pairs], TOKENS["critique"]
    )
    revisions = speaker.say(
        clips,
        [PROMPTS.revision.format(question=q, answer=a, critique=c) for (q, a), c in zip(pairs, critiques, strict=True)],
        TOKENS["answer"],
    )
    return [Said(*one) for one in zip(clips, (q for _, q in asked), answers, critiques, revisions, strict=True)]


def advantage(said: Sequence[Said]) -> tuple[float, float]:
    """Mean gain of a revision, and half of its interval of 95 %, clustered by scene."""
    mean = sum(one.gain() for one in said) / len(said)
    clips: dict[int, float] = dict.fromkeys((one.clip for one in said), 0.0)
    for one in said:
        clips[one.clip] += one.gain() - mean
    return mean, 1.96 * sum(value**2 for value in clips.values()) ** 0.5 / len(said)


def described(text: str) -> dict[str, tuple[str, ...]]:
    """The properties of each object that a text describes, by its color."""
    return {color: tuple(rest) for color, *rest in DESCRIPTION.findall(text.lower())}


def properties_right(pairs: Iterable[tuple[Thing, str]]) -> dict[str, float]:
    """Share of objects that are described at all, and of each property that is right, of all objects.

    pairs: an object, and the text that should describe it.
    """
    listed = list(pairs)
    found = [(thing, described(text).get(thing.color)) for thing, text in listed]
    shares = {"described": sum(said is not None for _, said in found) / max(1, len(found))}
    for at, name in enumerate(PROPERTIES):
        truths = [VALUES.get(getattr(thing, name), getattr(thing, name)) for thing, _ in found]
        hits = sum(said is not None and said[at] == truth for truth, (_, said) in zip(truths, found, strict=True))
        shares[name] = hits / max(1, len(found))
    return shares


def measure(pupil: Pupil, count: int) -> tuple[dict[str, object], list[Said]]:
    """All the figures, and what was said."""
    scenes = [make_scene(scene_seed("dev", 0, index)) for index in range(count)]
    speaker = Speaker(pupil, scenes)
    said = chain(speaker, scenes)
    things = [(at, thing) for at, scene in enumerate(scenes) for thing in scene.things]
    captions = speaker.say(list(range(count)), [DESCRIBE] * count, TOKENS["caption"])
    asked = [DESCRIBE_ONE.format(color=thing.color) for _, thing in things]
    singles = speaker.say([at for at, _ in things], asked, TOKENS["answer"] * 2)
    named = [
        (thing, one.critique)
        for one in said
        for thing in scenes[one.clip].things
        if one.query.about == f"the {thing.color} object"
    ]
    kinds = {kind: [one for one in said if one.query.kind == kind] for kind in KINDS} | {"all": said}
    chain_figures = {
        kind: {
            "questions": len(own),
            "answer": sum(one.right(one.answer) for one in own) / len(own),
            "revised": sum(one.right(one.revision) for one in own) / len(own),
            "advantage": advantage(own),
        }
        for kind, own in kinds.items()
        if own
    }
    return {
        "chain": chain_figures,
        "malformed": sum(NATURAL.read(one.query, one.answer) is None for one in said) / len(said),
        "properties in captions": properties_right((thing, captions[at]) for at, thing in things),
        "properties on request": properties_right(
            (thing, text) for (_, thing), text in zip(things, singles, strict=True)
        ),
        "properties in critiques": properties_right(named),
    }, said


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.natural_base.measure", description=__doc__)
    parser.add_argument("--work", type=Path, required=True, help="folder of the teaching")
    parser.add_argument("--scenes", type=int, default=40, help="development scenes, three questions each")
    options = parser.parse_args()
    torch.set_num_threads(1)
    classroom = Classroom(options.work)
    pupil, clips = classroom.measured_pupil()
    figures, said = measure(pupil, options.scenes)
    (options.work / f"measured_{clips:05}.json").write_text(json.dumps({"clips": clips, **figures}, indent=1))
    print(f"after {clips} clips, on {options.scenes} scenes:")
    for name, value in figures.items():
        print(name, json.dumps(value))
    for one in said[:6]:
        print(f"{one.query.text} ({one.query.answer}) | {one.answer} | {one.critique} | {one.revision}")


if __name__ == "__main__":
    main()
