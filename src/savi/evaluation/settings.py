"""Which benchmarks an experiment measures, and on what of them."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from savi.errors import SaviError, check_number
from savi.evaluation.benchmarks.files import report_missing
from savi.evaluation.benchmarks.items import Benchmark, Item, Options, Scorer
from savi.evaluation.benchmarks.registry import BENCHMARKS
from savi.types import derive_seed


@dataclass(frozen=True)
class BenchmarkSettings:
    """One benchmark: on what of it a model is measured, and how its answers are scored."""

    root: str = ""
    """Folder of its official files. The rendered world has none."""

    split: str = ""
    """Set of its questions. The default, "", is the one that lmms-eval scores; for the rendered world,
    data.benchmark_set, and data.test_set in `savi test`."""

    tasks: list[str] | None = None
    """Tasks to run. None: all."""

    questions: int | None = None
    """Size of a subset, which is drawn evenly over the tasks and is the same in all runs. None: all questions."""

    scorer: Scorer | None = None
    """`reply` reads the model's written reply as lmms-eval does. `likelihood` takes the option with the highest
    log-probability after the run's own answer prompt. None: data.benchmark_scorer."""

    strict: bool = False
    """Count an unreadable reply as wrong. The default draws an option at random, as lmms-eval does."""

    subtitles: bool = False
    """Put the subtitles into the prompt (LongVideoBench only)."""

    allow_missing: bool = False
    """Leave out questions whose video isn't there. The default refuses to start, with a list of them."""

    max_new_tokens: int | None = None
    """Most tokens of a reply. None: the benchmark's own limit."""


def check_benchmarks(
    given: Mapping[str, BenchmarkSettings] | str | None, scorer: Scorer | None
) -> dict[str, BenchmarkSettings]:
    """The benchmarks by name, or the one named alone; `scorer` counts for those that don't name theirs.

    Raises SaviError for what is wrong without looking at a file.
    """
    benchmarks = {given: BenchmarkSettings()} if isinstance(given, str) else given or {}
    for name, settings in benchmarks.items():
        key = f"data.benchmark.{name}"
        if name not in BENCHMARKS:
            raise SaviError(f"data.benchmark: {name!r} is unknown; known: {', '.join(BENCHMARKS)}, null")
        benchmark = BENCHMARKS[name]
        if benchmark.rendered and settings.root:
            raise SaviError(f"{key}.root: {name} has no files; its clips are rendered into data.cache")
        if not benchmark.rendered and not settings.root:
            raise SaviError(f"{key}.root is needed: the folder of its official files")
        splits = benchmark.splits
        if settings.split and settings.split not in splits:
            raise SaviError(f"{key}.split: {settings.split!r} is none of {', '.join(splits) or 'its sets: it has one'}")
        if settings.subtitles and not benchmark.subtitles:
            having = ", ".join(one.name for one in BENCHMARKS.values() if one.subtitles)
            raise SaviError(f"{key}.subtitles: only {having} has them")
        for field in ("questions", "max_new_tokens"):
            value = getattr(settings, field)
            if value is not None:
                check_number(f"{key}.{field}", value, least=1)
    return {name: replace(settings, scorer=settings.scorer or scorer) for name, settings in benchmarks.items()}


@dataclass(frozen=True)
class OpenBenchmark:
    """A benchmark whose files were read and checked.

    split: the set that was loaded. seed: of a rendered benchmark. wording: its words, None for the default ones.
    missing: items left out because their video isn't there.
    """

    name: str
    settings: BenchmarkSettings
    items: tuple[Item, ...]
    split: str = ""
    seed: int | None = None
    wording: str | None = None
    missing: int = 0

    @property
    def record(self) -> Benchmark:
        return BENCHMARKS[self.name]

    @property
    def scorer(self) -> Scorer:
        return self.settings.scorer or self.record.scorer

    @property
    def asks_free_form(self) -> bool:
        """Whether each question is also answered in the model's own words."""
        return self.record.free_form and self.scorer == "likelihood"


def open_benchmarks(
    benchmarks: Mapping[str, BenchmarkSettings], options: Options, rendered: Path
) -> dict[str, OpenBenchmark]:
    """Read all of them. Raises one SaviError that says what is wrong with each. Arguments as of open_benchmark()."""
    opened, wrong = {}, []
    for name, settings in benchmarks.items():
        try:
            opened[name] = open_benchmark(name, settings, options, rendered)
        except SaviError as error:
            wrong.append(str(error))
    if wrong:
        raise SaviError("; also ".join(wrong))
    return opened


def open_benchmark(name: str, settings: BenchmarkSettings, options: Options, rendered: Path) -> OpenBenchmark:
    """Read the files, choose the items and look for their videos.

    options: frames, and for a benchmark without files its split, clips and seed. rendered: the folder for its clips.
    Raises SaviError for files that are missing or malformed, and for missing videos unless they are allowed.
    """
    key, benchmark = f"data.benchmark.{name}", BENCHMARKS[name]
    root = rendered if benchmark.rendered else Path(settings.root).expanduser()
    split = settings.split or (options.split if benchmark.rendered else "".join(benchmark.splits[:1]))
    items = benchmark.load(root, replace(options, split=split, subtitles=settings.subtitles))
    if settings.tasks is not None:
        known = {item.task for item in items}
        if unknown := [task for task in settings.tasks if task not in known]:
            raise SaviError(f"{key}.tasks: {unknown[0]!r} is none of {', '.join(sorted(known))}")
        items = [item for item in items if item.task in settings.tasks]
    likelihood = (settings.scorer or benchmark.scorer) == "likelihood"
    if likelihood and (silent := [item for item in items if not benchmark.choices(item)]):
        raise SaviError(f"{key}.scorer: {silent[0].task} has no options to choose from; leave it out of {key}.tasks")
    chosen = choose(items, settings.questions, name)
    report = report_missing(name, chosen)
    if report and not settings.allow_missing:
        raise SaviError(report)
    there = [item for item in chosen if item.clip.path.exists()]
    if not there:
        raise SaviError(report or f"{key}: no items")
    seed = options.seed if benchmark.rendered else None
    wording = options.wording if benchmark.rendered and options.wording != Options.wording else None
    return OpenBenchmark(name, settings, tuple(there), split, seed, wording, len(chosen) - len(there))


def choose(items: Sequence[Item], count: int | None, name: str) -> list[Item]:
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
    """One line on the questions and videos that were found, for the start of a run."""
    tasks = Counter(item.task for item in opened.items)
    videos = len({item.clip for item in opened.items})
    line = f"{BENCHMARKS[opened.name].title}: {len(opened.items)} questions on {videos} videos, {len(tasks)} tasks"
    return line + (f"; {opened.missing} questions left out, whose videos are missing" if opened.missing else "")
