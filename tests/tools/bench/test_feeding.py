"""A model that is fed by the scheduler of a round, in made-up time."""

from __future__ import annotations

from tools.bench.feeding import WORKERS, seconds

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
