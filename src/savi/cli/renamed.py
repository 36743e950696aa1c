"""Earlier names of settings on the command line and in experiment files: they work, with one line each."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from savi.distributed.failures import is_first
from savi.errors import SaviError
from savi.record.earlier_methods import DEFAULTS, KEYS, with_classes
from savi.record.renamed import RENAMED, RENAMED_VALUES, current_key, rename


def rename_file(settings: Any, place: str) -> Any:
    """The nested settings of an experiment file under their keys of now. place: the file, for the lines."""
    found: dict[str, str] = {}
    renamed = rename(settings, found)
    _announce(place, found)
    return renamed


def use_classes(settings: Any) -> dict[str, Any]:
    """Nested settings, with classes in the place of the settings that named a method or a loss."""
    found = with_classes(settings)
    before, now = settings.get("model") or {}, found.get("model") or {}
    if is_first():
        for name, old in (("pairs", f"model.chain: {', '.join(DEFAULTS)}"), ("loss", "model.dpo.loss: sft")):
            if now.get(name) != before.get(name):
                print(f"savi: {old} is now model.{name}: {json.dumps(now[name])}", file=sys.stderr)
    return found


def rename_options(arguments: Sequence[str]) -> list[str]:
    """The options of a command under their keys of now, in values that are mappings or files of settings too."""
    found: dict[str, str] = {}
    renamed: list[str] = []
    rest = iter(arguments)
    for argument in rest:
        option, equals, value = argument.partition("=")
        key = option.removeprefix("--")
        if key == option:
            renamed.append(argument)
            continue
        now = current_key(key)
        if now in KEYS.values():
            raise SaviError(
                f"--{key}: methods and critics are classes now: --model.pairs videosavi, tpo, hound, two_samples or "
                "random_preference, --model.pairs.critic text (docs/methods.md)"
            )
        if not _has_old_names(key):
            renamed.append(argument)
            continue
        if now != key:
            found[key] = now
        value = value if equals else next(rest, "")
        renamed += [f"--{now}", _rename_value(now, value, found)]
    _announce("", found)
    return renamed


def _has_old_names(key: str) -> bool:
    """Whether a setting has been renamed, or holds some that have been, or has renamed values."""
    return current_key(key) != key or any(f"{name}.".startswith(f"{key}.") for name in (*RENAMED, *RENAMED_VALUES))


def _rename_value(key: str, value: str, found: dict[str, str]) -> str:
    before = len(found)
    try:
        content = yaml.safe_load(Path(value).read_text(encoding="utf-8") if Path(value).is_file() else value)
    except (OSError, ValueError, yaml.YAMLError):
        return value  # the parser says what is wrong with it
    renamed = rename(content, found, key)
    if len(found) == before:
        return value
    return json.dumps(renamed) if isinstance(renamed, Mapping) else str(renamed)


def _announce(place: str, found: Mapping[str, str]) -> None:
    if is_first():
        for old, new in found.items():
            print(f"savi: {place}{': ' if place else '--'}{old} is now called {new}", file=sys.stderr)
