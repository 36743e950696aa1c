"""Settings that have no effect on the pairs that a run makes: given all the same, they are refused in one line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from savi.cli.pairs_settings import flat, of_options
from savi.errors import SaviError

READINESS_CLIPS = 32
"""The default of data.readiness_clips, which a whole file of settings may hold."""

CHECK = ("data.readiness_clips", "data.labelled", "force")
NO_EFFECT = {
    ("model.chain.chosen_source", "sample"): {
        **dict.fromkeys(CHECK, "there is no readiness check"),
        "model.chain.critique": "nobody criticizes",
        "model.chain.revision": "nobody revises",
        "model.filters.answer_approved": "nobody criticizes",
        "model.filters.cut_critiques": "nobody criticizes",
    },
    ("model.chain.critic.kind", "truth"): {
        **dict.fromkeys(CHECK, "there is no readiness check"),
        "model.chain.critique": "the truth isn't sampled",
    },
}
"""By a setting and its value: other settings, each with the reason why they change nothing."""

OF_THE_CHAIN = {
    **dict.fromkeys(CHECK, "there is no readiness check"),
    **dict.fromkeys(
        (
            *("model.chain.critic", "model.chain.critique", "model.chain.revision", "model.chain.chosen_source"),
            *("model.chain.decoding", "model.chain.answer_samples"),
            *("model.filters.answer_approved", "model.filters.cut_critiques"),
        ),
        "the method answers instead of the critique chain",
    ),
}
"""What a method of `model.pairs` leaves without an effect."""


def check_effects(files: Mapping[str, Any], options: Sequence[str]) -> None:
    """Raises SaviError for the first setting of the command line without an effect.

    Experiment files may hold such settings, because others extend them; of these only data.readiness_clips is refused,
    which says how long a check takes that isn't there. files: their settings, nested, without savi's own defaults.
    """
    chosen = dict(of_options(options))
    given = dict(flat(files)) | chosen
    chosen = {key: value for key, value in chosen.items() if value is not None}  # null asks for nothing
    if given.get("data.held_out"):
        chosen.pop("data.labelled", None)  # it gives an accuracy, also without a readiness check
    for (setting, value), without in NO_EFFECT.items():
        if given.get(setting) != value:
            continue
        asked = [*chosen, *(["data.readiness_clips"] if _sets_check(given) else [])]
        for key in asked:
            for name, reason in without.items():
                if f"{key}.".startswith(f"{name}."):
                    raise SaviError(f"{key} has no effect with {setting}={value}: {reason}; leave it out")
    if any(key.startswith("model.pairs") and value is not None for key, value in given.items()):
        for key in chosen:
            for name, reason in OF_THE_CHAIN.items():
                if f"{key}.".startswith(f"{name}."):
                    raise SaviError(f"{key} has no effect with model.pairs: {reason}; leave it out")
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


def _sets_check(given: Mapping[str, Any]) -> bool:
    return given.get("data.readiness_clips", READINESS_CLIPS) != READINESS_CLIPS
