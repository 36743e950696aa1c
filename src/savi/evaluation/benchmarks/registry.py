"""The benchmarks by name."""

from __future__ import annotations

from savi.evaluation.benchmarks.egoschema import EGOSCHEMA
from savi.evaluation.benchmarks.items import Benchmark
from savi.evaluation.benchmarks.longvideobench import LONGVIDEOBENCH
from savi.evaluation.benchmarks.mvbench import MVBENCH
from savi.evaluation.benchmarks.nextqa import NEXTQA
from savi.evaluation.benchmarks.perceptiontest import PERCEPTIONTEST
from savi.evaluation.benchmarks.tempcompass import TEMPCOMPASS

BENCHMARKS: dict[str, Benchmark] = {
    benchmark.name: benchmark for benchmark in (TEMPCOMPASS, PERCEPTIONTEST, NEXTQA, MVBENCH, EGOSCHEMA, LONGVIDEOBENCH)
}
"""In the order of the paper's table."""


def title_of(name: str) -> str:
    """A benchmark's name for people."""
    return BENCHMARKS[name].title if name in BENCHMARKS else "Rendered world"


def paper_of(name: str) -> tuple[float, float] | None:
    """The paper's two figures for a benchmark, where it has them."""
    return BENCHMARKS[name].paper if name in BENCHMARKS else None
