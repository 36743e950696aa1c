"""Settings that have no effect on the pairs that a run makes: given all the same, they are refused in one line."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from savi.cli.flat import flat, of_options
from savi.cli.short_names import LOSS, PACKAGES, PAIRS, PLACES, class_named, without_effect
from savi.errors import SaviError
from savi.methods.from_files import NEEDS_FILES, FromFiles

READINESS_CLIPS = 32
"""The default of data.readiness_clips, which a whole file of settings may hold."""

FROM_FILES = f"{PACKAGES[PAIRS]}.{FromFiles.__name__}"

SHARED = ("frames", "max_pixels", "cache")
"""Settings of the data that the model has, too. They are given once, with the data."""

CACHES = ("data.frame_cache", "model.prefix_cache")

OTHER_SETS = {
    "fit": ("data.test_set", "it measures data.benchmark_set"),
    "validate": ("data.test_set", "it measures data.benchmark_set"),
    "test": ("data.benchmark_set", "it measures data.test_set"),
}
"""The setting of another command's held-out set, by command, with the reason why it changes nothing."""


def check_set(command: str, options: Sequence[str]) -> None:
    """Raises SaviError where the command line names the held-out set of another command. Files hold both."""
    key, reason = OTHER_SETS[command]
    if dict(of_options(options)).get(key) is not None:
        raise SaviError(f"{key} has no effect with savi {command}: {reason}; leave it out")


def check_effects(files: Mapping[str, Any], options: Sequence[str]) -> None:
    """Raises SaviError for the first setting of the command line without an effect.

    Experiment files may hold such settings, because others extend them. Of these are refused: data.readiness_clips,
    which says how long a check takes that isn't there; a cache's folder where the file below it keeps nothing; and with
    data.pairs all. files: their
    settings, nested, without savi's own defaults. Both have the paths of classes, and not their short names.
    """
    chosen = dict(of_options(options))
    given = dict(flat(files)) | chosen
    for name in SHARED:
        if f"model.{name}" in given:  # the parser's own words for an optional one: "str | None is not callable"
            raise SaviError(f"model.{name} is given as data.{name}")
    if given.get("data.pairs") is not None:
        others = [key for key, value in given.items() if value != FROM_FILES]
        nothing = {**FromFiles.without_effect, PAIRS: "the pairs are there already"}
        _refuse(others, nothing, "data.pairs", ", or extend experiments/pairs.yaml or pairs_qlora.yaml")
    elif class_named(PAIRS, given) == FROM_FILES:
        raise SaviError(f"model.pairs: FromFiles {NEEDS_FILES}")
    chosen = {key: value for key, value in chosen.items() if value is not None}  # null asks for nothing
    if chosen.get("model.dpo.loss") == "sft":
        raise SaviError("model.dpo.loss: sft is a loss of its own now: --model.loss sft")
    for cache in CACHES:
        turned_off = f"{cache}.gib" in chosen and f"{cache}.folder" not in chosen  # on purpose, whatever a file names
        if given.get(f"{cache}.folder") is not None and given.get(f"{cache}.gib") == 0 and not turned_off:
            raise SaviError(f"{cache}.folder has no effect with {cache}.gib=0, which keeps nothing: give a size, too")
    if given.get("data.held_out"):
        chosen.pop("data.labelled", None)  # it gives an accuracy, also without a readiness check
    asked = [*chosen, *(["data.readiness_clips"] if _sets_check(given) else [])]
    for place in PLACES:
        path = class_named(place, given)
        without = {"model.dpo": "the loss is another"} if place == LOSS and path else without_effect(path)
        _refuse(asked, without, path.rpartition(".")[2])
    preset = given.get("model.prompts.preset", "videosavi-2")
    if (
        chosen.get("model.filters.same_meaning") == "model"
        and preset != "videosavi-2"
        and not given.get("model.prompts.texts.same_meaning")
    ):
        raise SaviError(
            f"model.filters.same_meaning=model has no effect with model.prompts.preset={preset}, which has no question "
            "for the judge: take content, or write model.prompts.texts.same_meaning"
        )


def _refuse(keys: Iterable[str], without: Mapping[str, str], cause: str, or_else: str = "") -> None:
    """Raises SaviError for the first of the keys that has no effect. without: such settings, each with the reason."""
    for key in keys:
        for name, reason in without.items():
            if f"{key}.".startswith(f"{name}."):
                raise SaviError(f"{key} has no effect with {cause}: {reason}; leave it out{or_else}")


def _sets_check(given: Mapping[str, Any]) -> bool:
    return given.get("data.readiness_clips", READINESS_CLIPS) != READINESS_CLIPS
