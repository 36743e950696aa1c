"""A run's row with the paper's rows, for a page and for a paper."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from savi.evaluation.benchmarks.items import Benchmark
from savi.evaluation.benchmarks.registry import BENCHMARKS
from savi.evaluation.measured import Summary
from savi.files import write_text

PAPER = ("InternVL2.5-8B (VideoSAVi's base, as published)", "VideoSAVi (as published)")
PLUS_MINUS = "\N{PLUS-MINUS SIGN}"


def write_tables(folder: Path, run: str, summaries: Mapping[str, Summary]) -> None:
    """benchmarks.md and benchmarks.tex: the paper's two rows and the run's, one column per benchmark, in percent.

    The run's figures have half of the 95 % interval behind them. The paper's are left out where they don't compare, and
    where the paper has none.
    """
    write_text(folder / "benchmarks.md", markdown(run, summaries))
    write_text(folder / "benchmarks.tex", latex(run, summaries))


def markdown(run: str, summaries: Mapping[str, Summary]) -> str:
    rows = _rows(run, summaries)
    lines = [f"| {' | '.join(row)} |" for row in rows]
    lines.insert(1, f"|---|{'---:|' * (len(rows[0]) - 1)}")
    notes = [f"- {title}: {note}" for title, note in _notes(summaries)]
    return "\n".join([*lines, "", *notes]) + "\n"


def latex(run: str, summaries: Mapping[str, Summary]) -> str:
    """Rows of a booktabs table; the notes are comments."""
    head, *rows = [" & ".join(map(_escaped, row)) + r" \\" for row in _rows(run, summaries)]
    notes = [f"% {title}: {note}" for title, note in _notes(summaries)]
    return "\n".join([head, r"\midrule", *rows, *notes]) + "\n"


def _rows(run: str, summaries: Mapping[str, Summary]) -> list[list[str]]:
    known = {name: benchmark for name, benchmark in BENCHMARKS.items() if name in summaries}
    rows = [["", *(benchmark.title for benchmark in known.values())]]
    if any(benchmark.paper and compares(summaries[name]) for name, benchmark in known.items()):
        rows += [
            [PAPER[i], *(_paper(benchmark, summaries[name], i) for name, benchmark in known.items())] for i in (0, 1)
        ]
    return [*rows, [run, *(_cell(summaries[name]) for name in known)]]


def compares(summary: Summary) -> bool:
    """Whether a figure may be set next to the paper's: not the likelihood of options, and not of a miniature."""
    return summary.get("scorer", "reply") == "reply" and not summary.get("miniature", False)


def _paper(benchmark: Benchmark, summary: Summary, row: int) -> str:
    return f"{benchmark.paper[row]:.1f}" if benchmark.paper and compares(summary) else "-"


def _cell(summary: Summary) -> str:
    if summary["accuracy"] is None:
        return "-"
    low, high = summary["interval"] or (None, None)
    half = "" if low is None else f" {PLUS_MINUS} {50 * (high - low):.1f}"
    return f"{100 * summary['accuracy']:.1f}{half}"


def _notes(summaries: Mapping[str, Summary]) -> Sequence[tuple[str, str]]:
    """The note on each figure: the number of questions, the scorer, and the replies that were not read."""
    return [(BENCHMARKS[name].title, note(summary)) for name, summary in summaries.items()]


def note(summary: Summary) -> str:
    """One line on how a figure came about."""
    parts = [f"{summary['counted']} questions"]
    if summary["scorer"] == "likelihood":
        parts.append("likelihood of the options")
    else:
        where = "counted as wrong" if summary["strict"] else "drawn at random or left without a judge"
        read = f"nothing read in {summary['unread']} of {summary['items']} replies"
        parts.append(f"{read}, {summary['fallbacks']} of these {where}" if summary["fallbacks"] else read)
    others = {
        "left_out": "empty replies left out",
        "undecodable": "questions on videos that could not be decoded, counted as wrong",
        "unanswered": "questions not asked",
        "missing": "questions left out for want of their video",
        "unlabelled": "without a public answer",
    }
    return "; ".join([*parts, *(f"{summary[name]} {text}" for name, text in others.items() if summary[name])])


def _escaped(text: str) -> str:
    return text.replace("%", r"\%").replace("_", r"\_").replace("&", r"\&").replace(PLUS_MINUS, r"$\pm$")
