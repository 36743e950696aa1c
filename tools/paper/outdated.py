"""Whether a finished run is one of today's experiment files: a study may outlive a change of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml
from omegaconf import OmegaConf

from savi.cli.config import merge_experiments
from savi.record.renamed import current_config
from tools.paper.plan import Fit

SECTIONS = ("model", "data")
"""What a run's numbers depend on; the trainer's part may differ, as where it ran."""


def outdated(fit: Fit) -> str | None:
    """The first setting in which a run's config.yaml differs from its experiment file as it is now; None without one.

    A base that was taught anew in the same folder isn't noticed, nor is a default that has changed.
    """
    there = _leaves(current_config(yaml.safe_load((fit.folder / "config.yaml").read_text(encoding="utf-8"))))
    for name, value in _leaves(_expected(fit)).items():
        if name in there and there[name] != value:
            return f"{name} is {there[name]} there and {value} in {fit.settings[0].partition('=')[2]}"
    return None


def _expected(fit: Fit) -> Any:
    """The settings of the fit's command, references resolved."""
    files, *others = fit.settings
    with TemporaryDirectory() as folder:
        *_, merged = merge_experiments(["fit", files], Path(folder))
        content = OmegaConf.load(merged)
    given = OmegaConf.from_dotlist([setting.removeprefix("--") for setting in others])
    resolved = OmegaConf.to_container(OmegaConf.create({"fit": OmegaConf.merge(content, given)}), resolve=True)
    return resolved["fit"] if isinstance(resolved, dict) else {}


def _leaves(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for part in SECTIONS for name, value in _walk(part, settings.get(part, {}))}


def _walk(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _walk(f"{name}.{key}", inner)
    else:
        yield name, value
