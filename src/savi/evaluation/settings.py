"""Which benchmarks an experiment measures, and on what of them."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from savi.errors import SaviError, check_number
from savi.evaluation.benchmarks.files import report_missing
from savi.evaluation.benchmarks.items import BenchmarkItem, Options
from savi.evaluation.benchmarks.registry import BENCHMARKS
from savi.types import derive_seed

WORLD = "world"
"""The embedded rendered world, whose held-out set is the seventh benchmark."""


@dataclass(frozen=True)
class BenchmarkSettings:
    """One benchmark."""

    root: str = ""
    """Folder of its official files."""

    split: str = ""
    """Set of its questions. The default, "", is the one that lmms-eval scores."""

    tasks: list[str] | None = None
    """Tasks to run. None: all."""

    questions: int | None = None
    """Size of a subset, which is drawn evenly over the tasks and is the same in all runs. None: all questions."""

    scorer: Literal["reply", "likelihood"] = "reply"
    """`reply` reads the model's written reply as lmms-eval does. `likelihood` takes the option with the highest mean
    log-probability per token after the run's own answer prompt."""

    strict: bool = False
    """Count an unreadable reply as wrong. The default draws an option at random, as lmms-eval does."""

    subtitles: bool = False
    """Put the subtitles into the prompt (LongVideoBench only)."""

    allow_missing: bool = False
    """Leave out questions whose video isn't there. The default refuses to start, with a list of them."""

    max_new_tokens: int | None = None
    """Most tokens of a reply. None: the benchmark's own limit."""


def check_settings(benchmarks: Mapping[str, BenchmarkSettings]) -> None:
    """Raises SaviError for what is wrong without looking at a file."""
    for name, settings in benchmarks.items():
        key = f"data.benchmark.{name}"
        if name == WORLD:
            if settings != BenchmarkSettings():
                raise SaviError(f"{key} takes no settings; data.benchmark_clips and data.benchmark_seed are its own")
            continue
        if name not in BENCHMARKS:
            raise SaviError(f"data.benchmark: {name!r} is unknown; known: {', '.join((WORLD, *BENCHMARKS))}, null")
        if not settings.root:
            raise SaviError(f"{key}.root is needed: the folder of its official files")
        splits = BENCHMARKS[name].splits
        if settings.split and settings.split not in splits:
            raise SaviError(f"{key}.split: {settings.split!r} is none of {', '.join(splits) or 'its sets: it has one'}")
        if settings.subtitles and name != "longvideobench":
            raise SaviError(f"{key}.subtitles: only longvideobench has them")
        for field in ("questions", "max_new_tokens"):
            value = getattr(settings, field)
            if value is not None:
                check_number(f"{key}.{field}", value, least=1)


@dataclass(frozen=True)
class OpenBenchmark:
    """A benchmark whose files were read and checked. missing: items left out because their video isn't there."""

    name: str
    settings: BenchmarkSettings
    items: tuple[BenchmarkItem, ...]
    missing: int = 0


def open_benchmarks(benchmarks: Mapping[str, BenchmarkSettings], frames: int) -> dict[str, OpenBenchmark]:
    """All of them but the world. Raises one SaviError that says what is wrong with each."""
    opened, wrong = {}, []
    for name, settings in benchmarks.items():
        if name != WORLD:
            try:
                opened[name] = open_benchmark(name, settings, frames)
            except SaviError as error:
                wrong.append(str(error))
    if wrong:
        raise SaviError("; also ".join(wrong))
    return opened


def open_benchmark(name: str, settings: BenchmarkSettings, frames: int) -> OpenBenchmark:
    """Read the files, choose the items and look for their videos. frames: sampled from a clip.

    Raises SaviError for files that are missing or malformed, and for missing videos unless they are allowed.
    """
    key = f"data.benchmark.{name}"
    root = Path(settings.root).expanduser()
    items = BENCHMARKS[name].load(root, Options(settings.split, frames, settings.subtitles))
    if settings.tasks is not None:
        known = {item.task for item in items}
        if unknown := [task for task in settings.tasks if task not in known]:
            raise SaviError(f"{key}.tasks: {unknown[0]!r} is none of {', '.join(sorted(known))}")
        items = [item for item in items if item.task in settings.tasks]
    if settings.scorer == "likelihood" and (silent := [item for item in items if not BENCHMARKS[name].choices(item)]):
        raise SaviError(f"{key}.scorer: {silent[0].task} has no options to choose from; leave it out of {key}.tasks")
    chosen = choose(items, settings.questions, name)
    report = report_missing(name, chosen)
    if report and not settings.allow_missing:
        raise SaviError(report)
    there = [item for item in chosen if item.clip.path.exists()]
    if not there:
        raise SaviError(report or f"{key}: no items")
    return OpenBenchmark(name, settings, tuple(there), len(chosen) - len(there))


def choose(items: Sequence[BenchmarkItem], count: int | None, name: str) -> list[BenchmarkItem]:
    """`count` of the items, evenly over tasks and the same in every run, in their own order."""
    if count is None or count >= len(items):
        return list(items)
    by_task: defaultdict[str, list[int]] = defaultdict(list)
    for index, item in enumerate(items):
        by_task[item.task].append(index)
    for task, indices in by_task.items():
        random.Random(derive_seed("subset", name, task)).shuffle(indices)
    taken: list[int] = []
    while len(taken) < count:
        taken += [indices.pop() for indices in by_task.values() if indices][: count - len(taken)]
    return [items[index] for index in sorted(taken)]


def describe(opened: OpenBenchmark) -> str:
    """One line on what was found, for the start of a run."""
    tasks = Counter(item.task for item in opened.items)
    videos = len({item.clip for item in opened.items})
    line = f"{BENCHMARKS[opened.name].title}: {len(opened.items)} questions on {videos} videos, {len(tasks)} tasks"
    return line + (f"; {opened.missing} questions left out, whose videos are missing" if opened.missing else "")
