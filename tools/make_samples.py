"""Small data sets in the official shapes, about rendered clips: to try an evaluation without downloads.

`python -m tools.make_samples FOLDER` writes them. Nothing in them is taken from the benchmarks.
"""

from __future__ import annotations

import argparse
import csv
import json
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from PIL import Image

from savi.evaluation.benchmarks.items import LETTERS, lettered
from savi.evaluation.benchmarks.mvbench import FOLDERS, FRAME_RATE
from savi.types import SaviError
from savi.video.decode import decode
from savi.world.benchmark import HeldOutQuestion, held_out

SECONDS = 4.0
"""How long a rendered clip is."""

MVBENCH_TASKS = {
    "motion": "moving_direction",
    "count": "moving_count",
    "change": "state_change",
    "shape": "object_existence",
    "order": "action_sequence",
    "spatial": "episodic_reasoning",
}
"""Which task stands for each kind of question: the last two have time bounds, the very last folders of frames."""

NEXTQA_TYPES = {"motion": "CW", "change": "CH", "order": "TN", "count": "DC", "spatial": "DL", "shape": "DO"}
MLVU_FILES = {
    "motion": "1_plotQA",
    "shape": "2_needle",
    "spatial": "3_ego",
    "count": "4_count",
    "order": "5_order",
    "change": "7_topic_reasoning",
}
ASPECTS = {"motion": "direction", "change": "attribute_change", "order": "order"}
FIFTH = "it can not be told"


def write_samples(folder: Path, clips: int = 8, seed: int = 0) -> list[Path]:
    """Write every sample under `folder`, each in a folder of its own. Raises SaviError where one is there already."""
    roots = {name: folder / name for name in WRITERS}
    if there := [root for root in roots.values() if root.exists()]:
        raise SaviError(f"{there[0]} is there already; samples go to a folder of their own")
    with TemporaryDirectory() as clips_folder:
        items = held_out(Path(clips_folder), clips, seed)
        for name, root in roots.items():
            root.mkdir(parents=True)
            WRITERS[name](root, items)
    return list(roots.values())


def write_mvbench(root: Path, items: Sequence[HeldOutQuestion]) -> None:
    """Branch `video`: clips that are cut already, though the bounds are still in the files."""
    rows: dict[str, list[dict[str, Any]]] = {}
    for item in items:
        task = MVBENCH_TASKS[item.task]
        row = _mvbench_row(item, task)
        if "start" in row:
            row["video"] = f"{item.clip.id}_{row['start']}_{row['end']}.mp4"
        _copy(item, root / FOLDERS[task][-1] / row["video"])
        rows.setdefault(task, []).append(row)
    for task, content in rows.items():
        _write_json(root / "json" / f"{task}.json", content)


def write_mvbench_main(root: Path, items: Sequence[HeldOutQuestion]) -> None:
    """Branch `main`: whole videos with bounds, and folders of frames."""
    rows: dict[str, list[dict[str, Any]]] = {}
    for item in items:
        task = MVBENCH_TASKS[item.task]
        row = _mvbench_row(item, task)
        place = root / "video" / FOLDERS[task][0]
        if task == "episodic_reasoning":
            row["video"] = item.clip.id
            _write_frames(item, place / item.clip.id)
        else:
            _copy(item, place / row["video"])
        rows.setdefault(task, []).append(row)
    for task, content in rows.items():
        _write_json(root / "json" / f"{task}.json", content)


def write_perceptiontest(root: Path, items: Sequence[HeldOutQuestion]) -> None:
    """The official JSON, by video, with three options a question."""
    videos: dict[str, Any] = {}
    for item in items:
        options = list(item.options)
        options.remove(next(option for option in reversed(options) if option != item.options[item.answer]))
        _copy(item, root / "videos" / f"{item.clip.id}.mp4")
        record = videos.setdefault(item.clip.id, {"metadata": {"split": "valid"}, "mc_question": []})
        record["mc_question"].append(
            {
                "id": len(record["mc_question"]),
                "question": item.question,
                "options": options,
                "answer_id": options.index(item.options[item.answer]),
                "area": "physics" if item.task in ("motion", "change") else "abstraction",
                "reasoning": "descriptive",
                "tag": [item.task],
            }
        )
    _write_json(root / "mc_question_valid.json", videos)


