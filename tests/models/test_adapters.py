"""Adapters on disk: whole files, the old ones or the new ones, whatever comes in between."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from savi.errors import SaviError
from savi.models.adapters import save_adapter

WEIGHTS = "adapter_model.safetensors"


@pytest.fixture
def model() -> PeftModel:
    return get_peft_model(nn.Sequential(nn.Linear(4, 4)), LoraConfig(r=2, target_modules=["0"]))


def set_weights(model: PeftModel, value: float) -> None:
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.fill_(value)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_later_adapter_takes_the_place_of_an_earlier_one(model: PeftModel, tmp_path: Path) -> None:
    for value in (1.0, 2.0):
        set_weights(model, value)
        save_adapter(model, tmp_path / "adapter")
        assert all((weight == value).all() for weight in load_file(tmp_path / "adapter" / WEIGHTS).values())
    assert names(tmp_path) == {"adapter"}
    assert {WEIGHTS, "adapter_config.json"} <= names(tmp_path / "adapter")


@pytest.mark.parametrize(
    "error", [OSError(28, "No space left on device"), SafetensorError("I/O error: No space left on device")]
)
def test_a_full_disk_leaves_the_earlier_adapter(
    error: Exception, model: PeftModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_adapter(model, tmp_path / "adapter")
    before = (tmp_path / "adapter" / WEIGHTS).read_bytes()

    def half(folder: str) -> None:
        Path(folder).mkdir()
        (Path(folder) / WEIGHTS).write_bytes(b"half")
        raise error

    monkeypatch.setattr(model, "save_pretrained", half)
    with pytest.raises(SaviError, match=r"adapter: the adapter can't be written: .*No space left on device"):
        save_adapter(model, tmp_path / "adapter")
    assert (tmp_path / "adapter" / WEIGHTS).read_bytes() == before
    assert names(tmp_path) == {"adapter"}


def test_what_a_killed_run_left_half_written_goes(model: PeftModel, tmp_path: Path) -> None:
    (tmp_path / "adapter.tmp").mkdir()
    (tmp_path / "adapter.tmp" / "half").write_bytes(b"half")
    save_adapter(model, tmp_path / "adapter")
    assert names(tmp_path) == {"adapter"}
    assert "half" not in names(tmp_path / "adapter")
