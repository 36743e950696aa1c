"""Which versions savi is declared for, which it is installed with, and that its tests fail on deprecated calls."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version
from transformers.utils import logging

ROOT = Path(__file__).parent.parent
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
DECLARED = [Requirement(line) for line in (*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["dev"])]
PYTHONS = [f"3.{minor}.9" for minor in range(30) if f"3.{minor}.9" in SpecifierSet(PROJECT["requires-python"])]


def pinned(file: str, python: str) -> Iterator[tuple[str, Version]]:
    """Name and exact version of each line that holds for a version of Python on Linux."""
    for line in (ROOT / "constraints" / file).read_text().splitlines():
        if line.startswith("#"):
            continue
        requirement = Requirement(line)
        (exact,) = requirement.specifier
        assert (exact.operator, requirement.url) == ("==", None)
        about = {"python_full_version": python, "sys_platform": "linux", "platform_machine": "x86_64"}
        if requirement.marker is None or requirement.marker.evaluate(about):
            yield canonicalize_name(requirement.name), Version(exact.version)


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("file", ["lock.txt", "oldest.txt"])
def test_every_dependency_has_one_exact_version_within_its_bounds(file: str, python: str) -> None:
    lines = list(pinned(file, python))
    versions = dict(lines)
    assert len(versions) == len(lines)
    for requirement in DECLARED:
        version = versions[canonicalize_name(requirement.name)]
        assert version in requirement.specifier, f"{requirement} has {version} in {file}: run `make lock`"


def test_the_lowest_declared_versions_are_the_ones_that_are_tested() -> None:
    lowest = dict(pinned("oldest.txt", PYTHONS[0]))
    for requirement in DECLARED:
        (bound,) = (spec.version for spec in requirement.specifier if spec.operator in (">=", "=="))
        declared, tested = Version(bound).release, lowest[canonicalize_name(requirement.name)].release
        assert tested[: len(declared)] == declared, f"{requirement}: {tested} is tested"


def test_a_deprecation_that_transformers_only_logs_is_an_error() -> None:
    logger = logging.get_logger("transformers.some_model")
    logger.warning("The model has no generation configuration.")
    with pytest.raises(FutureWarning, match="some_model"):
        logger.warning("`old` is deprecated and will be removed in version 6.")
