"""Settings that name a class: short names of savi's own, and how files that name classes are merged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pydoc import ErrorDuringImport, locate
from typing import Any

from omegaconf import DictConfig, OmegaConf

from savi.methods import CRITICS, METHODS
from savi.objective.losses import LOSSES

PAIRS, CRITIC, LOSS = "model.pairs", "model.pairs.init_args.critic", "model.loss"
PLACES: dict[str, Mapping[str, type]] = {PAIRS: METHODS, CRITIC: CRITICS, LOSS: LOSSES}
"""The settings that name a class, with the short names of each; a group before what is in it."""

PACKAGES = {PAIRS: "savi.methods", CRITIC: "savi.methods.critics", LOSS: "savi.objective.losses"}


def with_paths(settings: DictConfig) -> DictConfig:
    """The settings of a file, with the path of a class where they have its short name."""
    for place in PLACES:
        value = OmegaConf.select(settings, place)
        if isinstance(value, str):
            OmegaConf.update(settings, place, {"class_path": _path(place, value)}, merge=False)
        elif isinstance(value, DictConfig) and "class_path" in value:
            value["class_path"] = _path(place, value["class_path"])
    return settings


def merge(layers: Sequence[DictConfig]) -> Any:
    """Later layers win over earlier ones. The arguments of a class are dropped where a later layer names another."""
    merged: Any = OmegaConf.create()
    for layer in layers:
        for place in PLACES:
            before, now = (OmegaConf.select(one, f"{place}.class_path") for one in (merged, layer))
            if before and now and before != now:
                OmegaConf.select(merged, place).pop("init_args", None)
        merged = OmegaConf.merge(merged, layer)
    return merged


def options_with_paths(options: Sequence[str]) -> list[str]:
    """The options of a command, with the path of a class where they have its short name."""
    written: list[str] = []
    rest = iter(options)
    for option in rest:
        key, equals, value = option.partition("=")
        name = key.removeprefix("--").removesuffix(".class_path")
        place = next((one for one in PLACES if name in (one, _short(one))), None)
        if place is None or not key.startswith("--"):
            written.append(option)
        else:
            written += [f"--{name}", _path(place, value if equals else next(rest, ""))]
    return written


def class_named(place: str, given: Mapping[str, Any]) -> str:
    """The path of the class that a setting names, "" for none. given: settings by dotted key."""
    return str(next((given[key] for key in (place, _short(place), f"{place}.class_path") if key in given), None) or "")


def without_effect(path: str) -> Mapping[str, str]:
    """Settings that change nothing with the class at a path, each with the reason. None where there is no such class:
    the parser says so."""
    try:
        return getattr(locate(path), "without_effect", {})
    except ErrorDuringImport:
        return {}


def _short(place: str) -> str:
    """As an option may be written."""
    return place.replace(".init_args.", ".")


def _path(place: str, name: str) -> str:
    """The path of one of savi's own classes, by its short name or its own."""
    for short, kind in PLACES[place].items():
        if name in (short, kind.__name__):
            return f"{PACKAGES[place]}.{kind.__name__}"
    return name
