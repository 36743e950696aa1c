"""Work that several processes share without waiting for each other: the first one gets the results in their order."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from typing import Any, TypeVar

from torch import distributed
from torch.distributed.distributed_c10d import PrefixStore, Store, _get_default_store

from savi.distributed.collectives import all_gather, own_shard
from savi.distributed.failures import are_several

P = TypeVar("P")
T = TypeVar("T")

PAUSE = 0.05
"""Seconds between two looks at what the other processes have done."""

FAILED, MERGED = "failed", "merged"
"""Told to all: work has failed in one process; the first process has all results."""

_calls = count()


def results_in_order(pieces: Sequence[P], work: Callable[[P], T], stage: str) -> Iterator[T]:
    """The results of all pieces of work in their order, in the first process; none in the others.

    All have to call it and to exhaust it. Each does its share, as `own_shard` cuts it, and meets the others at the end
    alone. The first process gives each result as soon as those before it are there. work: its results are handed over
    as JSON. stage: where the wait at the end is counted. An error in any process ends all, as with `all_gather`.
    """
    if not are_several():
        yield from map(work, pieces)
        return
    store = PrefixStore(f"savi {next(_calls)}", _get_default_store())
    own = ((number, work(pieces[number])) for number in own_shard(range(len(pieces))))
    failures: list[Exception] = []
    try:
        if distributed.get_rank() == 0:
            yield from _merge(store, len(pieces), own)
        else:
            _hand_over(store, own)
    except Exception as error:
        failures.append(error)
        store.set(FAILED, "")

    def end() -> None:
        if failures:
            raise failures[0]

    all_gather(end, stage)


def _merge(store: Store, pieces: int, own: Iterator[tuple[int, T]]) -> Iterator[T]:
    """All results in order; fewer where another process has failed. own: those of this process, by number."""
    made: dict[str, T] = {}
    following = 0
    while following < pieces and not store.check([FAILED]):
        if (done := next(own, None)) is not None:
            made[str(done[0])] = done[1]
        elif not store.check([str(following)]):
            time.sleep(PAUSE)
        while (name := str(following)) in made or store.check([name]):
            yield made.pop(name) if name in made else _take(store, name)
            following += 1
    store.set(MERGED, "")


def _take(store: Store, name: str) -> Any:
    result = json.loads(store.get(name))
    store.delete_key(name)
    return result


def _hand_over(store: Store, own: Iterator[tuple[int, object]]) -> None:
    """Leave each result for the first process, and wait until it has all: torch's meetings give up on long waits."""
    for number, result in own:
        store.set(str(number), json.dumps(result))
        if store.check([FAILED]):
            return
    while not store.check([MERGED]) and not store.check([FAILED]):
        time.sleep(PAUSE)
