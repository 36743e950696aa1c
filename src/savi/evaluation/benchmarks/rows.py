"""Rows of official files, read with care: what is missing or malformed is said in one line that names the place."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

from savi.types import SaviError

T = TypeVar("T")


@dataclass(frozen=True)
class Row:
    """One entry of an official file, whose fields are asked for by name and type. Each raises SaviError otherwise."""

    place: str
    fields: dict[str, Any]

    @classmethod
    def of(cls, place: str, value: object) -> Row:
        """Raises SaviError for a value without fields."""
        if not isinstance(value, dict):
            raise SaviError(f"{place}: not an object with fields")
        return cls(place, value)

    def has(self, name: str) -> bool:
        """Whether the field is there and not null."""
        return self.fields.get(name) is not None

    def get(self, name: str, kind: type[T]) -> T:
        return cast(T, self._value(name, kind))

    def text(self, name: str) -> str:
        """Text, also where it is written as a whole number."""
        return str(self._value(name, str, int))

    def number(self, name: str) -> float:
        return cast(float, self._value(name, int, float))

    def _value(self, name: str, *kinds: type) -> object:
        if not self.has(name):
            raise SaviError(f"{self.place}: the field {name!r} is missing")
        value: object = self.fields[name]
        if not isinstance(value, kinds) or isinstance(value, bool):
            raise SaviError(f"{self.place}: the field {name!r} is of type {type(value).__name__}")
        return value

    def texts(self, name: str) -> tuple[str, ...]:
        values = cast(Sequence[object], self._value(name, list, tuple))
        if not all(isinstance(value, str | int | float) for value in values):
            raise SaviError(f"{self.place}: the field {name!r} holds more than texts")
        return tuple(map(str, values))

    def index(self, name: str, options: Sequence[str]) -> int:
        """A whole number, also one written as text, that counts one of the options from 0."""
        value = self.text(name)
        if not value.isdecimal() or int(value) >= len(options):
            raise SaviError(f"{self.place}: {name} {value} is none of {len(options)} options")
        return int(value)


def read_json(path: Path) -> object:
    """Raises SaviError."""
    try:
        value: object = json.loads(path.read_text(encoding="utf-8-sig"))
    except json.JSONDecodeError as error:
        raise SaviError(f"{path}, line {error.lineno}: not JSON ({error.msg})") from None
    except (OSError, UnicodeDecodeError) as error:
        raise SaviError(f"{path}: can't be read ({error})") from None
    return value


def read_rows(path: Path) -> list[Row]:
    """The rows of a .json list, a .jsonl or a .parquet file. Raises SaviError."""
    if path.suffix == ".parquet":
        return [Row(f"{path}, row {i}", fields) for i, fields in enumerate(_read_parquet(path), start=1)]
    if path.suffix == ".jsonl":
        return read_lines(path)
    content = read_json(path)
    if not isinstance(content, list):
        raise SaviError(f"{path}: not a list of rows")
    return [Row.of(f"{path}, row {i}", fields) for i, fields in enumerate(content, start=1)]


def read_lines(path: Path) -> list[Row]:
    """The rows of a file with an object a line. Raises SaviError."""
    rows = []
    try:
        for number, line in enumerate(path.read_text(encoding="utf-8-sig").split("\n"), start=1):
            place = f"{path}, row {number}"
            if line.strip():
                try:
                    rows.append(Row.of(place, json.loads(line)))
                except json.JSONDecodeError as error:
                    raise SaviError(f"{place}: not JSON ({error.msg})") from None
    except (OSError, UnicodeDecodeError) as error:
        raise SaviError(f"{path}: can't be read ({error})") from None
    return rows


def _read_parquet(path: Path) -> list[dict[str, Any]]:
    try:
        from pyarrow import ArrowException, parquet
    except ImportError:
        raise SaviError(f"{path}: reading parquet files needs a package: pip install pyarrow") from None
    try:
        rows: list[dict[str, Any]] = parquet.read_table(path).to_pylist()
    except (OSError, ArrowException) as error:
        raise SaviError(f"{path}: not a parquet file ({error}); is it a git-lfs pointer?") from None
    return rows
