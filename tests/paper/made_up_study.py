"""Folders of finished runs with made-up numbers."""

from __future__ import annotations

import json
from pathlib import Path

from paper.gather import card_of, taught_with
from paper.plan import Fit, Measurement
from savi.world.lessons import Prior
from savi.world.questions import queries
from savi.world.scenes import make_scene
from tests.report.made_up_runs import make_results


def write_run(fit: Fit, lift: float, readiness: dict[str, float] | None = None) -> None:
    """Its last round lies `lift` above 60 %, its base at 40 %. From round 3 on every item is right, before none."""
    results = make_results(4)
    results["rounds"][-1]["accuracy"] += lift
    (fit.folder / "items").mkdir(parents=True)
    (fit.folder / "results.json").write_text(json.dumps(results))
    (fit.folder / "summary.png").touch()
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
