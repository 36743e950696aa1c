"""MLVU (Zhou et al., CVPR 2025), multiple choice of the development set: seven tasks on videos of minutes to hours."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from savi.evaluation.benchmarks.files import find, in_folders, need
from savi.evaluation.benchmarks.items import LETTERS, Asked, Benchmark, Item, Options, check_letters
from savi.evaluation.benchmarks.letters import read_letter
from savi.evaluation.benchmarks.rows import Row, read_rows
from savi.types import Clip, SaviError

TASKS = {
    "plotQA": "1_plotQA",
    "needle": "2_needle",
    "ego": "3_ego",
    "count": "4_count",
    "order": "5_order",
    "anomaly_reco": "6_anomaly_reco",
    "topic_reasoning": "7_topic_reasoning",
}
"""lmms-eval's name of each task, and that of its file and folder. Files 8 and 9 have no options and need a judge."""

FILES = ("json/{}.json", "MLVU/json/{}.json", "{}.json")
ROWS = ("mlvu/*.parquet", "*.parquet", "*.jsonl")
FOLDERS = ("video/{}", "MLVU/video/{}", "{}", "video", "")

ENDING = "\nOnly give the best option.\nBest option: ("


def load(root: Path, options: Options) -> list[Item]:
    """The items of all tasks whose official files are there, or the hub's rows. Raises SaviError."""
    found = {task: find(root, [name.format(file) for name in FILES]) for task, file in TASKS.items()}
    if any(found.values()):
        return [
            _item(root, task, f"{task}_{number}", row, official=True)
            for task, path in found.items()
            if path
            for number, row in enumerate(read_rows(path), start=1)
        ]
    path = need(root, (FILES[0].format(TASKS["plotQA"]), *ROWS), "mlvu")
    return [_item(root, *row, official=False) for row in _hub(path)]


def _hub(path: Path) -> Iterator[tuple[str, str, Row]]:
    """(task, id, row); questions are counted by task, as in the official files."""
    counts: Counter[str] = Counter()
    for row in read_rows(path):
        task = row.text("task_type")
        counts[task] += 1
        yield task, f"{task}_{counts[task]}", row


def _item(root: Path, task: str, name: str, row: Row, official: bool) -> Item:
    """official: with the right option's text as the answer. The hub has its letter, and options in the question."""
    if task not in TASKS:
        raise SaviError(f"{row.place}: {task!r} is none of the tasks {', '.join(TASKS)}")
    options, answer = row.texts("candidates"), row.text("answer")
    if official:
        if answer not in options:
            raise SaviError(f"{row.place}: the answer {answer!r} is none of the candidates")
        answer = LETTERS[options.index(answer)]
    shown = row.text("question")
    asked = Asked(task, shown.split("\n(A) ")[0], options, answer)
    if wrong := check_letters(asked):
        raise SaviError(f"{row.place}: {wrong}")
    video = row.text("video" if official else "video_name")
    names = (video, f"{video}.mp4")
    clip = Clip(video, in_folders(root, [folder.format(TASKS[task]) for folder in FOLDERS], names))
    prompt = (_with_options(asked) if official else shown) + ENDING
    return Item(task, asked.question, options, answer, "mlvu", name, clip, prompt)


def _with_options(asked: Asked) -> str:
    """A question as the hub's rows have it."""
    options = "".join(f"({letter}) {text}\n" for letter, text in zip(LETTERS, asked.options, strict=False))
    return f"{asked.question}\n{options}"


MLVU = Benchmark(
    name="mlvu",
    title="MLVU",
    load=load,
    read=read_letter,
    check=check_letters,
    max_new_tokens=16,
    overall="tasks",
)
