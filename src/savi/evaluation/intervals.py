"""How far an accuracy may be off, where questions on one video stand or fall together."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence

Z95 = 1.959963984540054


def clustered_error(
    scores: Sequence[float], weights: Sequence[float], strata: Sequence[str], clusters: Sequence[str]
) -> float:
    """Standard error of a weighted sum of scores (Miller 2024, "Adding Error Bars to Evals", section 2.2).

    Each score's distance from the mean of its stratum, times its weight, is summed by cluster; the error is the root
    of the sum of their squares. strata: the parts whose means are averaged; one name for all for a plain mean.
    """
    sums: defaultdict[str, float] = defaultdict(float)
    totals: defaultdict[str, float] = defaultdict(float)
    for score, weight, stratum in zip(scores, weights, strata, strict=True):
        sums[stratum] += score * weight
        totals[stratum] += weight
    by_cluster: defaultdict[str, float] = defaultdict(float)
    for score, weight, stratum, cluster in zip(scores, weights, strata, clusters, strict=True):
        by_cluster[cluster] += weight * (score - sums[stratum] / totals[stratum])
    return math.sqrt(sum(value * value for value in by_cluster.values()))


def clustered_interval(
    scores: Sequence[float], weights: Sequence[float], strata: Sequence[str], clusters: Sequence[str]
) -> list[float] | None:
    """95 %, within 0 and 1; None for a single cluster, which says nothing of others."""
    if len(set(clusters)) < 2:
        return None
    mean = sum(score * weight for score, weight in zip(scores, weights, strict=True))
    half = Z95 * clustered_error(scores, weights, strata, clusters)
    return [max(0.0, mean - half), min(1.0, mean + half)]
