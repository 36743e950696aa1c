"""The benchmark at toy size: its two sides do the same work, and it says what it is asked to say. No time is tested."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tools.bench import __main__ as bench
from tools.bench import growth, kernels, operations, refill, states, step
from tools.bench.page import TABLES, fill
from tools.bench.workload import SHAPES, build, clip, load, questions

ROOT = Path(__file__).parents[3]
RESULTS = ROOT / "tools" / "bench" / "results.json"
SLOW = pytest.mark.slow  # tests/models compare the chain and the writing with generate, too


def measured(out: Path, *parts: str) -> dict[str, Any]:
    """Parts of the benchmark, in a process of its own."""
    options = ["--shape", "toy", "--tokens", "16", "--checkpointing", "on", "--repeats", "1", "--device", "cpu"]
    options += ["--clips", "4", "--questions", "3", "--texts", "20/30", "--only", *parts]
    command = [sys.executable, "-m", "tools.bench", *options, "--out", str(out)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr
    results: dict[str, Any] = json.loads(out.read_text())
    return results


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The parts in which both sides must have equal losses."""
    out = tmp_path_factory.mktemp("bench") / "results.json"
    return measured(out, "losses", "own_pairs", "skilled_step")


@pytest.fixture(scope="module")
def all_results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """All parts but states, which have a test of their own."""
    out = tmp_path_factory.mktemp("bench") / "all.json"
    return measured(out, *(part for part in bench.PARTS if part not in ("states", "kernels")))


def test_ten_steps_of_trl_and_of_savi_have_equal_losses(results: dict[str, Any]) -> None:
    """An oracle of whole steps: collation, scores, loss, gradients and optimizer, with checkpointing on."""
    (row,) = results["losses"]
    assert len(row["savi"]) == len(row["trl"]) == 10
    assert row["savi"] == pytest.approx(row["trl"], abs=1e-5)
    assert max(row["savi"]) - min(row["savi"]) > 0.05, "the steps must move the loss, or anything would be equal"


def test_pairs_from_a_file_have_the_losses_of_trl_on_the_same_file(results: dict[str, Any]) -> None:
    """The whole of `savi fit`: reading, packing clip by clip, the kept reference, steps. TRL reads a clip per pair."""
    (row,) = results["own_pairs"]
    assert (row["clips"], row["pairs"], len(row["savi"])) == (4, 20, 2)
    assert row["savi"] == pytest.approx(row["trl"], abs=1e-5)
    assert row["savi"][0] == pytest.approx(math.log(2), abs=1e-5)
    assert abs(row["savi"][1] - row["savi"][0]) > 1e-3, "the step must move the loss, or anything would be equal"
    assert row["ratio"] > 0


@SLOW
def test_the_chain_writes_what_generate_writes(all_results: dict[str, Any]) -> None:
    (row,) = all_results["chain"]
    assert row["identical_replies_batched"] == row["identical_replies_single"] == "40 of 40"


@SLOW
def test_recorded_steps_write_what_others_write(all_results: dict[str, Any]) -> None:
    (row,) = all_results["writing"]
    assert row["identical_replies_float32"] == row["identical_replies_nf4"] == "40 of 40"
    assert row["ratio_nf4"] == pytest.approx(row["float32_s"] / row["nf4_s"], abs=1e-3)


def test_a_skilled_user_of_trl_gets_the_losses_of_savi(results: dict[str, Any]) -> None:
    """With kept features and reference scores."""
    (row,) = results["skilled_step"]
    assert (row["visual_tokens"], row["prompt_tokens"], row["response_tokens"], row["questions"]) == (16, 20, 30, 3)
    assert (row["shape"], row["layers"], row["width"]) == ("toy", 2, 64)
    assert row["largest_difference"] < 1e-5


@SLOW
def test_a_skilled_user_of_generate_gets_the_replies_of_savi(all_results: dict[str, Any]) -> None:
    """From copied caches of several clips, with replies of unlike lengths."""
    (row,) = all_results["skilled_chain"]
    assert row["identical_replies"] == "80 of 80"
    assert row["reply_tokens"][0] < 30 < 60 < row["reply_tokens"][2]


