"""The settings of experiment files and of the command line, by dotted names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import yaml


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
