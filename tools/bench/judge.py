"""What the judge of equal meaning costs: its pass next to the chain of the same clips, which asked and answered.

The lengths are those of a real chain: the prompts of `videosavi-2` in the tokens of Qwen2.5-VL, questions of 18 tokens,
answers and revisions of 60, critiques of 100.
"""

from __future__ import annotations

from collections.abc import Sequence

from savi.inference import GenerateRequest, ScoreRequest
from savi.models.video_lm import VideoLM
from savi.types import Clip, Frames, Sampling
from tools.bench.chain import ChainTurn
from tools.bench.meters import Meter
from tools.bench.workload import QUESTIONS, letters

QUESTION, ANSWER, CRITIQUE = 18, 60, 100
INSTRUCTIONS = {"question": 97, "answer": 11, "critique": 109, "revision": 56, "judge": 34}
"""Tokens of each prompt without what is filled in."""

TURNS = (
    ChainTurn("question", 2, INSTRUCTIONS["question"], 64),
    ChainTurn("answer", QUESTIONS, INSTRUCTIONS["answer"] + QUESTION, ANSWER),
    ChainTurn("critique", QUESTIONS, INSTRUCTIONS["critique"] + QUESTION + ANSWER, CRITIQUE),
    ChainTurn("revision", QUESTIONS, INSTRUCTIONS["revision"] + QUESTION + ANSWER + CRITIQUE, ANSWER),
)


def requests(clips: int) -> tuple[list[ScoreRequest], list[ScoreRequest]]:
    """What the judge is asked about each pair, in both orders, and what gives the pairs their likelihoods."""
    places = [(clip, index) for clip in range(clips) for index in range(QUESTIONS)]
    asked = INSTRUCTIONS["judge"] + QUESTION + 2 * ANSWER
    judged = [
        ScoreRequest(clip, letters(asked, clip, index, order), ("Y", "N"))
        for clip, index in places
        for order in range(2)
    ]
    answered = [
        ScoreRequest(
            clip,
            letters(INSTRUCTIONS["answer"] + QUESTION, clip, index, "question"),
            (letters(ANSWER, clip, index, "chosen"), letters(ANSWER, clip, index, "rejected")),
        )
        for clip, index in places
    ]
    return judged, answered


def run(lm: VideoLM, clips: Sequence[Clip], frames: Sequence[Frames], chain: Meter, judge: Meter) -> None:
    """Time the chain of some clips together, from their frames to the likelihoods of their pairs, and the judge."""
    judged, answered = requests(len(clips))
    with chain:
        session = lm.encode(clips, frames)
        for turn in TURNS:
            asked = [
                GenerateRequest(clip, letters(turn.prompt, clip, turn.name, index))
                for clip in range(len(clips))
                for index in range(turn.branches)
            ]
            session.generate(asked, Sampling(temperature=0.0, max_new_tokens=turn.reply))
        session.score_reference(answered)
    with judge:
        session.score_reference(judged)
