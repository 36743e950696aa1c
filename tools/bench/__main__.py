"""`make bench`: savi next to TRL and transformers, in one run, to tools/bench/results.json and the terminal."""

from __future__ import annotations

import argparse
import json
import logging
import os
import platform
import time
import warnings
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
import transformers

from tools.bench import chain, kernels, skilled, writing
from tools.bench.rows import Bench
from tools.bench.workload import PROMPT, QUESTIONS, RESPONSE, SHAPES, build

PARTS = (
    *("step", "skilled_step", "chain", "skilled_chain", "writing", "kernels", "judge", "states", "longer", "losses"),
    *("own_pairs", "parts"),
)
OF_ANY_SHAPE = {"skilled_step", "skilled_chain"}
"""Parts whose rows name their shape. A file has the rows of the others for one shape alone."""

LONG = 4 * RESPONSE
"""Tokens of a response in the row that shows what longer texts do to the ratio."""


def main() -> None:
    options = _options()
    _quiet()
    started = time.monotonic()
    if options.device == "cpu":
        torch.set_num_threads(1)  # a second one, on a shared machine, would time the neighbors
    results: dict[str, Any] = {"machine": _machine(options), "workload": _workload(options)}
    if options.update:
        results = json.loads(options.out.read_text())
    with TemporaryDirectory() as folder:
        model = build(SHAPES[options.shape], Path(folder) / "model", options.device)
        bench = Bench(options.shape, options.device, model, options.repeats, options.peers)
        for part, row in _plan(bench, options, Path(folder)):
            if time.monotonic() - started > options.budget:
                results.setdefault("skipped", []).append(part)
                continue
            new = row()
            put(results, part, new)
            _print(part, new)
            options.out.write_text(json.dumps(results, indent=2) + "\n")
    print(f"every number: {options.out}")


