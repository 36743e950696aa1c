"""`python -m tools.model_types`: what savi says to each type that transformers has a video processor for.

It writes the table of docs/models.md, from the types' own default configurations and without weights.
"""

from __future__ import annotations

import inspect
from importlib.metadata import version
from pathlib import Path

import transformers
from transformers import AutoConfig
from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES
from transformers.models.auto.processing_auto import PROCESSOR_MAPPING_NAMES
from transformers.models.auto.video_processing_auto import VIDEO_PROCESSOR_MAPPING_NAMES

from savi.models.families import FAMILIES
from savi.models.generic import refusal
from savi.models.ways import way_of

PAGE = Path(__file__).parents[1] / "docs" / "models.md"
OPENING, CLOSING = "<!-- types -->\n", "<!-- /types -->"


def video_types() -> list[str]:
    """Every type with a video processor, or with a processor that holds one, in alphabetical order."""
    within = {name for name in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES if _processor_takes_videos(name)}
    return sorted(within | set(VIDEO_PROCESSOR_MAPPING_NAMES))


def verdict(model_type: str) -> tuple[str, str]:
    """A type's verdict, dedicated, generic, plain or refused, with the way of sharing or the reason."""
    try:
        config = AutoConfig.for_model(model_type)
    except ImportError as error:  # a version of transformers may need a package that isn't there
        return "refused", str(error).strip().partition(". ")[0]
    reason = refusal(config)
    if model_type not in FAMILIES and reason:
        return "refused", reason
    way = way_of(config)
    told = way.name if way.name != "plain" else f"plain: {way.reason[0].lower()}{way.reason[1:]}"
    if model_type in FAMILIES:
        return "dedicated", told
    return ("plain" if way.name == "plain" else "generic"), told.removeprefix("plain: ")


def table() -> str:
    """The page's section, with the version of transformers that it was made with."""
    rows = [(name, *verdict(name)) for name in video_types()]
    counts = ", ".join(
        f"{sum(row[1] == kind for row in rows)} {kind}" for kind in ("dedicated", "generic", "plain", "refused")
    )
    lines = [f"transformers {version('transformers')}: {counts}.", "", "| type | verdict | way, or why not |"]
    lines += ["|---|---|---|", *(f"| `{name}` | {kind} | {told} |" for name, kind, told in rows)]
    return "\n".join(lines) + "\n"


def _processor_takes_videos(model_type: str) -> bool:
    processor = getattr(transformers, PROCESSOR_MAPPING_NAMES.get(model_type) or "", None)
    return processor is not None and "video_processor" in inspect.signature(processor.__init__).parameters


def main() -> None:
    page = PAGE.read_text(encoding="utf-8")
    start, end = page.index(OPENING) + len(OPENING), page.index(CLOSING)
    PAGE.write_text(page[:start] + table() + page[end:], encoding="utf-8")


if __name__ == "__main__":
    main()
