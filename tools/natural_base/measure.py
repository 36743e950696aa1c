"""How well the natural base sees: `python -m tools.natural_base.measure --work FOLDER`, while it is taught or after.

On development scenes: answers, critiques and revisions by kind; and how many properties of an object are right where it
is described on request, in a caption of the whole clip, and at the start of a critique. What captions know and
critiques don't is still to be learned. With --card also what the base's card says.
"""

from __future__ import annotations

import argparse
import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from random import Random

import torch

from savi.evaluation.intervals import Z95, clustered_error
from savi.types import ASPECTS
from savi.world.benchmark import choose, make_options
from savi.world.natural import NATURAL, VALUES
from savi.world.questions import KINDS, Query, queries
from savi.world.scenes import CHANGES, COLORS, DIRECTIONS, PLACES, SHAPES, Scene, Thing, make_scene, scene_seed
from tools.natural_base.beginning import require_begun
from tools.natural_base.card import natural_card
from tools.natural_base.lessons import DESCRIBE, DESCRIBE_ONE, PROMPTS
from tools.natural_base.speaker import ANSWER_TOKENS, Said, Speaker, chain
from tools.natural_base.teach import Classroom
from tools.one_line import one_line

CAPTION_TOKENS, DESCRIPTION_TOKENS = 112, 48

Share = tuple[float, float]
"""A mean, and half of its interval of 95 %, clustered by scene."""


def _any(values: Sequence[str]) -> str:
    return "|".join(VALUES.get(value, value) for value in values)


DESCRIPTION = re.compile(
    rf"(?:the|a) ({_any(COLORS)}) (?:object is a )?({_any(SHAPES)}) at the ({_any(PLACES)})"
    rf"(?:\. it| that)? moves ({_any(DIRECTIONS)}) and ({_any(CHANGES)})"
)
PROPERTIES = ("shape", "place", "direction", "change")


def share(rows: Iterable[tuple[int, float]]) -> Share:
    """rows: the scene of each value, and the value."""
    listed = list(rows)
    values, scenes = [value for _, value in listed], [str(scene) for scene, _ in listed]
    if not values:
        return 0.0, 0.0
    half = Z95 * clustered_error(values, [1 / len(values)] * len(values), [""] * len(values), scenes)
    return sum(values) / len(values), half


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


def chosen_questions(scenes: Sequence[Scene]) -> list[tuple[int, Query]]:
    """Three questions per scene, of balanced kinds, each with the index of its scene."""
    random, counts = Random(0), Counter[tuple[str, ...]]()
    return [(at, q) for at, scene in enumerate(scenes) for q in choose(queries(scene, NATURAL), counts, random)]


def of_chain(said: Sequence[Said]) -> dict[str, Share]:
    """Answers and revisions that are right, and the difference: the advantage of the critic."""
    return {
        "answers": share((one.clip, one.right(one.answer)) for one in said),
        "revised": share((one.clip, one.right(one.revision)) for one in said),
        "advantage": share((one.clip, one.gain()) for one in said),
        "malformed": share((one.clip, NATURAL.read(one.query, one.answer) is None) for one in said),
    }


def of_sight(speaker: Speaker, scenes: Sequence[Scene], said: Sequence[Said]) -> dict[str, dict[str, float]]:
    """The properties that are right in captions, on request and in critiques."""
    things = [(at, thing) for at, scene in enumerate(scenes) for thing in scene.things]
    captions = speaker.say(list(range(len(scenes))), [DESCRIBE] * len(scenes), CAPTION_TOKENS)
    asked = [DESCRIBE_ONE.format(color=thing.color) for _, thing in things]
    singles = speaker.say([at for at, _ in things], asked, DESCRIPTION_TOKENS)
    named = [
        (thing, one.critique)
        for one in said
        for thing in scenes[one.clip].things
        if one.query.about == f"the {thing.color} object"
    ]
    return {
        "captions": properties_right((thing, captions[at]) for at, thing in things),
        "on request": properties_right((thing, text) for (_, thing), text in zip(things, singles, strict=True)),
        "critiques": properties_right(named),
    }


def of_own_questions(speaker: Speaker, scenes: Sequence[Scene]) -> dict[str, Share]:
    """What becomes of the questions that the base asks by itself at temperature 1. Valid ones are of the world's forms,
    of the aspect that was asked for, and can be answered from the clip."""
    clips = [at for at in range(len(scenes)) for _ in ASPECTS]
    prompts = [PROMPTS.ask(aspect, 1) for _ in scenes for aspect in ASPECTS]
    texts = speaker.say(clips, prompts, ANSWER_TOKENS, temperature=1.0)
    found = [
        next((q for q in queries(scenes[clip], NATURAL) if (q.text, q.aspect) == (text, aspect)), None)
        for clip, aspect, text in zip(clips, ASPECTS * len(scenes), texts, strict=True)
    ]
    said = chain(speaker, [(clip, query) for clip, query in zip(clips, found, strict=True) if query], temperature=1.0)
    changed = [one for one in said if NATURAL.read(one.query, one.answer) != NATURAL.read(one.query, one.revision)]
    return {
        "valid": share((clip, query is not None) for clip, query in zip(clips, found, strict=True)),
        "changed": share((one.clip, one in changed) for one in said),
        "changed right": share((one.clip, one.right(one.revision)) for one in changed),
    }


def of_choice(speaker: Speaker, asked: Sequence[tuple[int, Query]]) -> Share:
    """Questions whose right option is the likeliest of four."""
    random, hits = Random(0), []
    for clip, query in asked:
        values, answer = make_options(query, random)
        options = [NATURAL.reply(query, value) for value in values]
        hits.append((clip, speaker.prefer(clip, PROMPTS.answer.format(question=query.text), options) == answer))
    return share(hits)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.natural_base.measure", description=__doc__)
    parser.add_argument("--work", type=Path, required=True, help="folder of the teaching")
    parser.add_argument("--scenes", type=int, default=40, help="development scenes, three questions each")
    parser.add_argument("--card", type=Path, help="file to write the base's card to, with all that it says")
    options = parser.parse_args()
    torch.set_num_threads(1)
    require_begun(options.work)
    classroom = Classroom(options.work)
    pupil, clips = classroom.measured_pupil()
    scenes = [make_scene(scene_seed("dev", 0, index)) for index in range(options.scenes)]
    speaker, asked = Speaker(pupil, scenes), chosen_questions(scenes)
    said = chain(speaker, asked)
    kinds = {kind: [one for one in said if one.query.kind == kind] for kind in KINDS}
    figures = {
        "clips": clips,
        "greedy": of_chain(said),
        "kinds": {kind: of_chain(own) for kind, own in kinds.items()},
        "sight": of_sight(speaker, scenes, said),
    }
    if options.card:
        figures["sampled"] = of_chain(chain(speaker, asked, temperature=1.0))
        figures["choice"] = of_choice(speaker, asked)
        figures["own questions"] = of_own_questions(speaker, scenes)
        options.card.write_text(natural_card(classroom.begun, figures, options.scenes), encoding="utf-8")
    (options.work / f"measured_{clips:05}.json").write_text(json.dumps(figures, indent=1))
    print(f"after {clips} clips, on {options.scenes} scenes:")
    for name, value in figures.items():
        print(name, json.dumps(value))
    for one in said[:6]:
        print(f"{one.query.text} ({one.query.answer}) | {one.answer} | {one.critique} | {one.revision}")


if __name__ == "__main__":
    one_line(main)