@SLOW
def test_every_figure_is_there(all_results: dict[str, Any]) -> None:
    (row,) = all_results["step"]
    assert {"visual_tokens", "checkpointing", "pairs_per_s", "memory_ratio", "flop_share"} <= row.keys()
    assert {"ratio_trl_video", "ratio_trl_images"} <= row.keys()
    assert {"visual_tokens", "ratio_batched_turns", "ratio_single_turns"} <= all_results["chain"][0].keys()
    assert {"decode", "vision", "chain", "reference", "step"} <= all_results["parts"][0].keys()
    assert 0 < row["flop_share"] < 1


def test_operations_by_hand(tmp_path: Path) -> None:
    shape = SHAPES["toy"]
    lm = load(shape, build(shape, tmp_path / "model", "cpu"), 16, checkpointing=False, device="cpu")
    noise, frames = clip(16)
    asked = questions(0)[:1]
    with torch.no_grad():
        prefix = len(lm.encode([noise], [frames]).read.prefixes[0])
    prompt = len(lm.chat.prompt_ids(asked[0].prompt, lm.encode([noise], [None]).read.prefixes[0]))
    read = 24  # of 24 letters and the end token, all but the last
    branches = prompt + 2 * read
    weights = 2 * (64 * 64 * 2 + 2 * 64 * 32 + 3 * 64 * 128)
    seen = sum(range(1, prefix + 1)) + branches * prefix + sum(range(1, prompt + 1))
    seen += 2 * sum(prompt + i for i in range(1, read + 1))
    by_hand = 2 * weights * (prefix + branches) + 4 * 2 * 64 * seen + 2 * 64 * 512 * 2 * (read + 1)
    assert step.operations(lm, shape, noise, frames, asked) == by_hand


def test_the_page_takes_its_tables_from_the_results() -> None:
    results = json.loads(RESULTS.read_text())
    marks = "".join(f"<!-- {name} -->\nold\n<!-- /{name} -->\n" for name in TABLES)
    filled = fill(f"before\n{marks}after\n", results)
    assert "old" not in filled
    step_row = results["step"][0]
    assert f"| {step_row['visual_tokens']} | on | **{step_row['ratio_trl_video_all']:.1f}** |" in filled
    assert f"**{results['judge'][0]['judge_share']:.2f}**" in filled
    assert filled.startswith("before\n")
    assert filled.endswith("after\n")


def test_rows_of_another_shape_come_next_to_those_that_are_there(results: dict[str, Any]) -> None:
    (row,) = results["skilled_step"]
    bench.put(two := {}, "skilled_step", row)
    bench.put(two, "skilled_step", {**row, "shape": "deep", "layers": 28, "savi_s": 7.0})
    bench.put(two, "skilled_step", {**row, "shape": "deep", "layers": 28, "savi_s": 8.0})
    marks = "".join(f"<!-- {name} -->\n<!-- /{name} -->\n" for name in TABLES)
    filled = fill(marks, {**json.loads(RESULTS.read_text()), **two})
    deep, toy = [line for line in filled.splitlines() if "| 16 | 20 / 30 | 3 |" in line]
    assert deep.startswith("| 28 x 64 | 16 | 20 / 30 | 3 | 1 | 8.00 |")
    assert toy.startswith("| 2 x 64 | 16 |")


def test_parts_whose_rows_do_not_name_their_shape_are_not_added_to_a_file_about_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "results.json"
    out.write_text(json.dumps({"workload": {"shape": asdict(SHAPES["small"])}}))
    command = ["bench", "--update", "--shape", "deep", "--only", "step", "skilled_step", "--out", str(out)]
    monkeypatch.setattr(sys, "argv", command)
    with pytest.raises(SystemExit, match="2"):
        bench.main()
    assert "with --update only skilled_chain and skilled_step" in capsys.readouterr().err


