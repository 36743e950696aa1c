"""Settings that have no effect with pairs from files: given all the same, they are refused in one line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import yaml

from savi.errors import SaviError

NO_EFFECT = {
    "model.chain": "nobody asks, answers or criticizes",
    "model.pairs": "the pairs are there already",
    "model.filters": "pairs are taken as they are",
    "model.own_filters": "pairs are taken as they are",
    "data.clips": "the clips are those of the pairs",
    "data.clip_count": "the clips are those of the pairs",
    "data.held_out": "the clips are those of the pairs",
    "data.held_out_clips": "the clips are those of the pairs",
    "data.labelled": "there is no readiness check",
    "data.readiness_clips": "there is no readiness check",
}
"""Settings of the pairs that a model makes itself, each with the reason why they change nothing."""


def check_pairs_settings(files: Mapping[str, Any], options: Sequence[str]) -> None:
    """Raises SaviError for the first setting without an effect.

    files: the settings of the experiment files, nested, without savi's own defaults. options: of the command line.
    """
    given = dict(flat(files)) | dict(of_options(options))
    if given.get("data.pairs") is None:
        return
    for key in given:
        for setting, reason in NO_EFFECT.items():
            if f"{key}.".startswith(f"{setting}."):
                raise SaviError(
                    f"{key} has no effect with data.pairs: {reason}; leave it out, or extend experiments/pairs.yaml or "
                    "pairs_qlora.yaml"
                )


def of_options(options: Sequence[str]) -> Iterator[tuple[str, Any]]:
    """The settings of the command line with their values, by dotted names."""
    rest = iter(options)
    for option in rest:
        key, equals, value = option.partition("=")
        if not key.startswith("--"):
            continue
        key = key.removeprefix("--")
        if key == "force":  # a switch without a value
            yield key, True
            continue
        text = value if equals else next(rest, "")
        try:
            content = yaml.safe_load(text)
        except yaml.YAMLError:
            content = text
        yield from flat(content, key) if isinstance(content, Mapping) else [(key, content)]


def flat(settings: Mapping[str, Any], place: str = "") -> Iterator[tuple[str, Any]]:
    """Nested settings with their values, by dotted names."""
    for name, value in settings.items():
        key = f"{place}.{name}" if place else str(name)
        if isinstance(value, Mapping) and value:
            yield from flat(value, key)
        else:
            yield key, value
