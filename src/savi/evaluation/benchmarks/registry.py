"""The benchmarks by name."""

from __future__ import annotations

from savi.evaluation.benchmarks.egoschema import EGOSCHEMA
from savi.evaluation.benchmarks.items import Benchmark
from savi.evaluation.benchmarks.longvideobench import LONGVIDEOBENCH
from savi.evaluation.benchmarks.mvbench import MVBENCH
from savi.evaluation.benchmarks.nextqa import NEXTQA
from savi.evaluation.benchmarks.perceptiontest import PERCEPTIONTEST
from savi.evaluation.benchmarks.tempcompass import TEMPCOMPASS
from savi.evaluation.benchmarks.world import WORLD

BENCHMARKS: dict[str, Benchmark] = {
    benchmark.name: benchmark
    for benchmark in (WORLD, TEMPCOMPASS, PERCEPTIONTEST, NEXTQA, MVBENCH, EGOSCHEMA, LONGVIDEOBENCH)
}
"""The rendered world, then the six of the paper's table in its order."""
