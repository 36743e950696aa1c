"""The figures of held-out clips, with intervals over the clips, and their changes since the base."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from savi.alignment.held_out import SAMPLES, HeldOutReply
from savi.evaluation.intervals import Z95, clustered_error
from savi.files import digest_json

SCORES: Mapping[str, Callable[[HeldOutReply], float | None]] = {
    "right": lambda reply: reply.right,
    "found_right": lambda reply: reply.found_right,
    "agreement": lambda reply: reply.agreement,
    "malformed": lambda reply: reply.malformed,
    "tokens": lambda reply: reply.tokens,
}
"""Figures that are means over questions, each with the score of one; None where a question has none."""

Key = tuple[str, str]
"""Clip and question."""


def held_out_figures(replies: Sequence[HeldOutReply], base: Sequence[HeldOutReply] | None) -> dict[str, Any]:
    """The `held_out` of a round in results.json.

    base: its own replies, None for the base itself. Each figure has its mean, the number of questions behind it, its
    interval of 95 % (clustered by clip; None for a single clip), and its change since the base with an interval of its
    own, over the questions that both have. `different` is how many different replies there are to each question.
    """
    unlabelled = [one for one in replies if one.right is None]
    figures = {name: _figure(replies, base, score) for name, score in SCORES.items()}
    return {
        "clips": len({one.clip for one in unlabelled}),
        "questions": len(unlabelled),
        "labelled": len(replies) - len(unlabelled),
        "samples": SAMPLES,
        "digest": digest_json(sorted((one.clip, one.question) for one in replies)),
        "different": len({one.reply.casefold() for one in replies}) / len(replies) if replies else None,
        **{name: figure for name, figure in figures.items() if figure is not None},
    }


def _figure(
    replies: Sequence[HeldOutReply],
    base: Sequence[HeldOutReply] | None,
    score: Callable[[HeldOutReply], float | None],
) -> dict[str, Any] | None:
    scores = _scores(replies, score)
    if not scores:
        return None
    figure = {"mean": _mean(scores), "of": len(scores), "interval": _interval(scores)}
    before = _scores(base or (), score)
    changes = {key: value - before[key] for key, value in scores.items() if key in before}
    if changes:
        figure |= {"change": _mean(changes), "change_interval": _interval(changes)}
    return figure


def _scores(replies: Sequence[HeldOutReply], score: Callable[[HeldOutReply], float | None]) -> dict[Key, float]:
    scored = {(one.clip, one.question): score(one) for one in replies}
    return {key: float(value) for key, value in scored.items() if value is not None}


def _mean(scores: Mapping[Key, float]) -> float:
    return sum(scores.values()) / len(scores)


def _interval(scores: Mapping[Key, float]) -> list[float] | None:
    """None for a single clip, which says nothing of others."""
    clips = [clip for clip, _ in scores]
    if len(set(clips)) < 2:
        return None
    weights, stratum = [1 / len(scores)] * len(scores), [""] * len(scores)
    half = Z95 * clustered_error(list(scores.values()), weights, stratum, clips)
    return [_mean(scores) - half, _mean(scores) + half]


def held_out_metrics(figures: Mapping[str, Any]) -> dict[str, float]:
    """The same for the loggers."""
    means = {name: figures[name]["mean"] for name in SCORES if name in figures}
    return {f"held_out/{name}": float(value) for name, value in (means | {"different": figures["different"]}).items()}
