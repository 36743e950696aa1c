"""What the judge of equal meaning costs, next to the chain of the same clips, which asked and answered.

The lengths are those of a real chain: the prompts of `videosavi-2` in the tokens of Qwen2.5-VL, questions of 18 tokens,
answers and revisions of 60, critiques of 100. All pairs are judged: those that a filter has taken would cost nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from savi.critique.same_meaning import score_and_compare
from savi.inference import GenerateRequest, ScoreRequest
from savi.models.video_lm import VideoLM
from savi.prompts.templates import VIDEOSAVI_2
from savi.types import Clip, Frames, Sampling
from tools.bench.chain import ChainTurn
from tools.bench.meters import Meter
from tools.bench.workload import QUESTIONS, letters

QUESTION, ANSWER, CRITIQUE = 18, 60, 100
INSTRUCTIONS = {"question": 97, "answer": 11, "critique": 109, "revision": 56, "judge": 11}
"""Tokens of each prompt without what is filled in."""

MARKS, MARKS_BETWEEN = 8, 11
"""Tokens by which the marks of a chat are longer here, where a token is a byte, than those of Qwen2.5-VL: behind a
prompt, and around a second one. The texts are shorter by as many."""

TURNS = (
    ChainTurn("question", 2, INSTRUCTIONS["question"], 64),
    ChainTurn("answer", QUESTIONS, INSTRUCTIONS["answer"] + QUESTION, ANSWER),
    ChainTurn("critique", QUESTIONS, INSTRUCTIONS["critique"] + QUESTION + ANSWER, CRITIQUE),
    ChainTurn("revision", QUESTIONS, INSTRUCTIONS["revision"] + QUESTION + ANSWER + CRITIQUE, ANSWER),
)
PROMPTS = replace(VIDEOSAVI_2, same_meaning="{other}" + letters(INSTRUCTIONS["judge"] - MARKS_BETWEEN, "judge"))


def requests(clips: int) -> list[ScoreRequest]:
    """The questions with two answers each."""
    return [
        ScoreRequest(
            clip,
            letters(INSTRUCTIONS["answer"] + QUESTION - MARKS, clip, index, "question"),
            (letters(ANSWER, clip, index, "chosen"), letters(ANSWER, clip, index, "rejected")),
        )
        for clip in range(clips)
        for index in range(QUESTIONS)
    ]


def run(
    lm: VideoLM, clips: Sequence[Clip], frames: Sequence[Frames], chain: Meter, scored: Meter, judged: Meter
) -> None:
    """Time the chain of some clips together up to its revisions, the likelihoods of their pairs, and these likelihoods
    with the judge's in one pass."""
    with chain:
        session = lm.encode(clips, frames)
        for turn in TURNS:
            asked = [
                GenerateRequest(clip, letters(turn.prompt - MARKS, clip, turn.name, index))
                for clip in range(len(clips))
                for index in range(turn.branches)
            ]
            session.generate(asked, Sampling(temperature=0.0, max_new_tokens=turn.reply))
    pairs = requests(len(clips))
    with scored:
        score_and_compare(session, pairs, [], PROMPTS)
    with judged:
        score_and_compare(session, pairs, [(index, 0, 1) for index in range(len(pairs))], PROMPTS)