def test_the_deep_model_has_the_layers_of_the_7b_model_and_the_share_of_attention_of_the_small_one() -> None:
    weights = 64 * (2 * 64 + 2 * 32 + 3 * 128)
    assert SHAPES["toy"].attention_share(16) == (4 * 64 * 16 / 2) / (2 * weights)
    assert SHAPES["deep"].layers == SHAPES["7b"].layers == 28
    deep, small, large = (SHAPES[name].attention_share(1024) for name in ("deep", "small", "7b"))
    assert deep == pytest.approx(small, rel=0.1)
    assert large < 0.1 * small


def test_counted_operations_by_hand_and_what_the_last_layer_spares() -> None:
    """One layer, no vision tower, a model of one head: TRL's rows, and savi's row whose only layer is the last."""
    shape = replace(SHAPES["toy"], layers=1, heads=1, key_value_heads=1, vision_layers=0)
    visual, prompt, scored = 100, 5 + 15, 2 * 8
    weights, adapter, down = 64 * (4 * 64 + 3 * 128), 16 * (8 * 64 + 3 * (64 + 128)), 64 * 128
    head, pair, row = 4 * 2 * 64 * 512 * scored, 5.5 * 4 * 64, visual + prompt + 8
    trl = head + 2 * (2 * row * (4 * weights + 6 * adapter) + pair * row**2)
    tokens, kept = visual + prompt + scored, 2 * (4 * 2 * 64 * 64 + 6 * 16 * 2 * 128)
    scored_alone = scored * (2 * (4 * weights - down + 6 * adapter) - kept) + pair * scored * tokens
    assert operations.ratio(shape, visual, 5, 7, 1) == pytest.approx(trl / (head + kept * tokens + scored_alone))
    bare = replace(SHAPES["7b"], vocabulary=0, vision_layers=0)
    four, many = (operations.ratio(replace(bare, layers=layers), 1024, 60, 100) for layers in (4, 28))
    assert 1.05 * many < four < 4 / 3 * many


@SLOW
def test_a_step_through_states_has_the_loss_of_a_step_in_rows(tmp_path: Path) -> None:
    folder = states.build(tmp_path / "qwen3_5")
    noise, frames = states.frames_of(64)
    asked, nothing = questions(0)[:2], torch.zeros(2, 2)
    losses = []
    for way in ("state", "plain"):
        lm = states.load(folder, way, 64, checkpointing=True, device="cpu")
        assert lm.way.name == way
        optimizer = step.adamw(lm, states.LR)
        losses.append([step.take(lm, optimizer, step.batch(noise, frames, asked, nothing)) for _ in range(2)])
    assert losses[0] == pytest.approx(losses[1], abs=1e-4)
    assert losses[0][0] != losses[0][1]


def test_a_decoded_step_launches_little_more_than_the_bare_model(tmp_path: Path) -> None:
    """With its adapter, its tree and the drawing of tokens, for which there are 11 operations at the head, not more."""
    row = kernels.measure("bfloat16", tmp_path / "model")
    assert 1000 < row["bare"] < row["greedy"] < row["sampled"] < 1.1 * row["bare"]


def test_growth_takes_a_round_through_all_of_its_parts(tmp_path: Path) -> None:
    *seconds, peak = growth.measure(32, tmp_path)
    assert len(seconds) == 4
    assert peak >= 0
    assert len((tmp_path / "pairs" / "round_00.jsonl").read_text().splitlines()) == 32 * growth.QUESTIONS


def test_passes_of_clips_together_and_apart_by_hand() -> None:
    """Two clips at once of three, two turns each. Apart, the prompts of a turn are a pass of their own."""
    lengths = [[3, 2], [2, 4], [2, 2]]
    assert refill.passes_together(lengths, 2) == (3 + 4) + (2 + 2)
    # 1 prompts, 1 tokens, 1 clip 2's next prompts, 1 tokens (clip 1 ends its turn), 1 clip 1's next prompts, 1 tokens
    # (clip 1 ends), 1 clip 3's prompts, 1 tokens (clips 2 and 3 end their turns), 1 prompts, 1 tokens
    assert refill.passes_apart(lengths, 2) == 10
    # The same without clip 3: 7 passes, as clip 2 takes a pass of tokens more at its end; then 4 of clip 3 alone.
    assert refill.passes_in_batches(lengths, 2) == 7 + 4
