"""The page's paragraphs, sections and commands, in lines of at most COLUMNS characters."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Sequence

from tools.paper.numbers import Study

COLUMNS = 120


def section(*parts: str) -> str:
    """The parts that there are, with a blank line in between."""
    return "\n\n".join(part for part in parts if part)


def prose(*sentences: str, indent: str = "") -> str:
    """A paragraph. indent: what each line but the first begins with."""
    text = " ".join(sentence for sentence in sentences if sentence)
    return textwrap.fill(text, COLUMNS, break_long_words=False, break_on_hyphens=False, subsequent_indent=indent)


def picture(path: str, caption: str) -> str:
    """A picture with its caption below; the caption's first clause is the picture's text."""
    return section(f"![{re.split('[;:,.]', caption)[0]}]({path})", prose(f"*{caption}.*"))


def command(study: Study, experiments: Iterable[str], row: str = "fit", kinds: Sequence[str] = ("main",)) -> str:
    """A table's command: that of its first run, and the names of the other experiments that can take its place."""
    names = list(experiments)
    there = [one for one in study.rows if one["row"] == row and study.bases[one["base"]]["kind"] in kinds]
    first = next((one for name in names for one in there if one["experiment"] == name), None)
    if first is None:
        return "None of it has been run."
    of = "one run" if row == "fit" else "one set under one run"
    others = f"Others: {', '.join(f'`{name}`' for name in names)} in its place." if len(names) > 1 else ""
    lines = textwrap.wrap(first["command"], COLUMNS - 6, break_long_words=False, break_on_hyphens=False)
    shown = " \\\n    ".join(lines)
    return section(f"The command of {of}, `{first['label']}`:", f"```bash\n{shown}\n```", prose(others))
