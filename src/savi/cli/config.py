"""Experiment files: each holds the differences from the file that it extends, and may refer to ${data.frames}."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from savi.cli.flat import flat, of_options
from savi.cli.no_effect import FROM_FILES, check_effects, check_set
from savi.cli.renamed import rename_file, rename_options, use_classes
from savi.cli.short_names import PAIRS, merge, options_with_paths, with_paths
from savi.types import SaviError

DEFAULTS = Path(__file__).parent / "defaults.yaml"
"""The lowest layer of every run, whatever its experiment extends."""

PACKAGED = Path(__file__).parent / "experiments"
"""Experiments that are part of the package, and have a name instead of a path."""

DEFAULT_EXPERIMENT = PACKAGED / "demo.yaml"

REFERENCE = re.compile(r"\$\{(?=[A-Za-z_][\w.]*\})")


def merge_experiments(arguments: Sequence[str], folder: Path) -> list[str]:
    """Replace all --config files of a stage by one that holds the defaults, them, and all that they extend.

    Later files win over earlier ones, and a file over those it extends (`extends: FILE`, or a list). A packaged
    experiment is named instead of a path; a command without --config gets DEFAULT_EXPERIMENT. The merged file is
    written to `folder` under the last one's name. Raises SaviError for a file that isn't there, isn't YAML, or extends
    itself, and for settings that don't go together.
    """
    command, *given = arguments
    others: list[str] = []
    paths: list[Path] = []
    rest = iter(given)
    for argument in rest:
        option, equals, value = argument.partition("=")
        if option in ("--config", "-c"):
            paths.append(_find(value if equals else next(rest, ""), Path()))
        else:
            others.append(argument)
    paths = paths or [DEFAULT_EXPERIMENT]
    layers = [content for path in paths for content in _read(path, ())]
    files = use_classes(OmegaConf.to_container(merge(layers)))
    options = options_with_paths(rename_options(others))
    check_effects(files, options)
    check_set(command, options)
    if dict([*flat(files), *of_options(options)]).get("data.pairs") is not None:
        # They select the method, and config.yaml names it. A run is the same whether from_files is named or not.
        options = [*options, f"--{PAIRS}={FROM_FILES}"]
    merged = merge([*_read(DEFAULTS, ()), OmegaConf.create(files)])
    # The command line's parser resolves references below the command's name: fit.data.frames.
    text = REFERENCE.sub("${" + command + ".", OmegaConf.to_yaml(merged))
    target = folder / paths[-1].name
    target.write_text(text, encoding="utf-8")
    return [command, "--config", str(target), *options]


def _read(path: Path, seen: tuple[Path, ...]) -> list[Any]:
    """The contents of a file and of what it extends, the most general first."""
    if path in seen:
        raise SaviError(f"{path} extends itself: {' -> '.join(map(str, (*seen, path)))}")
    try:
        content = OmegaConf.load(path)
    except OSError as error:
        known = f"; experiments with a name: {', '.join(_packaged())}" if isinstance(error, FileNotFoundError) else ""
        raise SaviError(f"--config {path}: {error.strerror}{known}") from None
    except (YAMLError, OmegaConfBaseException, UnicodeDecodeError) as error:
        raise SaviError(f"--config {path}: not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, DictConfig):
        raise SaviError(f"--config {path}: an experiment file is a mapping of settings")
    content = with_paths(OmegaConf.create(rename_file(OmegaConf.to_container(content), str(path))))
    extended = content.pop("extends", None) or []
    names = [extended] if isinstance(extended, str) else extended
    above = [file for file in (_find(str(name), path.parent) for name in names) if file != DEFAULTS]
    return [*(layer for file in above for layer in _read(file, (*seen, path))), content]


def _find(name: str, folder: Path) -> Path:
    """The file of a name: a path from `folder`, or a packaged experiment.

    Where `folder` has no base.yaml of its own, that is the defaults, which earlier experiment files extend.
    """
    path = folder / name
    if path.is_file():
        return path
    if path.name == "base.yaml":
        return DEFAULTS
    return PACKAGED / f"{name}.yaml" if name in _packaged() else path


def _packaged() -> list[str]:
    return sorted(path.stem for path in PACKAGED.glob("*.yaml"))
