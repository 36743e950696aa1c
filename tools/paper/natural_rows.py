"""What `gather` reads of runs on a base that speaks natural English: truths, the language prior, whole chains."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from savi.critique.filters import FILTERS
from savi.evaluation.benchmarks.items import LETTERS
from savi.types import Clip
from savi.world.natural import NATURAL
from savi.world.oracle import scene_of_clip
from savi.world.questions import WORDINGS, Query, WordingName, queries
from savi.world.scenes import VERSION
from savi.world.sets import questions_of, scene_of
from tools.natural_base.lessons import Prior

PAIR, WRONG_PAIR = "pair", "pair, revision wrong"
SHOWN = {PAIR: 4, WRONG_PAIR: 2}
"""Examples of an outcome, where there is more than one."""

Row = dict[str, Any]


@cache
def answerable(clip: str, video: str, wording: WordingName) -> dict[str, Query]:
    """Every question that a training clip answers, by its text."""
    return {query.text: query for query in queries(scene_of_clip(Clip(clip, Path(video))), WORDINGS[wording])}


def natural_favorite(card: str) -> Callable[[Row], str]:
    """From an item of the benchmark to the option that the base's language prior favors. card: the base's."""
    (seed,) = re.findall(r"teach --seed (\d+)", card)
    scale = re.findall(r"teach --seed \d+ --prior ([\d.]+)", card)
    prior = Prior(int(seed), float(scale[0]) if scale else 1.0)

    def favorite(item: Row) -> str:
        query = _query(item)
        return NATURAL.reply(query, prior.favorite(query)[0])

    return favorite


def agreeing(items: Path, favorite: Callable[[Row], str]) -> dict[str, int]:
    """How many items' language prior is right, and how often the right option was chosen there."""
    rows = [json.loads(line) for line in items.read_text(encoding="utf-8").splitlines()]
    hits = [row["correct"] for row in rows if favorite(row) == row["options"][LETTERS.index(row["answer"])]]
    return {"agreeing": len(hits), "agreeing_right": sum(hits)}


def _query(item: Row) -> Query:
    """The question of an item, by the video that it is about, whose name says the scene."""
    found = re.fullmatch(rf"(\w+)-v{VERSION}-(\d+)/clip_(\d+)\.mp4", item["video"])
    if found is None:
        raise ValueError(f"{item['video']} is no clip of the world's held-out sets")
    split, seed, index = found[1], int(found[2]), int(found[3])
    return next(
        query
        for query in questions_of(split, scene_of(split, seed, index), NATURAL)  # type: ignore[arg-type]  # a set's name
        if query.text == item["question"]
    )


def examples(traces: Path) -> list[Row]:
    """Whole chains of a round, as they come: the first pairs, the first pairs with a wrong revision, and the first
    question of each filter.

    truth: the true answer, "" where the question is none of the world's.
    """
    shown: Counter[str] = Counter()
    found = []
    for line in traces.read_text(encoding="utf-8").splitlines():
        clip = json.loads(line)
        for trace in clip["traces"]:
            query = answerable(clip["clip"], clip["video"], "natural").get(trace["question"])
            turns = {turn["name"]: turn["reply"] for turn in trace["turns"]}
            kinds = [trace["outcome"]]
            if kinds == [PAIR] and query and NATURAL.read(query, turns["revision"]) != query.answer:
                kinds.append(WRONG_PAIR)
            for kind in kinds:
                shown[kind] += 1
                if shown[kind] <= SHOWN.get(kind, 1):
                    found.append({"outcome": kind, "truth": query.answer if query else "", **turns})
    return sorted(found, key=lambda row: (row["outcome"] in FILTERS, row["outcome"] == WRONG_PAIR))
