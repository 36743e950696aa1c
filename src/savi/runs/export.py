"""A run's model for use without savi: its adapter, or base and adapter merged, with a card and a script to ask it."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from savi.errors import SaviError
from savi.models.adapters import lora_config
from savi.models.chat import Chat
from savi.models.load import load_known
from savi.runs import plain
from savi.runs.card import model_card
from savi.runs.read import ADAPTER, Run, load_adapter, load_run_base

MERGED_FROM_FOUR_BITS = (
    "The run held its base in 4 bits. Merging into 4-bit weights would change what the model says, so the base was "
    "loaded unquantized; its replies may still differ a little from the run's. The adapter over a 4-bit base is exact."
)


def export_adapter(run: Run, folder: Path) -> list[str]:
    """Write the adapter in PEFT's own format; the embedded base goes along, for no hub has it. Nothing to warn of.

    Raises SaviError for a folder that isn't empty, and where the base's configuration can't be read.
    """
    known = load_known(run.base)
    path, family = known.path, known.family
    _take(folder)
    shutil.copyfile(run.folder / ADAPTER, folder / ADAPTER.name)
    base = str(Path(path).resolve()) if Path(path).is_dir() else path
    if run.embedded:
        base = "base"
        shutil.copytree(path, folder / base)
    config = lora_config(family, run.lora)
    config.base_model_name_or_path = base
    config.inference_mode = True
    config.save_pretrained(str(folder))
    where = {"base": base, "nf4": run.base.nf4, "unquantised": family.unquantized}
    _write_around(run, folder, known.chat, where, merged=False)
    return []


def export_merged(run: Run, folder: Path) -> list[str]:
    """Write the base with the adapter in its weights, in the base's own precision. Returns the warnings for the user.

    Raises SaviError for a folder that isn't empty, and for a base that isn't the run's.
    """
    _take(folder)
    known = load_known(run.base)
    dtype: Any = str(known.config.dtype or run.base.dtype).removeprefix("torch.")
    loaded = load_run_base(run, replace(run.base, dtype=dtype, nf4=False, gradient_checkpointing=False))
    merged: Any = load_adapter(run, loaded).merge_and_unload()
    try:
        merged.save_pretrained(str(folder))
    except SafetensorError as error:
        raise SaviError(f"--to {folder}: the model can't be written: {error}") from error
    loaded.processor.save_pretrained(str(folder))
    where = {"base": ".", "nf4": False, "unquantised": [], "dtype": dtype}
    _write_around(run, folder, known.chat, where, merged=True)
    return [MERGED_FROM_FOUR_BITS] if run.base.nf4 else []


def _take(folder: Path) -> None:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise SaviError(f"--to {folder}: not an empty folder; choose another one")
    folder.mkdir(parents=True, exist_ok=True)


def _write_around(run: Run, folder: Path, chat: Chat, base: dict[str, Any], *, merged: bool) -> None:
    """The script, its settings, and the card."""
    settings = {
        "dtype": run.base.dtype,
        "prompt": run.prompts.answer,
        "frames": run.data["frames"],
        "max_pixels": run.data["max_pixels"],
        "max_new_tokens": run.reply.max_new_tokens,
        "no_thought": chat.template.no_thought,
        "end_ids": sorted(chat.end_ids),
        **base,
    }
    _write_json(folder / "ask.json", settings)
    shutil.copyfile(str(plain.__file__), folder / "ask.py")
    notes = MERGED_FROM_FOUR_BITS if merged and run.base.nf4 else ""
    (folder / "README.md").write_text(model_card(run, merged=merged, notes=notes), encoding="utf-8")


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")
