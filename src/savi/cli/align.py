"""`savi fit` from Python: the same settings, files and results, and the trained model at the end."""

from __future__ import annotations

import gc
import json
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from savi.cli.flat import flat
from savi.cli.stages import run
from savi.errors import SaviError, describe_os_error
from savi.runs import AlignedModel, load_run

WORLD = (None, "world")


def align(
    base: str | Path | None = None,
    clips: str | Path | None = None,
    *,
    pairs: str | Path | None = None,
    experiment: str | Path | Sequence[str | Path] | None = None,
    settings: Mapping[str, Any] | None = None,
    name: str | None = None,
    runs: str | Path = "lightning_logs",
    resume: bool = False,
    force: bool = False,
    trust_remote_code: bool = False,
) -> AlignedModel:
    """Align a model, as `savi fit` does, and load the result.

    Args:
        base: Folder or hub name of a checkpoint (`model.base.path`). None: the experiment's own.
        clips: Videos to learn from (`data.clips`): a folder, a glob, a video file or a manifest. None: the
            experiment's own.
        pairs: Preference pairs from files to learn from (`data.pairs`), in place of those that the model makes.
        experiment: Experiment files, or names of packaged ones, as `--config` takes them; of several, later ones win.
            None: `demo`, or `pairs` with pairs from files; for a base other than `world`, `qlora` or `pairs_qlora`,
            which need a GPU.
        settings: Further settings, nested or by dotted key: {"trainer.max_epochs": 2, "model": {"dpo": {"beta": 0.2}}}.
            They win over the experiment, and are all those that `savi fit --help` lists.
        name: Name of the run. None: that of the last experiment.
        runs: Folder that holds all runs.
        resume: Resume the newest run of this name where it stopped, in place of a new one.
        force: Begin also where a check of the model fails, or the readiness check expects no pair.
        trust_remote_code: Run Python code that the checkpoint brings along.

    Returns:
        The trained model, loaded as `savi.load_run` loads it. Its `run.folder` is the run's.

    Raises:
        SaviError: For everything that `savi fit` ends with one line for: unknown settings, missing files, a full disk,
            a run that can't be resumed with these settings.

    The random generators are seeded, as in the command. The number of torch's threads is what it was before.
    """
    known = flat(settings or {})
    chosen = {"model.base.path": base, "data.clips": clips, "data.pairs": pairs, "name": name, "runs": runs}
    given = {**dict(known), **{key: value for key, value in chosen.items() if value is not None}}
    files = experiment if experiment is not None else _default(base, pairs)
    names = [files] if isinstance(files, str | Path) else files
    options = [f"--config={file}" for file in names]
    options += [word for key, value in given.items() for word in _option(key, value)]
    options += ["--ckpt_path=last"] * resume + ["--force"] * force
    options += ["--model.base.trust_remote_code=true"] * trust_remote_code
    threads = torch.get_num_threads()
    try:
        with warnings.catch_warnings():
            folder = run(["fit", *options])
    except OSError as error:
        raise SaviError(describe_os_error(error)) from error
    finally:
        torch.set_num_threads(threads)
    gc.collect()  # the trained model goes before it is loaded again: a GPU may not hold two
    return load_run(folder, trust_remote_code=trust_remote_code)


def _default(base: str | Path | None, pairs: str | Path | None) -> str:
    if base in WORLD:
        return "demo" if pairs is None else "pairs"
    return "qlora" if pairs is None else "pairs_qlora"


def _option(key: str, value: Any) -> Iterator[str]:
    """A setting as the command line takes it."""
    if isinstance(value, str | Path):
        yield f"--{key}={value}"
        return
    try:
        yield f"--{key}={json.dumps(value)}"
    except TypeError:
        raise SaviError(
            f"{key}: a setting is a text, a number, true, false, null, or a list or mapping of these"
        ) from None
