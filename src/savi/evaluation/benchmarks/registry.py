"""The benchmarks by name."""

from __future__ import annotations

from savi.evaluation.benchmarks.egoschema import EGOSCHEMA
from savi.evaluation.benchmarks.items import Benchmark
from savi.evaluation.benchmarks.longvideobench import LONGVIDEOBENCH
from savi.evaluation.benchmarks.mlvu import MLVU
from savi.evaluation.benchmarks.mvbench import MVBENCH
from savi.evaluation.benchmarks.nextqa import NEXTQA
from savi.evaluation.benchmarks.perceptiontest import PERCEPTIONTEST
from savi.evaluation.benchmarks.tempcompass import TEMPCOMPASS
from savi.evaluation.benchmarks.videomme import VIDEOMME
from savi.evaluation.benchmarks.world import WORLD

BENCHMARKS: dict[str, Benchmark] = {
    benchmark.name: benchmark
    for benchmark in (WORLD, TEMPCOMPASS, PERCEPTIONTEST, NEXTQA, MVBENCH, EGOSCHEMA, LONGVIDEOBENCH, VIDEOMME, MLVU)
}
"""The rendered world, the six of the paper's table in its order, and two of long videos."""
