"""`python -m tools.base_model.judging`: how well equal meaning is judged on the shipped base's own answers.

The base has no words for the question whether two answers say the same. It was taught one judgment: "the red object
moves left , so left is correct" holds an answer against a sentence that states one. So each question gets two sampled
answers, and each of them is held against the sentence of the other. They say the same if "correct" is likelier than
"wrong" over both orders. The world knows the truth: two well-formed answers say the same if they are one.
"""

from __future__ import annotations

import argparse
from collections import Counter
from dataclasses import dataclass
from random import Random

from transformers import AutoModelForImageTextToText, AutoProcessor

from savi.prompts.meaning import say_the_same, words
from savi.prompts.templates import WORLD
from savi.world import BASE
from savi.world.benchmark import choose
from savi.world.questions import queries
from savi.world.scenes import make_scene, scene_seed
from tools.base_model.measure import Asked, Speaker


@dataclass(frozen=True)
class Judged:
    """Whether an answer and the sentence of another one say the same: in truth, and by each way to judge."""

    true: bool
    words: bool
    content: bool
    likelihood: bool


def judge_own_answers(scenes: int, seed: int = 0) -> list[Judged]:
    """The judgments on the base's answers to questions about development scenes. Malformed answers are left out."""
    model = AutoModelForImageTextToText.from_pretrained(BASE, local_files_only=True)
    processor = AutoProcessor.from_pretrained(BASE, local_files_only=True)
    watched = [make_scene(scene_seed("dev", seed, index)) for index in range(scenes)]
    speaker, random, counts = Speaker(model, processor, watched), Random(seed), Counter[tuple[str, ...]]()
    asked = [Asked(i, query) for i, scene in enumerate(watched) for query in choose(queries(scene), counts, random)]
    clips = [one.clip for one in asked]
    prompts = [WORLD.answer.format(question=one.query.text) for one in asked]
    first, second = (speaker.say(clips, prompts, 1.0, seed + draw) for draw in range(2))
    return [
        _judged(speaker, one, answer, other)
        for one, answer, other in zip(asked, first, second, strict=True)
        if {answer, other} <= set(one.query.values)
    ]


def _judged(speaker: Speaker, asked: Asked, answer: str, other: str) -> Judged:
    sentence = asked.query.claim.format(other)
    return Judged(
        true=answer == other,
        words=words(answer) == words(sentence),
        content=say_the_same(asked.query.text, answer, sentence),
        likelihood=_margin(speaker, asked, answer, other) + _margin(speaker, asked, other, answer) > 0,
    )


def _margin(speaker: Speaker, asked: Asked, answer: str, other: str) -> float:
    """By how many nats "correct" is likelier than "wrong" for an answer, behind the sentence of the other one."""
    prompt = WORLD.critique.format(question=asked.query.text, answer=answer)
    said = f"{asked.query.claim.format(other)} , so {answer} is"
    correct, wrong = speaker.score(asked.clip, prompt, [f"{said} correct", f"{said} wrong"]).tolist()
    return float(correct - wrong)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.base_model.judging", description=__doc__)
    parser.add_argument("--scenes", type=int, default=60, help="development scenes that are asked about")
    judged = judge_own_answers(parser.parse_args().scenes)
    same = [one for one in judged if one.true]
    different = [one for one in judged if not one.true]
    print(f"of pairs that        say the same: {len(same)}  differ: {len(different)}")
    for way in ("words", "content", "likelihood"):
        found, kept = sum(getattr(one, way) for one in same), sum(not getattr(one, way) for one in different)
        print(f"right by {way:<11} {found:>13} {kept:>12}")


if __name__ == "__main__":
    main()
