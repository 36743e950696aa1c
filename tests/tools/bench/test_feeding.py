"""A model that is fed by the scheduler of a round, in made-up time."""

from __future__ import annotations

import pytest

from tools.bench.feeding import CLIPS, WORKERS, efficiency, round_of, seconds

IN_MODEL = 10.0
BATCHES = 20


def test_decoding_that_takes_as_long_as_the_model_overlaps_with_it() -> None:
    """Two workers take as long for the eight clips of a batch as the model does. Only the first batch is waited for."""
    batches = [(IN_MODEL, [2.5] * 8)] * BATCHES
    assert BATCHES * IN_MODEL / seconds(batches) > 0.9
    assert BATCHES * IN_MODEL / seconds(batches, ahead=WORKERS) < 0.6, "a clip per worker was ahead before"


def test_a_slow_file_hides_behind_the_batch_before() -> None:
    batches = [(IN_MODEL, [1.0] * 8)] * BATCHES
    batches[10] = (IN_MODEL, [1.0, 9.0, *[1.0] * 6])
    assert seconds(batches) < BATCHES * IN_MODEL + 8 / WORKERS + 1


@pytest.mark.parametrize(("processes", "least"), [(64, 0.88), (512, 0.8)])
def test_many_processes_are_at_work_nearly_all_the_time(processes: int, least: float) -> None:
    assert efficiency(round_of(CLIPS), processes) >= least
