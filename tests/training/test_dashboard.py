"""The figures that runs are sorted by, for runs that measured little, and the share of malformed replies."""

from __future__ import annotations

import pytest

from savi.record.dashboards import OWN_CLIPS
from savi.training.dashboard import malformed, summary_of
from tests.report.made_up_runs import make_results, without_benchmark


def test_a_run_is_sorted_by_its_best_and_last_accuracy_its_gain_its_pairs_and_malformed_replies() -> None:
    rounds = make_results(3)["rounds"]
    rounds[2]["benchmarks"]["world"]["accuracy"] = 0.9
    last = rounds[3]["benchmarks"]["world"]
    gain = last["accuracy"] - rounds[0]["benchmarks"]["world"]["accuracy"]
    assert summary_of(rounds) == pytest.approx(
        {
            "run/pairs": sum(entry["pairs"] for entry in rounds),
            "run/best_accuracy": 0.9,
            "run/last_accuracy": last["accuracy"],
            "run/gain": gain,
            "run/malformed": last["malformed"],
        }
    )


def test_a_run_without_a_benchmark_is_sorted_by_its_pairs_and_its_held_out_clips() -> None:
    rounds = without_benchmark(make_results(1))["rounds"]
    assert summary_of(rounds) == {"run/pairs": 599.0}
    rounds[-1]["held_out"] = {"malformed": {"mean": 0.4, "of": 10}}
    assert summary_of(rounds) == {"run/pairs": 599.0, "run/malformed": 0.4}
    assert malformed(rounds[-1]) == {OWN_CLIPS: 0.4}
