"""A walk over transformers' own list of types with a video processor: none is accepted or refused by accident."""

from __future__ import annotations

import json
import re
from importlib.metadata import version
from pathlib import Path

import pytest

from savi.models.families import FAMILIES
from savi.models.load import read_config
from savi.models.ways import way_of
from savi.types import SaviError
from tools import model_types

VERDICTS = {name: model_types.verdict(name) for name in model_types.video_types()}


def test_every_family_is_on_the_list() -> None:
    assert {name for name, (kind, _) in VERDICTS.items() if kind == "dedicated"} == set(FAMILIES)


@pytest.mark.parametrize("model_type", VERDICTS)
def test_a_type_is_taken_or_refused_by_its_configuration_alone(model_type: str, tmp_path: Path) -> None:
    """In a folder without weights. What is refused is refused in one line, with a reason."""
    (tmp_path / "config.json").write_text(json.dumps({"model_type": model_type}))
    kind, told = VERDICTS[model_type]
    if kind == "refused":
        with pytest.raises(SaviError, match=told) as refused:
            read_config(str(tmp_path))
        assert "\n" not in str(refused.value)
    else:
        way = way_of(read_config(str(tmp_path)))
        assert (way.name == "plain") == (kind == "plain" or told.startswith("plain"))
        assert way.line.startswith(f"sharing a clip: {way.name}. ")


@pytest.mark.parametrize(
    ("model_type", "kind", "told"),
    [
        ("qwen3_5", "dedicated", "state"),
        ("qwen3_vl", "dedicated", "tree"),
        ("gemma4", "dedicated", "tree"),
        ("exaone4_5", "generic", "tree"),
        ("lfm3_vl", "generic", "state"),
        ("nemotron_h_omni", "plain", "can't hand on the state"),
        ("dots3_note", "plain", r"layers of another kind \(indexed_attention\)"),
        ("video_llava", "generic", "tree"),
        ("glm4v_moe", "generic", "tree"),
        ("instructblip", "refused", "images alone"),
        ("vivit", "refused", "no image-text head"),
        ("qwen2_5_omni", "refused", "no image-text head"),
    ],
)
def test_some_verdicts_by_hand(model_type: str, kind: str, told: str) -> None:
    if model_type not in VERDICTS:
        pytest.skip(f"transformers {version('transformers')} has no {model_type}")
    assert VERDICTS[model_type][0] == kind
    assert re.search(told, VERDICTS[model_type][1])


def test_the_page_has_the_table_of_this_version() -> None:
    page = model_types.PAGE.read_text(encoding="utf-8")
    shown = page.partition(model_types.OPENING)[2].partition(model_types.CLOSING)[0]
    if not shown.startswith(f"transformers {version('transformers')}:"):
        pytest.skip("the page was made with another version of transformers")
    assert shown == model_types.table()
