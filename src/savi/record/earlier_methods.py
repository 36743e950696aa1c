"""Methods and losses as earlier versions asked for them. Their runs and files stay of use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from savi.errors import SaviError

DEFAULTS: dict[str, Any] = {
    "aspects": ["spatial", "temporal"],
    "chosen_source": "revision",
    "preference": "second",
    "critic": {"kind": "self", "base": ""},
}
"""The settings of `model.chain` that are classes now, with what they were by default."""

KEYS = {
    **{name: f"model.chain.{name}" for name in ("aspects", "chosen_source", "preference")},
    **{name: f"model.chain.critic.{name}" for name in DEFAULTS["critic"]},
}
"""The dotted keys of these settings."""

SFT = {"class_path": "savi.objective.losses.SFT"}
"""What was `model.dpo.loss: sft`."""

FROM_FILES = {"class_path": "savi.methods.FromFiles"}
"""The method of every run with `data.pairs`. Earlier checkpoints of such runs name VideoSAVi."""

METHODS = {
    ("revision", "second"): "VideoSAVi",
    ("revision", "random"): "RandomPreference",
    ("sample", "second"): "TwoSamples",
    ("sample", "judge"): "Hound",
}
"""By chosen_source and preference."""

CRITICS = {
    "another": "Another",
    "text": "TextOnly",
    "other_clip": "OtherClip",
    "shuffled": "Shuffled",
    "truth": "Truth",
}
"""By the critic's kind."""


def method_of(chain: Mapping[str, Any]) -> dict[str, Any]:
    """The method that a chain's settings asked for, as `model.pairs` names it. chain: DEFAULTS where it says nothing.

    Raises SaviError for settings that no method has any more.
    """
    asked = {name: chain.get(name, default) for name, default in DEFAULTS.items()}
    critic, aspects = DEFAULTS["critic"] | asked["critic"], list(asked["aspects"])
    name = METHODS.get((asked["chosen_source"], asked["preference"]))
    if name is None or (name in ("TwoSamples", "Hound") and aspects != DEFAULTS["aspects"]):
        raise SaviError(
            f"model.chain: no method has chosen_source={asked['chosen_source']}, preference={asked['preference']} and "
            f"aspects={aspects} together any more; docs/methods.md shows how to write one for model.pairs"
        )
    arguments: dict[str, Any] = {}
    if name in ("VideoSAVi", "RandomPreference"):
        arguments = {"critic": _critic(critic), "aspects": aspects}
    if name == "VideoSAVi" and aspects == ["temporal"]:
        name, arguments = "TPO", {"critic": arguments["critic"]}
    return {"class_path": f"savi.methods.{name}", **({"init_args": arguments} if arguments else {})}


def _critic(asked: Mapping[str, Any]) -> dict[str, Any] | None:
    if asked["kind"] not in CRITICS:
        return None
    arguments = {"init_args": {"base": asked["base"]}} if asked["kind"] == "another" else {}
    return {"class_path": f"savi.methods.critics.{CRITICS[asked['kind']]}", **arguments}


def with_classes(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Nested settings with `model.pairs` and `model.loss` in the place of what earlier versions had for them.

    Raises SaviError where both are there.
    """
    model = dict(settings.get("model") or {})
    chain, dpo = model.get("chain") or {}, model.get("dpo") or {}
    if earlier := [f"model.chain.{name}" for name in DEFAULTS if name in chain]:
        if model.get("pairs"):
            raise SaviError(f"{', '.join(earlier)}: model.pairs names the method already; take model.pairs alone")
        model["chain"] = {name: value for name, value in chain.items() if name not in DEFAULTS}
        model["pairs"] = method_of(chain)
    if dpo.get("loss") == "sft":
        if model.get("loss") not in (None, SFT):
            raise SaviError("model.dpo.loss sft: model.loss names the loss already; take model.loss alone")
        model["dpo"] = {**dpo, "loss": "sigmoid"}
        model["loss"] = SFT
    return {**settings, "model": model} if model else dict(settings)


def with_classes_flat(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The same for settings by dotted key, as checkpoints hold them."""
    settings = dict(settings)
    if settings.get("model.dpo.loss") == "sft":
        settings |= {"model.dpo.loss": "sigmoid", "model.loss": SFT}
    if settings.get("data.pairs") is not None:
        settings["model.pairs"] = FROM_FILES
    there = {name: settings[key] for name, key in KEYS.items() if key in settings}
    if not there:
        return settings
    chain = {name: value for name, value in there.items() if name in DEFAULTS}
    chain["critic"] = {name: value for name, value in there.items() if name in DEFAULTS["critic"]}
    kept = {key: value for key, value in settings.items() if key not in KEYS.values()}
    return {**kept, "model.pairs": settings.get("model.pairs") or method_of(chain)}


def chain_of(method: Sequence[Any]) -> dict[str, Any] | None:
    """The chain's settings by which earlier versions knew a method; None for one that they didn't know.

    method: its identity, see :meth:`savi.critique.plugin.Plugin.identity`. Digests of rounds have these settings.
    """
    path, arguments = method
    package, _, name = path.rpartition(".")
    asked = {"TPO": "VideoSAVi"}.get(name, name)
    known = next((key for key, value in METHODS.items() if value == asked), None)
    critic = _kind(arguments.get("critic"))
    if known is None or critic is None or not package.startswith("savi.methods."):
        return None
    aspects = arguments.get("aspects", DEFAULTS["aspects"])
    return {"aspects": aspects, "chosen_source": known[0], "preference": known[1], "critic": critic}


def _kind(critic: Sequence[Any] | None) -> dict[str, Any] | None:
    """A critic's earlier settings, from its identity; None for one that earlier versions didn't know."""
    if critic is None:
        return dict(DEFAULTS["critic"])
    path, arguments = critic
    kinds = {name: kind for kind, name in CRITICS.items()}
    package, _, name = path.rpartition(".")
    if name not in kinds or not package.startswith("savi."):
        return None
    return {"kind": kinds[name], "base": arguments.get("base", "")}
