"""The questions in a reply that is JSON, or a Python literal, in whole or in part."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from typing import Any

from savi.prompts.options import option_lines


def questions_in_json(text: str) -> list[str] | None:
    """The questions in the JSON (or Python) lists and objects of a reply; None where there are none."""
    spans = [text]
    for start, end in ("[]", "{}"):
        if start in text and end in text:
            spans.append(text[text.index(start) : text.rindex(end) + 1])
    spans += [f"[{','.join(line.strip().rstrip(',') for line in text.splitlines() if line.strip())}]"]
    for span in spans:
        for read in (json.loads, ast.literal_eval):
            try:
                value = read(span)
            except (ValueError, SyntaxError, MemoryError, RecursionError):
                continue
            if isinstance(value, list | dict):
                return list(_asked(value))
    if text[:1] in "[{":  # cut off, or with a mistake in it
        return [match[1] for match in re.finditer(r"\"((?:[^\"\\\n]|\\.)*[?？])\"", text)] or None
    return None


def _asked(value: Any) -> Iterator[str]:
    """The questions of a decoded value: strings of lists, and "question" fields with their options."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from _asked(item)
    elif isinstance(value, dict):
        named = [value[key] for key in value if re.fullmatch(r"(?:q|questions?|text|问题)[\s_-]*\d*", key, re.I)]
        if len(named) == 1 and isinstance(named[0], str):
            options = next((value[key] for key in value if re.fullmatch(r"options|choices|选项", key, re.I)), None)
            yield "\n".join([named[0], *option_lines(options)])
        else:
            for item in named or value.values():
                yield from _asked(item)
