"""Records what lmms-eval's own functions make of the replies in extractions.jsonl, next to this file.

The table is input and output: to add a reply, append a row without `pred` and `fallback`. Run it by hand, in an
environment of its own, also where the package's version changes:

    python -m venv /tmp/lmms && /tmp/lmms/bin/pip install --no-deps lmms-eval loguru pyyaml numpy pandas \
        python-dateutil pillow six pytz
    /tmp/lmms/bin/python tests/evaluation/record_extractions.py
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import json
import os
import random
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

TABLE = Path(__file__).with_name("extractions.jsonl")
LETTERS = "ABCDE"
Found = tuple[str | None, bool]
"""The letter or text that was read, and whether the harness would have drawn at random or asked its judge."""


class DrawnError(Exception):
    """Raised in the place of a random draw."""


def import_tasks() -> dict[str, Any]:
    """The task modules alone: the package's own __init__ wants torch and much more."""
    os.environ.setdefault("HF_HOME", "/nonexistent")
    spec = importlib.util.find_spec("lmms_eval")
    assert spec is not None
    assert spec.submodule_search_locations
    tasks = types.ModuleType("lmms_eval.tasks")
    tasks.__path__ = [str(Path(next(iter(spec.submodule_search_locations))) / "tasks")]
    sys.modules["lmms_eval.tasks"] = tasks
    for name in ("torch", "decord", "requests", "cv2", "datasets", "lmms_eval.utils"):
        stub: Any = types.ModuleType(name)
        stub.Tensor = stub.VideoReader = stub.cpu = stub.Dataset = object
        sys.modules[name] = stub
    importlib.import_module("lmms_eval").utils = sys.modules["lmms_eval.utils"]
    names = (
        "mvbench",
        "perceptiontest.val",
        "egoschema",
        "tempcompass",
        "nextqa",
        "longvideobench",
        "videomme",
        "mlvu",
    )
    return {name.split(".")[0]: importlib.import_module(f"lmms_eval.tasks.{name}.utils") for name in names}


def mvbench(module: Any, case: dict[str, Any], reply: str) -> Found:
    """The function gives a score alone: the letter is the one that would be right."""
    fitting = [letter for letter in LETTERS if module.mcq_acc(letter, reply)]
    return (fitting[0] if fitting else None), False


def perceptiontest(module: Any, case: dict[str, Any], reply: str) -> Found:
    doc = {"video_name": "", "question": case["question"], "answer_id": "0"}
    index = module.perceptiontest_val_process_results_mc(doc, [reply])["accuracy"]["pred_id"]
    return (LETTERS[index] if index >= 0 else None), False


def egoschema(module: Any, case: dict[str, Any], reply: str) -> Found:
    options = [f"{letter}. {text}" for letter, text in zip(LETTERS, case["options"], strict=True)]
    doc = {"video_idx": "v", "option": options, "answer": "0"}
    return LETTERS[module.egoschema_process_results_generation(doc, [reply])["score"]["pred"]], False


def nextqa(module: Any, case: dict[str, Any], reply: str) -> Found:
    doc = {f"a{i}": text for i, text in enumerate(case["options"])}
    texts, letters = module.get_multi_choice_info(doc)
    return module.parse_multi_choice_response(reply, letters, texts), False


def longvideobench(module: Any, case: dict[str, Any], reply: str) -> Found:
    padded = [*case["options"], *["N/A"] * (5 - len(case["options"]))]
    doc = {f"option{i}": text for i, text in enumerate(padded)}
    doc |= {"id": "x", "duration_group": 15, "question_category": "S2E", "correct_choice": 0}
    return module.longvideobench_process_results(doc, [reply])["lvb_acc"]["parsed_pred"], False


def tempcompass(module: Any, case: dict[str, Any], reply: str) -> Found:
    """The answer that the rules would call right; None where they call on the judge."""
    lines = case["question"].split("\n")[1:]
    process, answers = {
        "multi-choice": (module.tempcompass_process_results_multi_choice, lines),
        "yes_no": (module.tempcompass_process_results_yes_no, ["yes", "no"]),
        "caption_matching": (module.tempcompass_process_results_caption_matching, lines),
    }[case["task"]]
    results = []
    for answer in answers:
        doc = {"video_id": "v", "question": case["question"], "answer": answer, "dim": "speed"}
        results.append((answer, process(doc, [reply])["avg_accuracy"]))
    if not all(result["match_success"] for _, result in results):
        return None, True
    right = [answer for answer, result in results if result["rating"]]
    if not right:  # a letter beyond the options
        return reply[0], False
    return (right[0][0] if case["task"] == "multi-choice" else right[0]), False


def videomme(module: Any, case: dict[str, Any], reply: str) -> Found:
    doc = dict.fromkeys(("domain", "sub_category", "task_type", "question_id", "duration", "videoID"), "")
    found = module.videomme_process_results(doc | {"answer": "A"}, [reply])["videomme_perception_score"]
    return found["pred_answer"] or None, False


def mlvu(module: Any, case: dict[str, Any], reply: str) -> Found:
    doc = {"task_type": "plotQA", "question": case["question"], "answer": "A"}
    return module.mlvu_process_results(doc, [reply])["mlvu_percetion_score"]["pred_answer"] or None, False


def record(modules: dict[str, Any], row: dict[str, Any]) -> dict[str, Any]:
    read: Callable[[Any, dict[str, Any], str], Found] = globals()[row["benchmark"]]
    try:
        # The harness strips every reply before it hands it to a task (ConfigurableTask.process_results).
        pred, fallback = read(modules[row["benchmark"]], row, row["response"].strip())
    except DrawnError:
        pred, fallback = None, True
    return row | {"pred": pred, "fallback": fallback}


def main() -> None:
    modules = import_tasks()

    def drawn(_: object) -> None:
        raise DrawnError

    random.choice = drawn  # type: ignore[assignment]  # records
    modules["tempcompass"].get_eval_result = lambda prompt: ("", 0)
    version = importlib.metadata.version("lmms-eval")
    rows = [json.loads(line) for line in TABLE.read_text(encoding="utf-8").splitlines()[1:]]
    lines = [json.dumps({"recorded_with": f"lmms-eval {version}"})]
    lines += [json.dumps(record(modules, row), ensure_ascii=False) for row in rows]
    TABLE.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"{len(rows)} replies recorded with lmms-eval {version}")


if __name__ == "__main__":
    main()
