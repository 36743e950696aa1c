"""The parts of a benchmark: its items, how a reply to one is read, and how the scores add up."""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from savi.evaluation.benchmarks.rows import Row
from savi.types import Clip
from savi.world.benchmark import WordingName

LETTERS = string.ascii_uppercase


@dataclass(frozen=True)
class Asked:
    """A question, with what is needed to read a reply to it.

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
class Item(Asked):
    """One question of a benchmark, whichever it is.

    id: its own within the benchmark. prompt: the text behind the clip where a written reply is scored. groups: further
    ways to sort it than by task, such as {"aspect": "speed"}. errors: what kind of error each option is, "" for the
    right one; () where the benchmark doesn't say. well_formed: every well-formed free-form reply; () where the
    benchmark doesn't bound them. read: which of `well_formed` a free-form reply means, None where it means none of
    them; no function where replies are compared word for word.
    """

    benchmark: str
    id: str
    clip: Clip
    prompt: str
    groups: dict[str, str] = field(default_factory=dict, hash=False)
    errors: tuple[str, ...] = ()
    well_formed: tuple[str, ...] = ()
    read: Callable[[str], str | None] | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True)
class Reading:
    """The reference's reading of a reply.

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
    subtitles are chosen. subtitles: put into the prompt. clips, seed, wording: how many clips are rendered, from which
    seed, and in which words they are asked about, for a benchmark without files.
    """

    split: str = ""
    frames: int = 32
    subtitles: bool = False
    clips: int = 0
    seed: int = 0
    wording: WordingName = "miniature"


Judge = Callable[[str], str]
"""Answers a prompt in which it is told to judge a reply (TempCompass)."""


def lettered_choices(asked: Asked) -> list[tuple[str, str]]:
    """Each option's letter and text."""
    return list(zip(asked.letters, asked.options, strict=True))


def read_asked(row: Row) -> Asked:
    """The question of a row with task, question, options and answer. Raises SaviError."""
    return Asked(row.text("task"), row.text("question"), row.texts("options"), row.text("answer"))


Scorer = Literal["reply", "likelihood"]


@dataclass(frozen=True)
class Benchmark:
    """One benchmark: how its items are loaded, how a reply to one is read, and how the scores add up.

    The six of the paper are as lmms-eval has them. A benchmark is one such record in one file, and one line of the
    registry.
    """

    name: str
    """In settings, results and file names."""
    title: str
    """For people."""
    load: Callable[[Path, Options], list[Item]]
    """The items from the folder of its official files; from the folder for rendered clips where there are no files."""
    read: Callable[[Asked, str], Reading]
    """The reading of a reply."""
    check: Callable[[Asked], str | None]
    """What is wrong with an item, or None."""
    paper: tuple[float, float] | None = None
    """Percent of InternVL2.5-8B before and after VideoSAVi, where the paper's main table has the benchmark."""
    scorer: Scorer = "reply"
    """How answers are scored where an experiment doesn't say."""
    score: Literal["sum", "mean"] = "mean"
    """Of the log-probabilities of an option's tokens: "mean" where options are of unlike length."""
    free_form: bool = False
    """Whether scoring by likelihood also asks for a free-form reply, without options."""
    max_new_tokens: int = 1024
    """Of a reply."""
    overall: Literal["items", "tasks"] = "items"
    """Overall accuracy: the share of all items that are right, or the mean of the tasks' shares."""
    splits: tuple[str, ...] = ()
    """Its sets, the default first."""
    rendered: bool = False
    """Whether its clips are rendered, by `data.benchmark_set`, `_clips` and `_seed`, instead of read from files."""
    subtitles: bool = False
    """Whether it has subtitles that can be put into the prompt."""
    choices: Callable[[Asked], list[tuple[str, str]]] = lettered_choices
    """For scoring by likelihood: each option's answer and its text."""
    normalize_row: Callable[[Row], Asked] = read_asked
    """The question of a row of `savi score`, where other harnesses write it in another way."""
    judge_prompt: Callable[[Asked, str], str] | None = None
    """The prompt for a judge of a reply."""
    judge_verdict: Callable[[Asked, str], bool] | None = None
    """The verdict in a judge's answer."""
    extra_files: Callable[[Sequence[dict[str, Any]]], dict[str, Any]] | None = None
    """Further JSON files by name, made of an evaluation's rows, such as the one for a benchmark's server."""


def lettered(options: Sequence[str]) -> str:
    """Options a line, "A. " first."""
    return "\n".join(f"{letter}. {option}" for letter, option in zip(LETTERS, options, strict=False))


def letter_prompt(question: str, options: Sequence[str]) -> str:
    """The prompt that lmms-eval gives several benchmarks: the question, its options, and how to answer."""
    return f"{question}\n{lettered(options)}\nAnswer with the option's letter from the given choices directly."


def plain_options(options: tuple[str, ...]) -> tuple[str, ...]:
    """Options without the letters that the rows of some benchmarks put before them."""
    if all(option.startswith(f"{letter}. ") for letter, option in zip(LETTERS, options, strict=False)):
        return tuple(option[3:] for option in options)
    return options


def check_letters(asked: Asked) -> str | None:
    """What is wrong with an item whose answer is a letter, or None."""
    if not 2 <= len(asked.options) <= 5:
        return f"{len(asked.options)} options, where 2 to 5 belong"
    if asked.answer and (len(asked.answer) != 1 or asked.answer not in asked.letters):
        return f"the answer {asked.answer!r} is none of the letters {asked.letters}"
    return None


def read_lone_letter(asked: Asked, response: str) -> Reading:
    """The first capital letter of an option that is a word of its own."""
    match = re.search(rf"\b[{asked.letters}]\b", response)
    return Reading(match[0], match[0] == asked.answer) if match else Reading(None)
