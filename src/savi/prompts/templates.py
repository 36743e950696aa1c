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
}


@dataclass(frozen=True)
class Prompts:
    """The five prompts of the chain (VideoSAVi, section 3). Each follows the clip in a user turn of its own.

    Fields in braces are filled in: {question}, {answer}, {critique}, as far as that turn knows them; the two
    question prompts take {count}, the number of questions wanted, or none.
    """

    version: str = "videosavi-1"
    spatial_question: str = (
        "Write {count} question(s) about the spatial content of this video: where objects and people are, how they "
        "are placed relative to each other, and visual details such as colours, shapes and numbers. Each question "
        "must need reasoning, must be answerable from the video alone, and must have one clear answer. "
        "Write one question per line, numbered, and nothing else."
    )
    temporal_question: str = (
        "Write {count} question(s) about how this video unfolds in time: the order of events, what causes what, and "
        "how objects or people change or move. Each question must need reasoning, must be answerable from the "
        "video alone, and must have one clear answer. "
        "Write one question per line, numbered, and nothing else."
    )
    answer: str = "{question}\nAnswer from the video in one or two sentences."
    critique: str = (
        "Question: {question}\nProposed answer: {answer}\n\n"
        "Act as a strict critic. Compare the proposed answer with the video. Name every factual error (spatial or "
        "temporal), every object or event that isn't in the video, every inconsistency and every omission, and say "
        "what the video shows instead. If the answer is right, say so. Do not write a new answer."
    )
    revision: str = (
        "Question: {question}\nProposed answer: {answer}\nCritique: {critique}\n\n"
        "Using the video and the critique, write an improved answer to the question. Correct what is wrong, keep "
        "what is right, and stay as short as the proposed answer. Write the answer only."
    )

    def __post_init__(self) -> None:
        for name, known in FIELDS.items():
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


WORLD = Prompts(
    version="world-1",
    spatial_question="ask a spatial question",
    temporal_question="ask a temporal question",
    answer="question : {question} answer",
    critique="question : {question} answer : {answer} criticise",
    revision="question : {question} answer : {answer} critique : {critique} revise",
)
"""The prompts that the embedded miniature was taught to understand (its vocabulary is a few dozen words)."""

PRESETS = {"default": Prompts(), "world": WORLD}


@dataclass(frozen=True)
class PromptSettings:
    """The prompts of a run."""

    preset: Literal["default", "world"] = "default"
    """`default` is for instruction-tuned models, `world` for the miniature that comes with savi."""

    texts: dict[str, str] = field(default_factory=dict)
    """Prompts of your own, which replace the preset's, by name: spatial_question, temporal_question, answer, critique,
    revision. Each pair has the version of its prompts, which then ends in a digest of these texts."""

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
