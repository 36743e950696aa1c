"""Folders of finished runs with made-up numbers."""

from __future__ import annotations

import json
from pathlib import Path

from savi.types import Clip
from savi.world.oracle import scene_of_clip
from savi.world.questions import queries
from savi.world.scenes import VERSION, make_scene
from tests.report.made_up_runs import make_results
from tools.base_model.curriculum import Prior
from tools.paper.gather import card_of, taught_with
from tools.paper.plan import Fit, Measurement


def write_run(fit: Fit, lift: float, readiness: dict[str, float] | None = None) -> None:
    """Its last round lies `lift` above 60 %, its base at 40 %. From round 3 on every item is right, before none."""
    results = make_results(4)
    results["rounds"][-1]["benchmarks"]["world"]["accuracy"] += lift
    (fit.folder / "items").mkdir(parents=True)
    (fit.folder / "results.json").write_text(json.dumps(results))
    (fit.folder / "summary.png").touch()
    # Of the first clip's questions one is asked twice and a strange one once; the revision is right both times.
    clip = "clip_00000"
    scene = scene_of_clip(Clip(clip, Path(f"train-v{VERSION}-0/{clip}.mp4")))
    query = queries(scene)[0]
    wrong = next(value for value in query.values if value != query.answer)
    (fit.folder / "pairs").mkdir()
    with (fit.folder / "pairs" / "round_00.jsonl").open("w") as file:
        for question, rejected in ((query.text, wrong), (query.text, query.answer), ("why ?", wrong)):
            pair = {"clip": clip, "video": f"train-v{VERSION}-0/{clip}.mp4", "question": question}
            file.write(json.dumps(pair | {"chosen": query.answer, "rejected": rejected}) + "\n")
    if readiness:
        (fit.folder / "readiness.json").write_text(json.dumps(readiness))
    prior = Prior(taught_with(card_of(fit.base)))
    for number in range(5):
        items = [
            {"task": q.kind, "question": q.text, "answer": q.answer, "choice": q.answer if right else favourite}
            for q in queries(make_scene(1))
            for right, favourite in [(number > 2, prior.favourite(q)[0])]
        ]
        lines = "".join(json.dumps(item) + "\n" for item in items)
        (fit.folder / "items" / f"round_{number:02d}.jsonl").write_text(lines)


def write_measurement(measurement: Measurement, accuracy: float) -> None:
    command = dict(part.removeprefix("--").split("=", 1) for part in measurement.command[1:])
    folder = Path(command["runs"]) / command["name"] / "version_0"
    folder.mkdir(parents=True)
    entry = {"round": 0, "accuracy": accuracy, "by_task": {"motion": accuracy}, "items": 360}
    (folder / "results.json").write_text(json.dumps({"rounds": [entry]}))
