"""MVBench (Li et al., CVPR 2024): 20 tasks, 200 questions each. Both branches of the official data set are read.

Branch `main` has whole videos and time bounds, `video` clips that are cut already; lmms-eval takes the latter.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path, PurePath

from savi.evaluation.benchmarks.files import find, need
from savi.evaluation.benchmarks.items import (
    LETTERS,
    Asked,
    Benchmark,
    Item,
    Options,
    Reading,
    check_letters,
)
from savi.evaluation.benchmarks.rows import Row, read_json, read_rows
from savi.types import Excerpt, SaviError

FOLDERS = {
    "action_sequence": ("star/Charades_v1_480", "star/Charades_segment"),
    "action_prediction": ("star/Charades_v1_480", "star/Charades_segment"),
    "action_antonym": ("ssv2_video", "ssv2_video_mp4"),
    "fine_grained_action": ("Moments_in_Time_Raw/videos",),
    "unexpected_action": ("FunQA_test/test",),
    "object_existence": ("clevrer/video_validation",),
    "object_interaction": ("star/Charades_v1_480", "star/Charades_segment"),
    "object_shuffle": ("perception/videos",),
    "moving_direction": ("clevrer/video_validation",),
    "action_localization": ("sta/sta_video", "sta/sta_video_segment"),
    "scene_transition": ("scene_qa/video",),
    "action_count": ("perception/videos",),
    "moving_count": ("clevrer/video_validation",),
    "moving_attribute": ("clevrer/video_validation",),
    "state_change": ("perception/videos",),
    "fine_grained_pose": ("nturgbd", "nturgbd_convert"),
    "character_order": ("perception/videos",),
    "egocentric_navigation": ("vlnqa",),
    "episodic_reasoning": ("tvqa/frames_fps3_hq", "tvqa/video_fps3_hq_segment"),
    "counterfactual_inference": ("clevrer/video_validation",),
}
"""Folders of each task's videos: in branch main, then in branch video where it is another."""

BASES = ("", "video", "data0613", "video/data0613")
"""Where those folders may lie: the archives are in `video/`, and data0613.zip holds what star and clevrer lack."""

FRAME_RATE = 3.0
"""Of the folders of frames."""

# The characters that lmms-eval takes out, and its two patterns as they are: the first was meant as a look-behind,
# and says in effect "a full stop that no digit follows".
PUNCTUATION = ';/[]"{}()=+\\_-><@`,?!'
FULL_STOP = re.compile(r"\.(?!\d)")
MOST_FULL_STOPS = 32  # re.UNICODE stands where a count belongs
COMMA_IN_NUMBER = re.compile(r"\d,\d")
LETTER_FIRST = re.compile(r"([A-E])\.\s*(.+)$", re.IGNORECASE)
LONE_LETTER = re.compile(r"\b([A-E])\b", re.IGNORECASE)


def load(root: Path, options: Options) -> list[Item]:
    """The items of all tasks whose files are there. Raises SaviError."""
    return [_item(root, task, folder, row) for task, folder, row in _rows(root)]


def _rows(root: Path) -> Iterator[tuple[str, str | None, Row]]:
    """Each row with its task, and the folder that test.json gives that task."""
    first = need(root, ("json/*.json", "test.json"), "mvbench")
    if first.name == "test.json" and first.parent == root:
        content = read_json(first)
        if not isinstance(content, dict) or not isinstance(content.get("meta"), dict):
            raise SaviError(f"{first}: no tasks under 'meta'")
        for task, rows in content["meta"].items():
            folder = content.get("root", {}).get(task)
            for number, row in enumerate(rows, start=1):
                yield task, folder, Row.of(f"{first}, {task}, row {number}", row)
        return
    known = [task for task in FOLDERS if find(root, (f"json/{task}.json",))]
    if not known:
        raise SaviError(f"{first.parent}: none of the files is a task of MVBench ({next(iter(FOLDERS))}.json, ...)")
    for task in known:
        for row in read_rows(root / "json" / f"{task}.json"):
            yield task, None, row