def write_egoschema(root: Path, items: Sequence[HeldOutQuestion]) -> None:
    """questions.json with one question a video, of which every other one has a public answer."""
    questions, answers = [], {}
    for index, item in enumerate(items):
        name = f"{index:08x}-0000-4000-8000-000000000000"
        options = {f"option {i}": option for i, option in enumerate((*item.options, FIFTH))}
        questions.append({"q_uid": name, "google_drive_id": "-", "question": item.question, **options})
        _copy(item, root / "videos" / f"{name}.mp4")
        if index % 2 == 0:
            answers[name] = item.answer
    _write_json(root / "questions.json", questions)
    _write_json(root / "subset_answers.json", answers)


def write_tempcompass(root: Path, items: Sequence[HeldOutQuestion]) -> None:
    """The four files, by video and aspect."""
    files: dict[str, dict[str, dict[str, list[dict[str, str]]]]] = {
        task: {} for task in ("multi-choice", "yes_no", "caption_matching", "captioning")
    }
    for item in items:
        if item.task not in ASPECTS:
            continue
        _copy(item, root / "videos" / f"{item.clip.id}.mp4")
        right, wrong = item.options[item.answer], item.options[item.answer - 1]
        letter, flip = LETTERS[item.answer], item.answer % 2
        first, second = (wrong, right) if flip else (right, wrong)
        claim = f"The answer to '{item.question}' is"
        facts = "\n".join(f"Information {x}: {{'answer': '{o}'}}" for x, o in zip(LETTERS, item.options, strict=False))
        rows = {
            "multi-choice": (f"{item.question}\n{lettered(item.options)}", f"{letter}. {right}"),
            "yes_no": (f"Is it so? {claim} {wrong if flip else right}.", "no" if flip else "yes"),
            "caption_matching": (
                f"Which description fits the video better?\nOption 1: {claim} {first}.\nOption 2: {claim} {second}.",
                f"Option {1 + flip}: {claim} {right}.",
            ),
            "captioning": (f"Write a caption with what is true.\n{facts}\nGenerated Caption:", f"{letter}. {right}"),
        }
        for task, (question, answer) in rows.items():
            aspects = files[task].setdefault(item.clip.id, {})
            aspects.setdefault(ASPECTS[item.task], []).append({"question": question, "answer": answer})
    for task, content in files.items():
        _write_json(root / "questions" / f"{task}.json", content)


