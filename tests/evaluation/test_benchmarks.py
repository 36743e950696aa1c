"""Official files to items: every layout, the prompts to the letter, and one line for everything that is wrong."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from savi.evaluation.benchmarks.files import report_missing
from savi.evaluation.benchmarks.items import Item, Options
from savi.evaluation.benchmarks.registry import BENCHMARKS
from savi.evaluation.benchmarks.rows import read_rows
from savi.types import Excerpt, SaviError

OFFICIAL = [name for name, benchmark in BENCHMARKS.items() if not benchmark.rendered]
"""Those that have official files."""

Editor = Callable[[Any], None]


def load(name: str, root: Path, **options: Any) -> list[Item]:
    return BENCHMARKS[name].load(root, Options(**options))


@pytest.fixture
def copy(samples: Path, tmp_path: Path) -> Callable[[str], Path]:
    return lambda name: Path(shutil.copytree(samples / name, tmp_path / name))


def edit(path: Path, change: Editor) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


@pytest.mark.parametrize("name", [*OFFICIAL, "mvbench_main"])
def test_a_sample_is_whole_and_its_ids_tell_items_apart(name: str, samples: Path) -> None:
    benchmark = name.removesuffix("_main")
    items = load(benchmark, samples / name)
    assert len(items) >= 9
    assert len({item.id for item in items}) == len(items)
    assert report_missing(benchmark, items) is None
    assert all(BENCHMARKS[benchmark].check(item) is None for item in items)


def test_mvbench_prompt_and_answer(tmp_path: Path) -> None:
    row = {"video": "v.mp4", "question": "How many?", "candidates": ["3", "2", "3"], "answer": "3"}
    (tmp_path / "json").mkdir()
    (tmp_path / "json" / "moving_count.json").write_text(json.dumps([row]))
    (item,) = load("mvbench", tmp_path)
    assert item.prompt == "Question:How many?\nOption:\n(A) 3\n(B) 2\n(C) 3\nOnly give the best option.\n"
    assert item.answer == "A"  # the first candidate that equals the answer


def test_both_branches_of_mvbench_ask_the_same_of_the_same_seconds(samples: Path) -> None:
    cut = {item.id: item for item in load("mvbench", samples / "mvbench")}
    whole = {item.id: item for item in load("mvbench", samples / "mvbench_main")}
    assert cut.keys() == whole.keys()
    for name, item in cut.items():
        bounded = item.task in ("action_sequence", "episodic_reasoning")
        clips = [item.clip, whole[name].clip]
        assert all(isinstance(clip, Excerpt) for clip in clips)
        assert [clip.span for clip in clips if isinstance(clip, Excerpt)] == [None, (0.0, 4.0) if bounded else None]
        assert item.prompt == whole[name].prompt
    folder = next(item.clip for item in whole.values() if item.task == "episodic_reasoning")
    assert isinstance(folder, Excerpt)
    assert folder.path.is_dir()
    assert folder.fps == 3.0


@pytest.mark.parametrize(("json_of", "videos_of", "span"), [("_main", "", None), ("", "_main", (0.0, 4.0))])
def test_the_files_of_one_branch_find_the_videos_of_the_other(
    json_of: str, videos_of: str, span: tuple[float, float] | None, samples: Path, copy: Callable[[str], Path]
) -> None:
    root = copy(f"mvbench{videos_of}")
    shutil.rmtree(root / "json")
    shutil.copytree(samples / f"mvbench{json_of}" / "json", root / "json")
    items = load("mvbench", root)
    assert report_missing("mvbench", items) is None
    spans = {item.clip.span for item in items if item.task == "action_sequence" and isinstance(item.clip, Excerpt)}
    assert spans == {span}


@pytest.mark.parametrize(
    ("name", "start", "file", "span"),
    [
        ("AB_2.5_9.0.mp4", 2.5, "star/Charades_segment/AB_2.5_9.0.mp4", None),
        ("AB_2.0_9.0.mp4", 2, "star/Charades_segment/AB_2.0_9.0.mp4", None),
        ("AB_2.5_9.0.mp4", 2.5, "star/Charades_v1_480/AB.mp4", (2.5, 9.0)),
        ("AB.mp4", 2.5, "star/Charades_v1_480/AB.mp4", (2.5, 9.0)),
        ("AB.mp4", 2.5, "star/Charades_segment/AB_2.5_9.0.mp4", None),
        ("AB_1_2.mp4", 2.5, "star/Charades_v1_480/AB_1_2.mp4", (2.5, 9.0)),
        ("AB.mp4", 2.5, "star/Charades_segment/AB.mp4", None),
    ],
)
def test_a_clip_is_cut_once(
    name: str, start: float, file: str, span: tuple[float, float] | None, tmp_path: Path
) -> None:
    row = {"video": name, "question": "?", "candidates": ["a", "b"], "answer": "a", "start": start, "end": 9.0}
    for path in (tmp_path / "json" / "action_sequence.json", tmp_path / file):
        path.parent.mkdir(parents=True)
    (tmp_path / "json" / "action_sequence.json").write_text(json.dumps([row]))
    (tmp_path / file).touch()
    (item,) = load("mvbench", tmp_path)
    assert item.clip == Excerpt(file, tmp_path / file, span)


def test_mvbench_reads_test_json_and_the_supplement(copy: Callable[[str], Path]) -> None:
    root = copy("mvbench")
    before = load("mvbench", root)
    meta = {path.stem: json.loads(path.read_text()) for path in sorted((root / "json").glob("*.json"))}
    folders = {"action_sequence": "elsewhere/star"}
    (root / "test.json").write_text(json.dumps({"root": folders, "meta": meta}))
    shutil.rmtree(root / "json")
    shutil.move(root / "star" / "Charades_segment", root / "elsewhere" / "star")
    (root / "data0613").mkdir()
    shutil.move(root / "clevrer", root / "data0613" / "clevrer")
    after = load("mvbench", root)
    assert {item.id: item.prompt for item in after} == {item.id: item.prompt for item in before}
    assert report_missing("mvbench", after) is None


def test_perceptiontest_rows_from_the_hub_are_the_same_items(copy: Callable[[str], Path]) -> None:
    root = copy("perceptiontest")
    official = load("perceptiontest", root)
    path = root / "mc_question_valid.json"
    rows = [
        {k: v for k, v in question.items() if k not in ("id", "answer_id")}
        | {"video_name": video, "question_id": str(question["id"]), "answer_id": str(question["answer_id"])}
        for video, record in json.loads(path.read_text()).items()
        for question in record["mc_question"]
    ]
    path.unlink()
    (root / "validation.jsonl").write_text("\n".join(map(json.dumps, rows)))
    assert load("perceptiontest", root) == official
    first = official[0]
    assert first.prompt == (
        f"{first.question}\nA. {first.options[0]}\nB. {first.options[1]}\nC. {first.options[2]}"
        "\nAnswer with the option's letter from the given choices directly."
    )


def test_egoschema_has_a_subset_with_answers_and_all_without(copy: Callable[[str], Path]) -> None:
    root = copy("egoschema")
    subset, full = load("egoschema", root), load("egoschema", root, split="full")
    assert len(subset) * 2 == len(full)
    assert all(item.answer in "ABCDE" for item in subset)
    assert {item.id for item in full if item.answer} == {item.id for item in subset}
    rows = [
        {
            "question_idx": f"{i:05}",
            "question": item.question,
            "video_idx": item.id,
            "option": [f"{letter}. {text}" for letter, text in zip("ABCDE", item.options, strict=True)],
            "answer": str("ABCDE".index(item.answer)) if item.answer else None,
        }
        for i, item in enumerate(full)
    ]
    for name in ("questions.json", "subset_answers.json"):
        (root / name).unlink()
    (root / "GENERATION.json").write_text(json.dumps(rows))
    assert load("egoschema", root, split="full") == full


def test_nextqa_finds_videos_by_map_and_by_name_and_reads_val(copy: Callable[[str], Path]) -> None:
    root = copy("nextqa")
    items = load("nextqa", root)
    assert all("/1001/" in str(item.clip.path) for item in items)
    assert items[0].prompt.endswith(f"\nE. {items[0].options[4]}")
    for path in sorted((root / "NExTVideo" / "1001").iterdir()):
        shutil.move(path, root / "NExTVideo" / path.name)
    folder = root / "dataset" / "nextqa"
    (folder / "test.csv").rename(folder / "val.csv")
    flat = load("nextqa", root, split="val")
    assert report_missing("nextqa", flat) is None
    assert [item.prompt for item in flat] == [item.prompt for item in items]
    with pytest.raises(SaviError, match=r"holds none of test\.csv"):
        load("nextqa", root)


def test_nextqa_items_by_hand(tmp_path: Path) -> None:
    with (tmp_path / "test.csv").open("w", newline="") as file:
        csv.writer(file).writerows(
            [
                ["video", "question", "answer", "qid", "type", "a0", "a1", "a2", "a3", "a4"],
                [7, " why did he, jump ", 2, 3, "TP", "rest ", "hide", "ball", "sing", "sleep"],
            ]
        )
    (item,) = load("nextqa", tmp_path)
    assert (item.id, item.answer, item.task, item.groups) == ("7_3", "C", "TP", {"type": "temporal"})
    assert item.prompt == "why did he, jump\nA. rest\nB. hide\nC. ball\nD. sing\nE. sleep"


def test_longvideobench_from_either_file_with_and_without_subtitles(copy: Callable[[str], Path]) -> None:
    root = copy("longvideobench")
    items = load("longvideobench", root)
    assert {len(item.options) for item in items} == {2, 3, 4, 5}
    spoken = load("longvideobench", root, subtitles=True)
    # Sampled at 0, 1, 2, 3 s; the first is spoken from 0 to 2 s, the other from 2.5 to 3.9 s after the start.
    assert {item.prompt.removesuffix(other.prompt) for item, other in zip(spoken, items, strict=True)} == {
        "Here they come.\nAnd there they go.\n"
    }
    rows = json.loads((root / "lvb_val.json").read_text())
    for row in rows:
        candidates = row.pop("candidates")
        row |= {f"option{i}": (candidates + ["N/A"] * 5)[i] for i in range(5)}
    (root / "lvb_val.json").write_text(json.dumps(rows))
    assert load("longvideobench", root) == items


def test_tempcompass_rows_from_the_hub_are_the_same_items(copy: Callable[[str], Path]) -> None:
    root = copy("tempcompass")
    official = load("tempcompass", root)
    for item in official:
        if item.task == "captioning":
            assert item.question.endswith(item.answer.split(". ", 1)[1]) or item.answer in item.question
    for task in ("multi-choice", "yes_no", "caption_matching", "captioning"):
        path = root / "questions" / f"{task}.json"
        content = json.loads(path.read_text())
        rows = [
            {"video_id": video, "dim": aspect, **question}
            for video, aspects in content.items()
            for aspect, questions in aspects.items()
            for question in questions
        ]
        path.unlink()
        (root / f"{task}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    assert load("tempcompass", root) == official
    endings = {item.task: item.prompt.rpartition("\n")[2] for item in official if item.task != "captioning"}
    assert endings == {
        "multi-choice": "Please directly give the best option:",
        "yes_no": "Please answer yes or no:",
        "caption_matching": "Please directly give the best option:",
    }


def test_videomme_reads_the_benchmarks_own_json_as_the_hubs_rows(copy: Callable[[str], Path]) -> None:
    root = copy("videomme")
    items = load("videomme", root)
    assert {item.task for item in items} == {"short", "medium", "long"}
    rows = [row.fields for row in read_rows(root / "videomme.jsonl")]
    about = ("question_id", "task_type", "question", "options", "answer")
    videos: dict[str, Any] = {}
    for row in rows:
        video = {name: value for name, value in row.items() if name not in about}
        questions = videos.setdefault(row["video_id"], video | {"questions": []})["questions"]
        questions.append({name: row[name] for name in about} | {"response": ""})
    (root / "videomme.jsonl").unlink()
    (root / "videomme.json").write_text(json.dumps(list(videos.values())))
    assert load("videomme", root) == items
    # Without the hub's name of the video, the file is called as the benchmark numbers it.
    for video in videos.values():
        shutil.move(root / "data" / f"{video.pop('videoID')}.mp4", root / "data" / f"{video['video_id']}.mp4")
    (root / "videomme.json").write_text(json.dumps(list(videos.values())))
    numbered = load("videomme", root)
    assert report_missing("videomme", numbered) is None
    assert [item.prompt for item in numbered] == [item.prompt for item in items]


def test_videomme_prompt_to_the_letter(tmp_path: Path) -> None:
    about = {"videoID": "v", "duration": "long", "domain": "Multilingual", "sub_category": "Multilingual"}
    row = {"question_id": "601-2", "task_type": "OCR Problems", "question": "Which sign?", "answer": "B"}
    options = ["A. Stop.", "B. Go.", "C. Left.", "D. Right."]
    (tmp_path / "test.jsonl").write_text(json.dumps(about | row | {"options": options}))
    (item,) = load("videomme", tmp_path)
    assert item.prompt == (
        "Select the best answer to the following multiple-choice question based on the video and the subtitles. "
        "Respond with only the letter (A, B, C, or D) of the correct option.\n"
        "Which sign?\nA. Stop.\nB. Go.\nC. Left.\nD. Right.\n\n"
        "Answer with the option's letter from the given choices directly."
    )
    assert (item.id, item.task, item.answer, item.options[1]) == ("601-2", "long", "B", "Go.")
    assert item.groups == {"domain": "Multilingual", "sub_category": "Multilingual", "type": "OCR Problems"}


def test_mlvu_rows_from_the_hub_are_the_same_items(copy: Callable[[str], Path]) -> None:
    root = copy("mlvu")
    official = load("mlvu", root)
    assert {item.task for item in official} == {"plotQA", "needle", "ego", "count", "order", "topic_reasoning"}
    first = official[0]
    options = "".join(f"({letter}) {text}\n" for letter, text in zip("ABCD", first.options, strict=True))
    assert first.prompt == f"{first.question}\n{options}\nOnly give the best option.\nBest option: ("
    rows = [
        {
            "video_name": item.clip.id,
            "duration": 4.0,
            "question": item.prompt.removesuffix("\nOnly give the best option.\nBest option: ("),
            "candidates": item.options,
            "answer": item.answer,
            "task_type": item.task,
        }
        for item in official
    ]
    shutil.rmtree(root / "json")
    (root / "test.jsonl").write_text("\n".join(map(json.dumps, rows)))
    assert load("mlvu", root) == official


def test_mlvu_leaves_the_tasks_without_options_alone(copy: Callable[[str], Path]) -> None:
    root = copy("mlvu")
    before = load("mlvu", root)
    open_ended = {
        "video": "v.mp4",
        "duration": 1.0,
        "question": "What happens?",
        "answer": "A lot.",
        "question_type": "summary",
    }
    (root / "json" / "9_summary.json").write_text(json.dumps([open_ended]))
    assert load("mlvu", root) == before


def test_missing_videos_are_counted_with_an_example(copy: Callable[[str], Path]) -> None:
    root = copy("mvbench")
    gone = sorted((root / "star" / "Charades_segment").iterdir())
    for path in gone:
        path.unlink()
    report = report_missing("mvbench", load("mvbench", root))
    assert report is not None
    assert f"{len(gone)} of " in report
    assert f"(action_sequence {len(gone)})" in report
    assert str(gone[0]) in report
    assert "\n" not in report


def first(content: Any) -> Any:
    while isinstance(content, dict) and not {"question", "answer"} & content.keys():
        content = next(iter(content.values()))
    return content[0] if isinstance(content, list) else content


@pytest.mark.parametrize(
    ("name", "file", "change", "said"),
    [
        ("mvbench", "json/moving_count.json", lambda c: c[0].update(answer="seven"), "row 1: the answer 'seven'"),
        ("mvbench", "json/moving_count.json", lambda c: c[1].pop("candidates"), "row 2: the field 'candidates'"),
        ("mvbench", "json/action_sequence.json", lambda c: c[0].update(end=-1.0), "row 1: it ends"),
        ("perceptiontest", "mc_question_valid.json", lambda c: c["clip_00000"]["mc_question"][0].pop("area"), "'area'"),
        ("egoschema", "questions.json", lambda c: c[0].pop("option 4"), "row 1: the field 'option 4'"),
        ("egoschema", "questions.json", lambda c: c.pop(0), "of the subset's"),
        ("egoschema", "subset_answers.json", lambda c: c.update({next(iter(c)): 7}), "7 is none of 5 options"),
        ("tempcompass", "questions/yes_no.json", lambda c: first(c).update(answer="maybe"), "neither yes nor no"),
        ("tempcompass", "questions/caption_matching.json", lambda c: first(c).update(answer="x"), "option lines"),
        ("longvideobench", "lvb_val.json", lambda c: c[2].update(correct_choice=9), "row 3: correct_choice 9"),
        ("longvideobench", "lvb_val.json", lambda c: c.__setitem__(0, "text"), "row 1: not an object"),
        ("mlvu", "json/5_order.json", lambda c: c[1].update(answer="seven"), "row 2: the answer 'seven'"),
        ("mlvu", "json/4_count.json", lambda c: c[0].update(candidates=["2"], answer="2"), "row 1: 1 options"),
    ],
)
def test_a_malformed_row_is_named(name: str, file: str, change: Editor, said: str, copy: Callable[[str], Path]) -> None:
    root = copy(name)
    edit(root / file, change)
    with pytest.raises(SaviError) as raised:
        load(name, root)
    assert said in str(raised.value)
    assert str(root / file) in str(raised.value)
    assert "\n" not in str(raised.value)


def test_subtitles_that_are_no_list_are_one_line(copy: Callable[[str], Path]) -> None:
    root = copy("longvideobench")
    for path in (root / "subtitles").iterdir():
        path.write_text('{"start": "00:00:10.000"}')
    with pytest.raises(SaviError, match=r"_en\.json: not a list of rows"):
        load("longvideobench", root, subtitles=True)


@pytest.mark.parametrize("name", OFFICIAL)
def test_a_wrong_folder_is_one_line(name: str, tmp_path: Path) -> None:
    with pytest.raises(SaviError, match=f"data.benchmark.{name}.root: .* holds none of"):
        load(name, tmp_path)
    with pytest.raises(SaviError, match="is not a folder"):
        load(name, tmp_path / "nowhere")


def test_a_file_that_is_no_json_is_named(copy: Callable[[str], Path]) -> None:
    root = copy("egoschema")
    (root / "questions.json").write_text('[\n{"q_uid": ]')
    with pytest.raises(SaviError, match=r"questions\.json, line 2: not JSON"):
        load("egoschema", root)


def test_a_parquet_file_that_git_lfs_never_fetched_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "test.parquet"
    path.write_text("version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(SaviError, match=r"test\.parquet: not a parquet file .*git-lfs") as refusal:
        read_rows(path)
    assert "\n" not in str(refusal.value)