def _item(root: Path, task: str, folder: str | None, row: Row) -> Item:
    if task not in FOLDERS:
        raise SaviError(f"{row.place}: {task!r} is no task of MVBench")
    question, candidates = row.text("question"), row.texts("candidates")
    answer = row.text("answer")
    if answer not in candidates:
        raise SaviError(f"{row.place}: the answer {answer!r} is none of the candidates")
    gold = LETTERS[candidates.index(answer)]
    asked = Asked(task, question, candidates, gold)
    if wrong := check_letters(asked):
        raise SaviError(f"{row.place}: {wrong}")
    number = row.place.rpartition(" ")[2]
    clip = _clip(root, task, folder, row)
    return Item(task, question, candidates, gold, "mvbench", f"{task}_{number}", clip, prompt(asked))


def prompt(asked: Asked) -> str:
    options = "".join(f"({letter}) {text}\n" for letter, text in zip(LETTERS, asked.options, strict=False))
    return f"Question:{asked.question}\nOption:\n{options}Only give the best option.\n"


def _clip(root: Path, task: str, folder: str | None, row: Row) -> Excerpt:
    """The file of an item, whichever branch it is from: one that is cut already has no bounds any more."""
    candidates = list(_candidates(task, folder, row))
    for base in BASES:
        for where, name, span in candidates:
            path = root / base / where / name
            if path.is_dir():
                return Excerpt(f"{where}/{name}", path, span, FRAME_RATE)
            if path.exists():
                return Excerpt(f"{where}/{name}", path, span)
    where, name, span = candidates[0]
    return Excerpt(f"{where}/{name}", root / where / name, span)


def _candidates(task: str, folder: str | None, row: Row) -> Iterator[tuple[str, str, tuple[float, float] | None]]:
    """(folder, name, bounds in seconds) in the order of likelihood."""
    name = row.text("video")
    whole, cut = FOLDERS[task][0], FOLDERS[task][-1]
    folders = (folder,) if folder else ()
    start, end = (row.number(bound) if row.has(bound) else None for bound in ("start", "end"))
    if start is None or end is None:
        stem = PurePath(name)
        names = [name, *(str(stem.with_suffix(suffix)) for suffix in (".mp4", ".webm", ".avi"))]
        yield from ((where, each, None) for where in (*folders, whole, cut) for each in names)
        return
    if not start < end:
        raise SaviError(f"{row.place}: it ends ({end} s) before it starts ({start} s)")
    span = (float(start), float(end))
    bare, suffix = (name[:-4], name[-4:]) if name[-4:-3] == "." else (name, "")
    if _bounds_in(bare) == span:
        source = bare.rsplit("_", 2)[0]
        yield from ((where, name, None) for where in (*folders, cut, whole))
        yield from ((whole, each, span) for each in (source + suffix, source))
    else:
        yield from ((where, name, span) for where in (*folders, whole))
        yield from ((cut, each, None) for each in (f"{bare}_{start}_{end}{suffix or '.mp4'}", name))


def _bounds_in(name: str) -> tuple[float, float] | None:
    """The bounds that the name of a cut clip ends with, as in "ABCDE_2.5_9.1"."""
    try:
        start, end = map(float, name.split("_")[-2:])
    except ValueError:
        return None
    return start, end


def read(asked: Asked, response: str) -> Reading:
    """lmms-eval's mcq_acc. It never draws: a reply without a lone letter is wrong, an empty one isn't counted."""
    if not response:
        return Reading(None, counts=False)
    match = LETTER_FIRST.match(response)
    if match is None:
        match = LONE_LETTER.search(_clean(response))
    if match is None:
        return Reading(None)
    letter = match[1].upper()
    return Reading(letter, letter == asked.answer)


def _clean(response: str) -> str:
    text = response.replace("\n", " ").replace("\t", " ").strip()
    numbers = COMMA_IN_NUMBER.search(text) is not None
    cleaned = text
    for mark in PUNCTUATION:
        beside_space = f"{mark} " in text or f" {mark}" in text
        cleaned = cleaned.replace(mark, "" if beside_space or numbers else " ")
    cleaned = FULL_STOP.sub("", cleaned, count=MOST_FULL_STOPS)
    return cleaned.strip("'").strip('"').strip(")").strip("(").strip().lower()


MVBENCH = Benchmark(
    name="mvbench",
    title="MVBench",
    paper=(69.8, 74.0),
    load=load,
    read=read,
    check=check_letters,
    max_new_tokens=16,
    overall="tasks",
)
