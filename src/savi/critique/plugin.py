"""What experiments may name a class for: the classes' settings, and how runs tell them apart."""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar

from savi.errors import SaviError


class Plugin:
    """A class that an experiment file names with `class_path`. Its arguments, kept as attributes, are its settings.

    It must depend on nothing but these and what it is given: a run that was killed is resumed with it.
    """

    without_effect: ClassVar[Mapping[str, str]] = MappingProxyType({})
    """Settings that change nothing with this class, by dotted key, each with the reason. The command line refuses
    them."""

    place: ClassVar[str] = "model.pairs"
    """The setting that names such classes, for messages."""

    @property
    def note(self) -> str:
        """What a user must know of a run with it: a line on the terminal."""
        return ""

    def identity(self) -> list[object]:
        """The class and its settings, by which a resumed run knows it.

        Raises SaviError for attributes that JSON can't hold: a killed run could not tell whether they are the same.
        """
        kind = type(self)
        try:
            return [f"{kind.__module__}.{kind.__qualname__}", json.loads(json.dumps(vars(self), default=_nested))]
        except TypeError as error:
            raise SaviError(
                f"{self.place}: attributes of {kind.__name__} must be settings that JSON holds: {error}"
            ) from None


def _nested(value: object) -> list[object]:
    if isinstance(value, Plugin):
        return value.identity()
    raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")
