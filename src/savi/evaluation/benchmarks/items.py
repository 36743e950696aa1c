"""What a benchmark is made of: its items, how a reply to one is read, and how the scores add up."""

from __future__ import annotations

import string
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from savi.types import Clip

LETTERS = string.ascii_uppercase


@dataclass(frozen=True)
class Asked:
    """What a reply is read against.

    options: the texts, without letters. answer: the right option's letter; in TempCompass "yes" or "no", or the whole
    line; "" where the label isn't public.
    """

    task: str
    question: str
    options: tuple[str, ...]
    answer: str

    @property
    def letters(self) -> str:
        """The letters of the options: "ABCD" for four."""
        return LETTERS[: len(self.options)]


@dataclass(frozen=True)
class BenchmarkItem(Asked):
    """One question of a benchmark.

    id: its own within the benchmark. prompt: what the model reads behind the clip. groups: further ways to sort it
    than by task, such as {"aspect": "speed"}.
    """

    benchmark: str
    id: str
    clip: Clip
    prompt: str
    groups: dict[str, str] = field(default_factory=dict, hash=False)


@dataclass(frozen=True)
class Reading:
    """What the reference makes of a reply.

    pred: what was read, None where nothing was. correct: whether that counts. draws: the letters the reference draws
    from where it read nothing. asks: whether it asks a judge. counts: False where it leaves the reply out of the sum.
    """

    pred: str | None
    correct: bool = False
    draws: str = ""
    asks: bool = False
    counts: bool = True

    @property
    def fallback(self) -> bool:
        return bool(self.draws) or self.asks


@dataclass(frozen=True)
class Options:
    """What of a benchmark is loaded.

    split: which of its sets, "" for the one that lmms-eval scores. frames: frames sampled from a clip, by which
    subtitles are chosen. subtitles: put into the prompt (LongVideoBench).
    """

    split: str = ""
    frames: int = 32
    subtitles: bool = False


Judge = Callable[[str], str]
"""Answers a prompt in which it is told to judge a reply (TempCompass)."""


def lettered_choices(asked: Asked) -> list[tuple[str, str]]:
    """Each option's letter and text."""
    return list(zip(asked.letters, asked.options, strict=True))


@dataclass(frozen=True)
class Benchmark:
    """One benchmark, as lmms-eval has it.

    paper: percent of InternVL2.5-8B before and after VideoSAVi (the paper's main table). check: what is wrong with an
    item, or None. choices: for scoring by likelihood, each option's answer and its text. max_new_tokens: of a reply.
    overall: "items", the share of all of them that are right, or "tasks", the mean of the tasks' shares. splits: the
    first is the default. judge_prompt, judge_verdict: what a judge is asked about a reply, and what its answer says.
    """

    name: str
    title: str
    paper: tuple[float, float]
    load: Callable[[Path, Options], list[BenchmarkItem]]
    read: Callable[[Asked, str], Reading]
    check: Callable[[Asked], str | None]
    max_new_tokens: int = 1024
    overall: Literal["items", "tasks"] = "items"
    splits: tuple[str, ...] = ()
    choices: Callable[[Asked], list[tuple[str, str]]] = lettered_choices
    judge_prompt: Callable[[Asked, str], str] | None = None
    judge_verdict: Callable[[Asked, str], bool] | None = None


def lettered(options: Sequence[str]) -> str:
    """Options a line, "A. " first."""
    return "\n".join(f"{letter}. {option}" for letter, option in zip(LETTERS, options, strict=False))


def check_letters(asked: Asked) -> str | None:
    """What is wrong with an item whose answer is a letter, or None."""
    if not 2 <= len(asked.options) <= 5:
        return f"{len(asked.options)} options, where 2 to 5 belong"
    if asked.answer and (len(asked.answer) != 1 or asked.answer not in asked.letters):
        return f"the answer {asked.answer!r} is none of the letters {asked.letters}"
    return None