def _plan(bench: Bench, options: argparse.Namespace, folder: Path) -> list[tuple[str, Callable[[], dict[str, Any]]]]:
    """The rows in the order in which they are missed most, should the budget run out."""
    sizes = sorted(options.tokens, reverse=True)
    plan: list[tuple[str, Callable[[], dict[str, Any]]]] = []
    for tokens in sizes:
        plan += [("step", partial(bench.step, tokens, way == "on")) for way in options.checkpointing]
    if options.peers:
        plan += [
            ("skilled_step", partial(skilled.step_row, bench, tokens, prompt, response, count, options.naive))
            for tokens in sizes
            for prompt, response in options.texts
            for count in options.questions
        ]
    given = (SHAPES[options.shape], bench.folder, sizes[-1], options.repeats, options.device)
    plan.append(("writing", partial(writing.compare, *given)))
    plan += [("chain", partial(bench.chain, tokens, options.turns)) for tokens in sizes]
    plan += [
        ("skilled_chain", partial(skilled.chain_row, bench, tokens, count))
        for tokens in sizes
        for count in options.questions
    ]
    plan += [("kernels", partial(kernels.measure, dtype, folder / dtype)) for dtype in ("float32", "bfloat16")]
    plan += [("judge", partial(bench.judge, tokens)) for tokens in sizes]
    plan += [("states", partial(bench.states, sizes[0], way == "on", folder)) for way in options.checkpointing]
    if "video" in options.peers:
        plan.append(("longer", partial(bench.step, sizes[len(sizes) // 2], True, LONG)))
        plan.append(("losses", partial(bench.losses, sizes[-1], options.loss_steps)))
        if options.device == "cpu":  # the experiment for pairs of one's own runs there
            plan.append(("own_pairs", partial(bench.own_pairs, sizes[len(sizes) // 2], options.clips, folder)))
    plan.append(("parts", partial(bench.parts, sizes[0], folder)))
    return [(part, row) for part, row in plan if part in options.only]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tools.bench", description=__doc__)
    parser.add_argument(
        "--shape", choices=SHAPES, default="small", help="of the random Qwen2.5-VL: small has 4 layers, deep and 7b 28"
    )
    parser.add_argument("--tokens", type=int, nargs="+", default=[64, 256, 1024], help="visual tokens of a clip")
    parser.add_argument("--checkpointing", choices=["on", "off"], nargs="+", default=["on", "off"])
    parser.add_argument(
        "--peers", choices=["video", "images"], nargs="*", default=["video", "images"], help="TRL's ways"
    )
    parser.add_argument("--turns", choices=["batched", "single"], nargs="*", default=["batched", "single"])
    parser.add_argument(
        "--texts", type=_texts, nargs="+", default=[(24, 24), (60, 100)], help="prompt/response tokens, skilled_step"
    )
    parser.add_argument("--questions", type=int, nargs="+", default=[QUESTIONS], help="about a clip, skilled_*")
    parser.add_argument("--naive", action="store_true", help="skilled_step: time TRL's video way without skill, too")
    parser.add_argument("--only", choices=PARTS, nargs="+", default=PARTS, help="parts of the benchmark")
    parser.add_argument("--repeats", type=int, default=2, help="timed steps of a block, after one that isn't")
    parser.add_argument("--loss-steps", type=int, default=10, help="optimizer steps whose losses are compared")
    parser.add_argument("--clips", type=int, default=8, help="clips of the file of pairs, each with five pairs")
    parser.add_argument("--budget", type=float, default=float("inf"), help="seconds after which no row is begun")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--update", action="store_true", help="keep the rows of --out that are not measured anew")
    parser.add_argument("--out", type=Path, default=Path("tools/bench/results.json"))
    options = parser.parse_args()
    if options.update and set(options.only) - OF_ANY_SHAPE:
        workload = json.loads(options.out.read_text())["workload"]
        if workload["shape"] != asdict(SHAPES[options.shape]):
            parts = " and ".join(sorted(OF_ANY_SHAPE))
            parser.error(f"{options.out} is about another shape: with --update only {parts} can be added to it")
    return options


def _texts(given: str) -> tuple[int, int]:
    """ "60/100": tokens of a prompt and of a response."""
    prompt, response = map(int, given.split("/"))
    return prompt, response


def _workload(options: argparse.Namespace) -> dict[str, Any]:
    turns = [asdict(turn) for turn in chain.TURNS]
    return {
        "shape": asdict(SHAPES[options.shape]),
        "questions": QUESTIONS,
        "prompt": PROMPT,
        "response": RESPONSE,
        "repeats": options.repeats,
        "turns": turns,
    }


def _machine(options: argparse.Namespace) -> dict[str, Any]:
    packages = ("torch", "transformers", "peft", *(("trl",) if options.peers else ()))
    return {
        "date": time.strftime("%Y-%m-%d"),
        "device": torch.cuda.get_device_name() if options.device == "cuda" else _processor(),
        "threads": torch.get_num_threads(),
        **{name: version(name) for name in packages},
    }


def _processor() -> str:
    """The model's name where Linux tells it."""
    told = Path("/proc/cpuinfo")
    lines = told.read_text().splitlines() if told.is_file() else []
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def put(results: dict[str, Any], part: str, row: dict[str, Any]) -> None:
    """Add a row to its part. The one that was measured with the same settings makes room."""
    results[part] = [old for old in results.get(part, []) if _settings(old) != _settings(row)] + [row]


def _settings(row: dict[str, Any]) -> list[Any]:
    """What tells a row from the others of its part."""
    names = ("shape", "visual_tokens", "checkpointing", "prompt_tokens", "response_tokens", "questions", "dtype")
    return [row.get(name) for name in names]


def _print(part: str, row: dict[str, Any]) -> None:
    told = {name: value for name, value in row.items() if not (isinstance(value, list) and len(value) > 2)}
    print(f"{part}:  " + "  ".join(f"{name} {value}" for name, value in told.items()), flush=True)


def _quiet() -> None:
    os.environ["TQDM_DISABLE"] = "1"  # TRL asks for no other switch
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    logging.getLogger("trl").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore")


if __name__ == "__main__":
    main()
