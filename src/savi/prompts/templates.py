"""Every text savi says to a model, in one place. A changed prompt is a changed method: bump its version."""

from __future__ import annotations

import hashlib
import string
from dataclasses import dataclass, field, replace
from typing import Literal

from savi.types import Aspect, SaviError

FIELDS = {
    "spatial_question": set(),
    "temporal_question": set(),
    "answer": {"question"},
    "critique": {"question", "answer"},
    "revision": {"question", "answer", "critique"},
    "same_meaning": {"other"},
}


@dataclass(frozen=True)
class Prompts:
    """The prompts of the chain (VideoSAVi, section 3). Each follows the clip in a user turn of its own.

    Fields in braces are filled in: {question}, {answer}, {critique}, as far as that turn knows them; the two
    question prompts take {count}, the number of questions wanted, or none. same_meaning follows an answer in the
    conversation: it asks whether the {other} one says the same, to be answered by Yes or No; "" where the model can't
    be asked.
    """

    version: str
    spatial_question: str
    temporal_question: str
    answer: str
    critique: str
    revision: str
    same_meaning: str = ""

    def __post_init__(self) -> None:
        for name, known in FIELDS.items():
            if name == "same_meaning" and not self.same_meaning:
                continue
            allowed = known or {"count"}
            try:
                used = {used for _, used, _, _ in string.Formatter().parse(getattr(self, name)) if used is not None}
            except ValueError as error:
                raise SaviError(f"prompts.{name}: {error}; write {{{{ and }}}} for plain braces") from None
            if used - allowed:
                raise SaviError(f"prompts.{name}: unknown field {sorted(used - allowed)}; it may use {sorted(allowed)}")
            if known - used:
                raise SaviError(f"prompts.{name}: the field {sorted(known - used)} is missing")

    def ask(self, aspect: Aspect, count: int) -> str:
        """The user text that asks for `count` questions of one aspect."""
        template = self.spatial_question if aspect == "spatial" else self.temporal_question
        return template.format(count=count)


VIDEOSAVI_1 = Prompts(
    version="videosavi-1",
    spatial_question=(
        "Write {count} question(s) about the spatial content of this video: where objects and people are, how they "
        "are placed relative to each other, and visual details such as colours, shapes and numbers. Each question "
        "must need reasoning, must be answerable from the video alone, and must have one clear answer. "
        "Write one question per line, numbered, and nothing else."
    ),
    temporal_question=(
        "Write {count} question(s) about how this video unfolds in time: the order of events, what causes what, and "
        "how objects or people change or move. Each question must need reasoning, must be answerable from the "
        "video alone, and must have one clear answer. "
        "Write one question per line, numbered, and nothing else."
    ),
    answer="{question}\nAnswer from the video in one or two sentences.",
    critique=(
        "Question: {question}\nProposed answer: {answer}\n\n"
        "Act as a strict critic. Compare the proposed answer with the video. Name every factual error (spatial or "
        "temporal), every object or event that isn't in the video, every inconsistency and every omission, and say "
        "what the video shows instead. If the answer is right, say so. Do not write a new answer."
    ),
    revision=(
        "Question: {question}\nProposed answer: {answer}\nCritique: {critique}\n\n"
        "Using the video and the critique, write an improved answer to the question. Correct what is wrong, keep "
        "what is right, and stay as short as the proposed answer. Write the answer only."
    ),
)
"""The first version, for runs that were begun with it."""

VIDEOSAVI_2 = Prompts(
    version="videosavi-2",
    spatial_question=(
        "Write {count} question(s) about the spatial content of this video: where objects and people are, how they "
        "are placed relative to each other, and visual details such as colors, shapes and numbers. Each question must "
        "need a close look at the video, must be answerable from the video alone, and must have one clear answer. Use "
        "at most 25 words for each question. Write one question per line, numbered, without options and without "
        "answers, and write nothing else."
    ),
    temporal_question=(
        "Write {count} question(s) about how this video unfolds in time: the order of events, what causes what, and "
        "how objects or people move or change. Each question must need a close look at the video, must be answerable "
        "from the video alone, and must have one clear answer. Use at most 25 words for each question. Write one "
        "question per line, numbered, without options and without answers, and write nothing else."
    ),
    answer="{question}\nAnswer from the video in one or two sentences.",
    critique=(
        "Question: {question}\nProposed answer: {answer}\n\n"
        "You are a strict critic. First say in at most three sentences what the video shows that decides the "
        "question: who or what, where, and in which order. Then compare the proposed answer with it, and name each "
        "error of space or time, each object or event that isn't in the video, and each important omission. Use at "
        "most 100 words. Do not write a new answer. End with a line of its own: Verdict: right, or Verdict: wrong."
    ),
    revision=(
        "Question: {question}\nDraft: {answer}\nNotes on the draft: {critique}\n\n"
        "Answer the question from the video, with the help of the notes. Write as if there had been no draft: do not "
        "mention the draft, the notes or a correction. Write one or two sentences and nothing else."
    ),
    same_meaning="Another answer: {other}\nSame meaning? Yes or No.",
)
"""For instruction-tuned models: the critic gives its evidence before a verdict that can be read, and the reviser
answers as if nobody had answered before."""

WORLD = Prompts(
    version="world-1",
    spatial_question="ask a spatial question",
    temporal_question="ask a temporal question",
    answer="question : {question} answer",
    critique="question : {question} answer : {answer} criticise",
    revision="question : {question} answer : {answer} critique : {critique} revise",
)
"""The prompts that the embedded miniature was taught to understand (its vocabulary is a few dozen words)."""

PRESETS = {"videosavi-2": VIDEOSAVI_2, "videosavi-1": VIDEOSAVI_1, "world": WORLD}


@dataclass(frozen=True)
class PromptSettings:
    """The prompts of a run."""

    preset: Literal["videosavi-2", "videosavi-1", "world"] = "videosavi-2"
    """`videosavi-2` is for instruction-tuned models, `world` for the miniature that comes with savi. `videosavi-1` has
    the prompts of earlier versions, which were called `default`."""

    texts: dict[str, str] = field(default_factory=dict)
    """Prompts of your own, which replace the preset's, by name: spatial_question, temporal_question, answer, critique,
    revision, same_meaning. Each pair has the version of its prompts, which then ends in a digest of these texts."""

    def build(self) -> Prompts:
        """Raises SaviError for a text that isn't one of FIELDS, or whose fields don't fit."""
        preset = PRESETS[self.preset]
        if not self.texts:
            return preset
        unknown = sorted(set(self.texts) - set(FIELDS))
        if unknown:
            raise SaviError(f"prompts.texts: {unknown[0]!r} is no prompt; they are {', '.join(FIELDS)}")
        digest = hashlib.blake2b(repr(sorted(self.texts.items())).encode(), digest_size=4).hexdigest()
        return replace(preset, version=f"{preset.version}+{digest}", **self.texts)
