"""A run's folder read back: how its model was loaded and asked, its adapter, and its results."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import yaml

from savi.evaluation.measured import read_results
from savi.models.adapters import LoraSettings, attach_lora, load_lora
from savi.models.load import BaseSettings, LoadedBase, load_base
from savi.models.session import Reference
from savi.models.video_lm import VideoLM
from savi.models.weights import fingerprint
from savi.prompts.templates import Prompts, PromptSettings
from savi.record.earlier_methods import method_of
from savi.record.renamed import current_config
from savi.record.resume import newest_config
from savi.types import Sampling, SaviError

if TYPE_CHECKING:
    from peft import PeftModel

ADAPTER = Path("adapter") / "adapter_model.safetensors"
DATA = ("clips", "clip_count", "frames", "max_pixels", "decode_timeout")


@dataclass(frozen=True)
class Run:
    """A run with an adapter.

    base: where it is now. fingerprint: of the base that the adapter was made over. data: settings of the same name.
    config: every setting of the run's newest start, resolved. results: the parsed results.json. named_in: the file that
    names the base, where it is neither the command line, nor savi, nor the run's folder that the base is of.
    """

    folder: Path
    base: BaseSettings
    lora: LoraSettings
    fingerprint: str
    prompts: Prompts
    reply: Sampling
    data: dict[str, Any]
    config: dict[str, Any]
    results: dict[str, Any]
    named_in: Path | None

    @property
    def adapter(self) -> Path:
        return (self.folder / ADAPTER).parent

    @property
    def embedded(self) -> bool:
        """Whether the base is the miniature inside savi, which no hub has."""
        return self.base.path == "world"

    @property
    def greedy(self) -> Sampling:
        return replace(self.reply, temperature=0.0)


def read_run(folder: Path, base: str | None = None, *, trust_remote_code: bool = False) -> Run:
    """base: where the base is now, if not where the run had it. trust_remote_code: run code that the base brings along;
    the run's own setting doesn't count, for its folder may be somebody else's.

    Raises SaviError for a folder that is no run's, and for a run without an adapter yet.
    """
    if not (folder / "config.yaml").is_file():
        raise SaviError(f"{folder} is no run (lightning_logs/<name>/version_<n>): it has no config.yaml")
    if not (folder / ADAPTER).is_file():
        raise SaviError(f"{folder} has no adapter: its first round isn't finished")
    source = newest_config(folder)
    try:
        config = current_config(yaml.safe_load(source.read_text(encoding="utf-8")))
        results = read_results(folder / "results.json")
        settings = config["model"]
        settings["pairs"] = settings.get("pairs") or method_of({})
        given = BaseSettings(**{**settings["base"], "trust_remote_code": trust_remote_code})
        return Run(
            folder=folder,
            base=replace(given, path=base or given.path),
            lora=LoraSettings(**settings["lora"]),
            fingerprint=results["run"]["base_fingerprint"],
            prompts=PromptSettings(**settings["prompts"]).build(),
            reply=Sampling(**settings["reply"]),
            data={name: config["data"][name] for name in DATA},
            config=config,
            results=results,
            named_in=None if base or _is_own(given.path, folder) else source,
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise SaviError(f"{folder}: made by another version of savi ({error})") from None
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise SaviError(f"{folder}: its files can't be read: {' '.join(str(error).split())}") from None


def _is_own(base: str, folder: Path) -> bool:
    """Whether a base is savi's own or lies in the run's folder."""
    return base == "world" or (Path(base).is_dir() and Path(base).resolve().is_relative_to(folder.resolve()))


def newest_run(runs: Path) -> Path:
    """The run below `runs` whose adapter was written last. Raises SaviError if there is none."""
    adapters = sorted(runs.glob(f"*/version_*/{ADAPTER}"), key=lambda path: path.stat().st_mtime)
    if not adapters:
        raise SaviError(f"--run: there is no run with an adapter in {runs}; name one, or train one (savi fit)")
    return adapters[-1].parent.parent


def load_run_base(run: Run, settings: BaseSettings) -> LoadedBase:
    """A run's base, on the GPU if there is one. Raises SaviError if it isn't the one that the run was made over."""
    loaded = load_base(settings, safetensors_only=not settings.trust_remote_code)
    if fingerprint(loaded.model) != run.fingerprint:
        raise SaviError(f"--base: the adapter of {run.folder} was made over another model than {settings.path}")
    to_gpu(loaded, settings)
    return loaded


def to_gpu(loaded: LoadedBase, settings: BaseSettings) -> None:
    """Move a base to the GPU if there is one."""
    if torch.cuda.is_available() and not settings.nf4:  # in four bits it is there already
        loaded.model.to("cuda")


def load_aligned(run: Run) -> VideoLM:
    """The run's model with its adapter, as it was trained."""
    loaded = load_run_base(run, replace(run.base, gradient_checkpointing=False))
    reference: Reference = run.config["model"]["reference"]
    return VideoLM(loaded, load_adapter(run, loaded), reference)


def load_plain(settings: BaseSettings, frames: int | None = None) -> VideoLM:
    """A checkpoint without a run, under a fresh adapter, which adds nothing. frames: as load_base() takes them."""
    loaded = load_base(settings, frames, safetensors_only=not settings.trust_remote_code)
    to_gpu(loaded, settings)
    adapted = attach_lora(loaded.model, loaded.family, LoraSettings())
    adapted.eval()
    return VideoLM(loaded, adapted)


def load_adapter(run: Run, loaded: LoadedBase) -> PeftModel:
    """A run's adapter over its base. Raises SaviError where the run's files don't agree on its shape."""
    written = json.loads((run.adapter / "adapter_config.json").read_text(encoding="utf-8"))
    shape = {"r": run.lora.r, "lora_alpha": run.lora.alpha}
    if wrong := [name for name, value in shape.items() if written.get(name) != value]:
        raise SaviError(f"{run.adapter}: its {wrong[0]} is {written.get(wrong[0])}, the run's is {shape[wrong[0]]}")
    adapted = load_lora(loaded.model, loaded.family, run.lora, run.folder / ADAPTER)
    adapted.eval()
    return adapted
