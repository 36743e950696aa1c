"""`python -m tools.bench.page`: the tables of docs/speed.md from tools/bench/results.json, and its picture."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import matplotlib as mpl
import torch

from savi.models.tree import TokenizedRequest, build_tree, pack_trees

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "speed.md"
PICTURE = ROOT / "docs" / "speed.png"

Row = dict[str, Any]


def fill(page: str, results: Row) -> str:
    """Put the tables between their marks, <!-- step --> and <!-- /step -->, say."""
    for name, table in TABLES.items():
        opening, closing = f"<!-- {name} -->\n", f"<!-- /{name} -->"
        start, end = page.index(opening) + len(opening), page.index(closing)
        page = page[:start] + table(results) + page[end:]
    return page


def _markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---:" for _ in header], *rows]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def _ratio(row: Row, name: str) -> str:
    low, high = row[f"ratio_{name}_spread"]
    return f"{row[f'ratio_{name}']:.1f} ({low:.1f} to {high:.1f})"


def _step(results: Row) -> str:
    header = ["visual tokens", "check&shy;pointing", "TRL, video, all counted", "TRL, video", "TRL, images"]
    header += ["pairs/s", "memory, MiB", "of TRL's", "FLOP share"]
    rows = [
        [
            str(row["visual_tokens"]),
            "on" if row["checkpointing"] else "off",
            f"**{row['ratio_trl_video_all']:.1f}**",
            _ratio(row, "trl_video"),
            _ratio(row, "trl_images"),
            f"{row['pairs_per_s']:.2f}",
            f"{row['memory_mib']:.0f}",
            f"{row['memory_ratio']:.2f}",
            f"{row['flop_share']:.0%}",
        ]
        for row in sorted(results["step"], key=lambda row: (row["visual_tokens"], not row["checkpointing"]))
    ]
    return _markdown(header, rows)


def _skilled_step(results: Row) -> str:
    header = ["layers x width", "visual tokens", "texts", "questions", "clips timed", "savi, s", "skilled TRL, s"]
    header += ["skilled TRL / savi", "TRL without skill / savi"]
    rows = [
        [
            _decoder(row),
            str(row["visual_tokens"]),
            f"{row['prompt_tokens']} / {row['response_tokens']}",
            str(row["questions"]),
            str(row["clips"]),
            f"{row['savi_s']:.2f}",
            f"{row['skilled_trl_s']:.1f}",
            f"**{_ratio(row, 'skilled_trl').replace(' ', '** ', 1)}",
            _ratio(row, "naive_trl") if "ratio_naive_trl" in row else "",
        ]
        for row in _largest_first(results.get("skilled_step", []))
    ]
    return _markdown(header, rows)


def _skilled_chain(results: Row) -> str:
    header = ["layers x width", "visual tokens", "questions", "runs timed", "savi, s", "cached `generate`, s"]
    header += ["cached `generate` / savi", "identical replies"]
    rows = []
    for row in _largest_first(results.get("skilled_chain", [])):
        low, high = row["ratio_cached_generate_spread"]
        spread = f" ({low:.2f} to {high:.2f})" if row["readings"] > 1 else ""
        rows.append(
            [
                _decoder(row),
                str(row["visual_tokens"]),
                str(row["questions"]),
                str(row["readings"]),
                f"{row['savi_s']:.2f}",
                f"{row['cached_generate_s']:.2f}",
                f"**{row['ratio_cached_generate']:.2f}**{spread}",
                row["identical_replies"],
            ]
        )
    return _markdown(header, rows)


def _decoder(row: Row) -> str:
    return f"{row['layers']} x {row['width']}"


def _largest_first(rows: Sequence[Row]) -> list[Row]:
    texts = ("visual_tokens", "prompt_tokens", "response_tokens", "questions")
    return sorted(rows, key=lambda row: [-row["layers"], -row["width"], *(row.get(name, 0) for name in texts)])


def _chain(results: Row) -> str:
    header = ["visual tokens", "clips/s", "a call per turn", "a call per question and turn", "identical replies"]
    rows = [
        [
            str(row["visual_tokens"]),
            f"{row['clips_per_s']:.3f}",
            _ratio(row, "batched_turns"),
            _ratio(row, "single_turns"),
            f"{row['identical_replies_batched']}, {row['identical_replies_single']}",
        ]
        for row in sorted(results["chain"], key=lambda row: row["visual_tokens"])
    ]
    return _markdown(header, rows)


def _kernels(results: Row) -> str:
    header = ["precision", "bare model", "savi, greedy", "of the bare model's", "savi, sampled", "of the bare model's"]
    rows = [
        [
            row["dtype"],
            f"{row['bare']:,}",
            f"{row['greedy']:,.0f}",
            f"**{row['ratio_greedy']:.2f}**",
            f"{row['sampled']:,.0f}",
            f"**{row['ratio_sampled']:.2f}**",
        ]
        for row in results.get("kernels", [])
    ]
    return _markdown(header, rows)


def _parts(results: Row) -> str:
    (row,) = results["parts"]
    parts = ("decode", "vision", "chain", "reference", "step")
    return _markdown(parts, [[f"{row[part]:.2f} s" for part in parts]])


def _states(results: Row) -> str:
    header = ["visual tokens", "check&shy;pointing", "plain way", "rows alone", "seconds", "memory, MiB", "of plain's"]
    rows = [
        [
            str(row["visual_tokens"]),
            "on" if row["checkpointing"] else "off",
            f"**{row['ratio_plain']:.1f}**",
            _ratio(row, "rows"),
            f"{row['state_s']:.2f}",
            f"{row['state_mib']:.0f}",
            f"{row['memory_ratio']:.2f}",
        ]
        for row in results.get("states", [])  # some runs leave them out
    ]
    return _markdown(header, rows)


def _machine(results: Row) -> str:
    told = results["machine"]
    packages = ", ".join(f"{name} {told[name]}" for name in ("torch", "transformers", "peft", "trl") if name in told)
    (losses,) = results["losses"]
    return (
        f"{told['date']}, {told['device']}, {told['threads']} thread; {packages}.\nThe losses of the two over "
        f"{losses['steps']} optimizer steps are at most {losses['largest_difference']:.1e} apart.\n"
    )


def _longer(results: Row) -> str:
    (row,) = results["longer"]
    low, high = row["ratio_trl_video_spread"]
    return (
        f"**Longer texts share less.** At {row['visual_tokens']} visual tokens, checkpointing on, with responses of "
        f"{row['response_tokens']} tokens the ratio\nto TRL's video way is **{row['ratio_trl_video_all']:.1f}** with "
        f"all passes counted, and {row['ratio_trl_video']:.1f} ({low:.1f} to {high:.1f}) without.\n"
    )


def _judge(results: Row) -> str:
    header = ["visual tokens", "chain, s", "judge, s", "share of the chain"]
    rows = [
        [str(row["visual_tokens"]), f"{row['chain_s']:.1f}", f"{row['judge_s']:.2f}", _share(row)]
        for row in sorted(results.get("judge", []), key=lambda row: row["visual_tokens"])
    ]
    return _markdown(header, rows)


def _share(row: Row) -> str:
    low, high = row["judge_share_spread"]
    return f"**{row['judge_share']:.2f}** ({low:.2f} to {high:.2f}, {row['readings']} readings)"


def _own_pairs(results: Row) -> str:
    (row,) = results["own_pairs"]
    return (
        f"{row['date']}, {row['visual_tokens']} visual tokens, checkpointing on, {row['pairs']} pairs about "
        f"{row['clips']} clips, each side once: savi learns\n{row['pairs_per_s']:.2f} pairs/s and TRL "
        f"{row['trl_pairs_per_s']:.2f}, a ratio of **{row['ratio']:.1f}**. The losses of the {row['steps']} steps are "
        f"at most\n{row['largest_difference']:.1e} apart.\n"
    )


TABLES: dict[str, Callable[[Row], str]] = {
    "machine": _machine,
    "skilled_step": _skilled_step,
    "step": _step,
    "longer": _longer,
    "own_pairs": _own_pairs,
    "states": _states,
    "skilled_chain": _skilled_chain,
    "chain": _chain,
    "kernels": _kernels,
    "judge": _judge,
    "parts": _parts,
}


def draw() -> None:
    """A clip with two questions of two responses each: who sees whom, and which of the two kernels computes it."""
    mpl.use("Agg")
    from matplotlib import pyplot as plt

    prefix, prompt, response = 30, 6, (0,) * 5
    questions = [TokenizedRequest((0,) * prompt, (response, response))] * 2
    tree = build_tree(questions)
    branches = pack_trees([tree], [prefix], prefix).mask[0, 0].int() * 2
    causal = torch.cat([torch.ones(prefix, prefix).tril(), torch.zeros(prefix, len(tree))], dim=1)
    figure, axes = plt.subplots(figsize=(7, 6.2), layout="constrained")
    colors = mpl.colors.ListedColormap(["#f4f4f2", "#4c72b0", "#dd8452"])
    axes.imshow(torch.cat([causal, branches]), cmap=colors, interpolation="nearest")
    edges, names = [0, prefix], ["the clip"]
    for number in (1, 2):
        for name, length in (("question", prompt), ("chosen", len(response) - 1), ("rejected", len(response) - 1)):
            edges.append(edges[-1] + length)
            names.append(f"{name} {number}")
    middles = [(a + b) / 2 - 0.5 for a, b in pairwise(edges)]
    axes.set_xticks(middles, names, rotation=60, ha="right")
    axes.set_yticks(middles, names)
    axes.tick_params(length=0)
    for edge in edges[1:-1]:
        axes.axhline(edge - 0.5, color="white", linewidth=0.8)
        axes.axvline(edge - 0.5, color="white", linewidth=0.8)
    axes.set_ylabel("a token …")
    axes.set_xlabel("… and what it sees")
    axes.text(prefix * 0.55, prefix * 0.2, "causal kernel,\nno mask, once a clip", color="#4c72b0", ha="center")
    axes.text(prefix + len(tree) * 0.5, prefix * 0.75, "masked kernel,\nbranches only", color="#c06a3d", ha="center")
    for spine in axes.spines.values():
        spine.set_visible(False)
    figure.savefig(PICTURE, dpi=130)


def main() -> None:
    results = json.loads((ROOT / "tools" / "bench" / "results.json").read_text())
    PAGE.write_text(fill(PAGE.read_text(), results))
    draw()


if __name__ == "__main__":
    main()
