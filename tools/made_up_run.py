"""A made-up run of any size, in the files that a real one leaves: for the page's tests and its benchmark.

The pairs and traces are written by savi's own store. Its figures mean nothing.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

import yaml

from savi.critique.clip_results import ClipResult
from savi.critique.round_files import policy_logps_path
from savi.critique.store import PairStore
from savi.evaluation.outcomes import VIDEOS
from savi.files import write_json, write_json_lines, write_text
from savi.types import ASPECTS, Aspect, Clip, PreferencePair, Trace, Turn

WORDS = (
    *("a", "the", "man", "woman", "dog", "ball", "table", "window", "car", "red", "blue", "left", "right", "behind"),
    *("before", "after", "while", "first", "then", "slowly", "opens", "closes", "moves", "turns", "holds", "picks"),
)
OPENINGS = ("How many people", "What does the man", "Which object", "Is the dog", "Where is the ball", "Why does she")
LOST = ("unchanged revision", "same meaning", "answer approved", "unfinished", "implausible")
ANSWERS = ("left", "right", "behind", "before", "after", "first")
TASKS = ("motion", "order", "count", "spatial")
KINDS = ("temporal ordering", "object hallucination", "factual inaccuracy")


def write_run(
    folder: Path,
    videos: Sequence[Path],
    rounds: int,
    *,
    clips: int | None = None,
    questions: int = 6,
    words: int = 20,
    seed: int = 0,
    change: Callable[[str], str] = str,
    planned: int | None = None,
    gain: float = 0.05,
) -> Path:
    """A run of `rounds` rounds over `clips` clips, which share the videos. Returns its folder.

    words: of an answer; a critique has three times as many. change: is applied to every text of the model. planned: the
    rounds that its settings ask for. gain: in accuracy, per round.
    """
    source = random.Random(seed)
    names = [f"clip_{number:05d}" for number in range(clips or len(videos))]
    folder.mkdir(parents=True)
    write_text(folder / "config.yaml", yaml.safe_dump(_config(planned or rounds, len(names))))
    write_json(folder / "clips.json", dict.fromkeys(names, ""))
    for round in range(rounds):
        store = PairStore(folder, round, "made up")
        for start in range(0, len(names), 100):
            store.commit(
                [
                    _clip(source, Clip(name, videos[number % len(videos)]), round, questions, words, change)
                    for number, name in enumerate(names[start : start + 100], start)
                ]
            )
        store.finish()
        write_json_lines(policy_logps_path(folder, round), _policy(store.pairs()[0], round, seed))
    entries = [_entry(folder, source, videos, round, gain, change) for round in range(rounds + 1)]
    run = {"name": folder.parent.name, "seed": seed, "base": "made-up/model-7B", "base_fingerprint": "made-up"}
    write_json(folder / "results.json", {"run": run, "rounds": entries})
    _write_metrics(folder / "metrics.csv", source, rounds)
    return folder


def _config(rounds: int, clips: int) -> dict[str, Any]:
    return {
        "trainer": {"max_epochs": rounds},
        "model": {
            "base": {"path": "made-up/model-7B", "dtype": "bfloat16", "nf4": True},
            "lora": {"r": 16},
            "dpo": {"loss": "sigmoid", "beta": 0.1},
            "chain": {"critic": {"kind": "self"}},
            "reference": "base",
            "pairs": None,
        },
        "data": {"clips": "/data/videos", "clip_count": clips, "frames": 8, "pairs": None},
    }


def _said(source: random.Random, words: int) -> str:
    return " ".join(source.choices(WORDS, k=max(1, words)))


def _clip(
    source: random.Random, clip: Clip, round: int, questions: int, words: int, change: Callable[[str], str]
) -> ClipResult:
    pairs, traces = [], []
    for number in range(questions):
        aspect: Aspect = ASPECTS[number % 2]
        # Every round asks the first question of a clip again.
        opening = OPENINGS[(number + round * (number > 0)) % len(OPENINGS)]
        question = change(f"{opening} {_said(source, 5)}?" if number else f"{opening} are there in {clip.id}?")
        answer = _said(source, words)
        revision = f"{answer.rpartition(' ')[0]} {_said(source, 3)}".strip()
        texts = {"answer": answer, "critique": _said(source, 3 * words), "revision": revision}
        prompt = f"Look at the clip and answer the question in one sentence. {question}"
        said = [("question", f"Ask a {aspect} question about the clip.", question)]
        said += [(name, f"{prompt} {name}", change(text)) for name, text in texts.items()]
        turns = tuple(Turn(*one, seed=number, logp=-source.random() * 20, finished=True) for one in said)  # type: ignore[arg-type]  # a turn's name
        outcome = "pair" if source.random() < 0.5 else source.choice(LOST)
        traces.append(Trace(clip.id, round, aspect, question, turns, outcome))
        if outcome == "pair":
            pairs.append(_pair(source, clip, round, aspect, question, prompt, {n: change(t) for n, t in texts.items()}))
    return ClipResult(clip, tuple(pairs), tuple(traces))


def _pair(
    source: random.Random, clip: Clip, round: int, aspect: Aspect, question: str, prompt: str, said: dict[str, str]
) -> PreferencePair:
    return PreferencePair(
        clip=clip.id,
        video=str(clip.path),
        round=round,
        aspect=aspect,
        question=question,
        prompt=prompt,
        chosen=said["revision"],
        rejected=said["answer"],
        critique=said["critique"],
        reference_chosen_logp=-source.random() * 30,
        reference_rejected_logp=-source.random() * 20,
        seed=0,
        prompt_version="made-up",
    )


def _policy(pairs: Iterable[PreferencePair], round: int, seed: int) -> Iterator[dict[str, Any]]:
    """What the policy gave to pairs at their steps, which follow each other; it has learned a little."""
    source = random.Random(f"{seed} {round}")
    for number, pair in enumerate(pairs):
        yield {
            "clip": pair.clip,
            "steps": [40 * round + number % 40],
            "chosen_logps": [pair.reference_chosen_logp * (1 - 0.5 * source.random())],
            "rejected_logps": [pair.reference_rejected_logp * (1 + 0.5 * source.random())],
            "beta": 0.1,
        }


def _entry(
    folder: Path, source: random.Random, videos: Sequence[Path], round: int, gain: float, change: Callable[[str], str]
) -> dict[str, Any]:
    rows = [
        _row(random.Random(f"{number}"), source, number, 0.4 + gain * round, change)
        for number in range(60 * len(TASKS))
    ]
    place = folder / "benchmarks" / f"round_{round:02d}"
    write_json_lines(place / "world.jsonl", rows)
    names = dict.fromkeys(row["video"] for row in rows)
    write_json(place / VIDEOS, {"world": {name: str(path) for name, path in zip(names, cycle(videos), strict=False)}})
    by_task = {task: _share([row["correct"] for row in rows if row["task"] == task]) for task in TASKS}
    accuracy = _share([row["correct"] for row in rows])
    wrong = sum(not row["correct"] for row in rows)
    summary = {
        "accuracy": accuracy,
        "interval": [accuracy - 0.06, accuracy + 0.06],
        "by_task": by_task,
        "errors": {kind: wrong // (number + 2) for number, kind in enumerate(KINDS)},
        "items": len(rows),
        "malformed": 0.01,
        "free_form_accuracy": accuracy - 0.05,
        "measured_on": {
            "benchmark": "world",
            "split": "test",
            "items": len(rows),
            "of": len(rows),
            "clips": 60,
            "frames": 8,
            "frame_pixels": None,
            "seed": 0,
            "wording": None,
            "scorer": "likelihood",
            "digest": "made-up",
        },
    }
    entry: dict[str, Any] = {"round": round, "pairs": 0, "filters": {}, "benchmarks": {"world": summary}}
    if round:
        entry |= {"pairs": 1, "steps": {"taken": 40, "planned": 40}}
    return entry | {"seconds": {"building": 300.0, "training": 120.0, "evaluating": 60.0}}


def _row(
    asked: random.Random, source: random.Random, number: int, right: float, change: Callable[[str], str]
) -> dict[str, Any]:
    """asked: gives the same question in every round. source: gives the reply."""
    question, options = f"{asked.choice(OPENINGS)} {_said(asked, 4)}?", asked.sample(ANSWERS, 4)
    answer = asked.choice("ABCD")
    pred = answer if source.random() < right else source.choice("ABCD")
    return {
        "benchmark": "world",
        "id": f"test_{number:05d}",
        "video": f"test-v3-0/clip_{number // len(TASKS):05d}.mp4",
        "task": TASKS[number % len(TASKS)],
        "groups": {},
        "question": change(question),
        "options": options,
        "answer": answer,
        "response": pred,
        "pred": pred,
        "correct": pred == answer,
        "fallback": False,
        "logps": [-1.0 - (letter != pred) - source.random() for letter in "ABCD"],
        "free_form": change(_said(source, 3)),
    }


def _share(values: Sequence[bool]) -> float:
    return sum(values) / len(values)


def _write_metrics(path: Path, source: random.Random, rounds: int) -> None:
    lines = ["epoch,step,rewards/chosen,rewards/margins,rewards/rejected"]
    for step in range(40 * rounds):
        margin = 0.02 * step + source.random()
        lines.append(f"{step // 40},{step},{margin / 3:.4f},{margin:.4f},{-2 * margin / 3:.4f}")
    write_text(path, "\n".join(lines) + "\n")