def write_nextqa(root: Path, items: Sequence[HeldOutQuestion]) -> None:
    """The official CSV file, and videos where its map says."""
    folder = root / "dataset" / "nextqa"
    folder.mkdir(parents=True)
    files = {item.clip.id: f"1001/{item.clip.id}" for item in items}
    _write_json(folder / "map_vid_vidorID.json", files)
    columns = [
        "video",
        "frame_count",
        "width",
        "height",
        "question",
        "answer",
        "qid",
        "type",
        *(f"a{i}" for i in range(5)),
    ]
    with (folder / "test.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        for number, item in enumerate(items):
            facts = [item.clip.id, 48, 112, 112, item.question, item.answer, number, NEXTQA_TYPES[item.task]]
            writer.writerow([*facts, *item.options, FIFTH])
            _copy(item, root / "NExTVideo" / f"{files[item.clip.id]}.mp4")


def write_longvideobench(root: Path, items: Sequence[HeldOutQuestion]) -> None:
    """lvb_val.json with two to five options, and subtitles that speak of something else."""
    rows = []
    for number, item in enumerate(items):
        count = 2 + number % 4
        right = item.options[item.answer]
        options = [right, *(option for option in (*item.options, FIFTH) if option != right)][:count]
        options = options[number % count :] + options[: number % count]
        video = f"{item.clip.id}.mp4"
        _copy(item, root / "videos" / video)
        _write_json(
            root / "subtitles" / f"{item.clip.id}_en.json",
            [
                {"start": "00:00:10.000", "end": "00:00:12.000", "line": "Here they come."},
                {"timestamp": [12.5, 13.9], "text": "And there they go."},
            ],
        )
        rows.append(
            {
                "video_id": item.clip.id,
                "question": item.question,
                "question_wo_referring_query": item.question,
                "candidates": options,
                "correct_choice": options.index(right),
                "position": [],
                "topic_category": "rendered",
                "question_category": "T2A" if item.task in ASPECTS else "S2E",
                "level": "L1-Perception",
                "id": f"{item.clip.id}_{number}",
                "video_path": video,
                "subtitle_path": f"{item.clip.id}_en.json",
                "duration_group": 15 if number % 3 else 60,
                "starting_timestamp_for_subtitles": 10,
                "duration": SECONDS,
                "view_count": 0,
            }
        )
    _write_json(root / "lvb_val.json", rows)


def write_videomme(root: Path, items: Sequence[HeldOutQuestion]) -> None:
    """The hub's rows as a .jsonl file, with letters before the options."""
    rows = []
    for number, item in enumerate(items):
        _copy(item, root / "data" / f"{item.clip.id}.mp4")
        rows.append(
            {
                "video_id": f"{number // 3 + 1:03}",
                "duration": ("short", "medium", "long")[number // 3 % 3],
                "domain": "Knowledge",
                "sub_category": "Geography",
                "url": "-",
                "videoID": item.clip.id,
                "question_id": f"{number // 3 + 1:03}-{number % 3 + 1}",
                "task_type": "Counting Problem" if item.task == "count" else "Temporal Perception",
                "question": item.question,
                "options": lettered(item.options).split("\n"),
                "answer": LETTERS[item.answer],
            }
        )
    (root / "videomme.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")


def write_mlvu(root: Path, items: Sequence[HeldOutQuestion]) -> None:
    """A file and a folder of videos for each of six tasks."""
    files: dict[str, list[dict[str, Any]]] = {}
    for item in items:
        name = MLVU_FILES[item.task]
        video = f"{item.clip.id}.mp4"
        _copy(item, root / "video" / name / video)
        row = {"video": video, "duration": SECONDS, "question": item.question, "candidates": list(item.options)}
        answer = {"answer": item.options[item.answer], "question_type": name.partition("_")[2]}
        files.setdefault(name, []).append(row | answer)
    for name, rows in files.items():
        _write_json(root / "json" / f"{name}.json", rows)


WRITERS: dict[str, Callable[[Path, Sequence[HeldOutQuestion]], None]] = {
    "mvbench": write_mvbench,
    "mvbench_main": write_mvbench_main,
    "perceptiontest": write_perceptiontest,
    "egoschema": write_egoschema,
    "tempcompass": write_tempcompass,
    "nextqa": write_nextqa,
    "longvideobench": write_longvideobench,
    "videomme": write_videomme,
    "mlvu": write_mlvu,
}


def _mvbench_row(item: HeldOutQuestion, task: str) -> dict[str, Any]:
    row: dict[str, Any] = {
        "video": f"{item.clip.id}.mp4",
        "question": item.question,
        "candidates": list(item.options),
        "answer": item.options[item.answer],
    }
    return row | ({"start": 0.0, "end": SECONDS} if FOLDERS[task][0] != FOLDERS[task][-1] else {})


def _write_frames(item: HeldOutQuestion, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number, image in enumerate(decode(item.clip.path, int(SECONDS * FRAME_RATE)).pixels, start=1):
        Image.fromarray(image.numpy()).save(folder / f"{number:05}.jpg", quality=95)


def _copy(item: HeldOutQuestion, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(item.clip.path, path)


def _write_json(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1), encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--clips", type=int, default=8, help="rendered clips in each (default: 8)")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    try:
        for root in write_samples(options.folder, options.clips, options.seed):
            print(root)
    except SaviError as error:
        sys.exit(f"savi: {error}")


if __name__ == "__main__":
    main()
