"""Settings by their earlier names: experiment files, command lines and runs from before a renaming stay of use."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from savi.errors import SaviError
from savi.record.earlier_methods import with_classes, with_classes_flat

RENAMED = {
    "model.optimiser": "model.optimizer",
    "model.frame_pixels": "model.max_pixels",
    "data.frame_pixels": "data.max_pixels",
    "data.clips_per_pass": "data.micro_batch_clips",
    "data.clips_per_chain": "data.generation_batch_clips",
    "data.passes": "data.epochs_per_round",
    "model.chain.second": "model.chain.chosen_source",
    "model.chain.direction": "model.chain.preference",
    "model.chain.critic.who": "model.chain.critic.kind",
    "model.keep": "model.prefix_cache",
}
"""The earlier key of a setting, or of a group of settings, and its key now. Both are in the same group."""

RENAMED_VALUES = {
    "model.chain.critic.kind": {"itself": "self"},
    "model.prompts.preset": {"default": "videosavi-1"},
}
"""By key, the earlier words for a setting's values, and those of now."""

REFERENCE = re.compile(r"(?<=\$\{)[A-Za-z_][\w.]*(?=\})")


def current_key(key: str) -> str:
    """The key that a setting has now. key: dotted."""
    for old, new in RENAMED.items():
        if key == old or key.startswith(f"{old}."):
            return new + key.removeprefix(old)
    return key


def current_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings by dotted key, as checkpoints hold them, under the keys that they have now."""
    keys = {key: current_key(key) for key in settings}
    return with_classes_flat({now: current_value(now, settings[key]) for key, now in keys.items()})


def current_value(key: str, value: Any) -> Any:
    """The word that a value has now. key: the setting's key now."""
    return RENAMED_VALUES.get(key, {}).get(value, value) if isinstance(value, str) else value


def current_config(settings: Any) -> Any:
    """Nested settings, as config.yaml has them, under the keys that they have now, with the method that they name."""
    return with_classes(rename(settings))


def rename(settings: Any, found: dict[str, str] | None = None, place: str = "") -> Any:
    """Nested settings, as files hold them, under the keys that they have now; references such as ${data.frames} too.

    found: gets every earlier key that occurs, with its key now. place: the key of the group that `settings` are of.
    Raises SaviError where a setting is there under both of its names.
    """
    found = {} if found is None else found
    if isinstance(settings, list):
        return [rename(value, found, place) for value in settings]
    if isinstance(settings, str):
        keys = {key: current_key(key) for key in REFERENCE.findall(settings)}
        found |= {key: now for key, now in keys.items() if now != key}
        text = REFERENCE.sub(lambda match: keys[match[0]], settings)
        value = current_value(place, text)
        if value != text:
            found[f"{place} {text}"] = f"{place} {value}"
        return value
    if not isinstance(settings, Mapping):
        return settings
    renamed: dict[Any, Any] = {}
    for name, value in settings.items():
        key = f"{place}.{name}" if place else str(name)
        now = current_key(key)
        if now != key:
            found[key] = now
            name = now.removeprefix(f"{place}.") if place else now
            if name in settings:
                raise SaviError(f"{key} and {now} are the same setting; take {now} alone")
        renamed[name] = rename(value, found, now)
    return renamed


def earlier_names(settings: Any, place: str) -> Any:
    """Nested settings under the names that they had first: what digests are made of, so that a renaming changes none.

    place: the key of the group that `settings` are of.
    """
    if not isinstance(settings, Mapping):
        words = {now: old for old, now in RENAMED_VALUES.get(place, {}).items()}
        return words.get(settings, settings) if isinstance(settings, str) else settings
    names = {new: old.rpartition(".")[2] for old, new in RENAMED.items()}
    keys = {name: f"{place}.{name}" if place else str(name) for name in settings}
    return {names.get(key, name): earlier_names(settings[name], key) for name, key in keys.items()}
