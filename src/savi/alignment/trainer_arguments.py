"""The method's demands on Lightning's Trainer: every flag of it is fixed here, checked here, or free."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from savi.errors import SaviError


@dataclass(frozen=True)
class Fixed:
    """A Trainer argument that has one value in savi."""

    value: Any
    reason: str
    """Why, as the end of a sentence that refuses another value."""


TRAINER_ARGUMENTS: Mapping[str, Fixed] = {
    "reload_dataloaders_every_n_epochs": Fixed(1, "a round's pairs are built by the model of that round"),
    "num_sanity_val_steps": Fixed(-1, "the base is measured on all held-out items before the first round"),
    "accumulate_grad_batches": Fixed(1, "one batch is one optimizer step, of data.pairs_per_step pairs"),
    "gradient_clip_val": Fixed(None, "model.optimizer.clip_norm bounds the norm of a step's gradient"),
    "gradient_clip_algorithm": Fixed(None, "model.optimizer.clip_norm bounds the norm of a step's gradient"),
    "val_check_interval": Fixed(1.0, "a round is evaluated at its end; check_val_every_n_epoch leaves rounds out"),
    "enable_checkpointing": Fixed(True, "a run is resumed from the checkpoint of its last round"),
    "use_distributed_sampler": Fixed(False, "each process takes its share of clips, pairs and items by itself"),
    "sync_batchnorm": Fixed(False, "the base is frozen, and the adapter has no batch norm"),
    "fast_dev_run": Fixed(
        False, "a step needs a round's pairs; a short run is --data.clip_count=8 --trainer.max_epochs=1"
    ),
    "barebones": Fixed(False, "a run measures its base, and evaluates and saves every round"),
    "default_root_dir": Fixed(None, "a run's folder is <runs>/<name>/version_<n>, by --runs and --name"),
    "model_registry": Fixed(None, "savi uploads no checkpoints; `savi export` writes a model to a folder"),
    "limit_predict_batches": Fixed(None, "savi has no predict loop; `savi ask` asks a model"),
}
"""The values that the method's loop depends on. The command line passes them, whatever an experiment file says."""

FREE = frozenset(
    (
        "devices",
        "num_nodes",
        "logger",
        "overfit_batches",
        "min_epochs",
        "min_steps",
        "max_time",
        "limit_val_batches",
        "limit_test_batches",
        "log_every_n_steps",
        "enable_progress_bar",
        "enable_model_summary",
        "deterministic",
        "benchmark",
        "inference_mode",
        "detect_anomaly",
        "enable_autolog_hparams",
    )
)
"""Arguments that mean in savi what Lightning's documentation says, with any value."""


def check_arguments(given: Mapping[str, Any]) -> None:
    """Raises SaviError for the first argument that the method can't run with. given: values by name, None if not given.

    Values may be objects, or a parser's records of a class: an object with a `class_path`.
    """
    for name, value in given.items():
        if value is None:
            continue
        fixed = TRAINER_ARGUMENTS.get(name)
        # Lightning reads 1 as one batch, and 1.0 as all of them.
        if fixed and (value != fixed.value or isinstance(value, float) != isinstance(fixed.value, float)):
            raise SaviError(f"trainer.{name} has to be {_yaml(fixed.value)}, not {_yaml(value)}: {fixed.reason}")
        for one in value if isinstance(value, list | tuple) else [value]:
            if name in CHECKED and (reason := CHECKED[name](one)):
                raise SaviError(f"trainer.{name} {_yaml(one)}: {reason}")


def _accelerator(value: Any) -> str | None:
    if str(value).lower() == "mps":
        return "Apple's GPUs have no double precision, which sampling needs; take cpu"
    return "savi runs on CPUs and on GPUs with CUDA" if str(value).lower() in ("tpu", "hpu") else None


def _strategy(value: Any) -> str | None:
    """Sharded models need all processes in every forward pass, and each process writes texts of its own length."""
    name = str(getattr(value, "class_path", value)).lower().replace("_", "")
    if any(sharding in name for sharding in ("fsdp", "deepspeed", "modelparallel")):
        return (
            "it cuts the model up over processes, which wait for each other in every pass; savi gives each its own "
            "clips and needs the whole model in each: take ddp, and model.base.nf4=true for space"
        )
    start = getattr(getattr(value, "init_args", None), "start_method", None) or name
    if any(method in start for method in ("spawn", "fork", "notebook")):
        return "a mistake in one of its processes would be a traceback; take ddp, which starts them as commands"
    return None


def _precision(value: Any) -> str | None:
    if str(value) in ("32", "32-true", "bf16", "bf16-mixed"):
        return None
    if str(value) in ("16", "16-mixed"):
        return "its scaled loss doesn't go with model.optimizer.clip_norm; take bf16-mixed, or model.base.dtype=float16"
    return "the adapter learns in float32; model.base.dtype is the precision of the base (bfloat16, float16)"


def _plugins(value: Any) -> str | None:
    name = _class_name(value)
    if "Precision" in name:
        return "trainer.precision and model.base.dtype set the precision"
    return TRAINER_ARGUMENTS["sync_batchnorm"].reason if name.endswith(("LayerSync", "SyncBatchNorm")) else None


AVERAGING = "a round's adapter is saved and measured as it was trained, so an average would be measured nowhere"
TUNING = "one batch is one optimizer step of savi's own; data.pairs_per_step and data.micro_batch_clips are its sizes"
CALLBACKS = {
    "StochasticWeightAveraging": AVERAGING,
    "WeightAveraging": AVERAGING,
    "EMAWeightAveraging": AVERAGING,
    "GradientAccumulationScheduler": TUNING,
    "BatchSizeFinder": TUNING,
    "LearningRateFinder": "it needs Lightning's own optimizer steps; model.optimizer.lr is the learning rate",
}
"""Callbacks of Lightning's that would fail in the middle of a run, or have no effect on its results."""


def _callbacks(value: Any) -> str | None:
    return CALLBACKS.get(_class_name(value))


def _profiler(value: Any) -> str | None:
    return "savi runs on CPUs and on GPUs with CUDA" if "xla" in f"{value} {_class_name(value)}".lower() else None


def _class_name(value: Any) -> str:
    """The name of a class, given as an object of it or as a parser's record."""
    return str(getattr(value, "class_path", type(value).__name__)).rpartition(".")[2]


def _at_least_one(why: str) -> Callable[[Any], str | None]:
    return lambda value: None if value == -1 or value >= 1 else why


CHECKED: Mapping[str, Callable[[Any], str | None]] = {
    "accelerator": _accelerator,
    "strategy": _strategy,
    "precision": _precision,
    "plugins": _plugins,
    "callbacks": _callbacks,
    "profiler": _profiler,
    "max_epochs": _at_least_one("there would be no round; `savi validate` measures the base"),
    "max_steps": _at_least_one("there would be no optimizer step; `savi validate` measures the base"),
    "limit_train_batches": lambda value: "a round would learn nothing from its pairs" if not value > 0 else None,
    "check_val_every_n_epoch": lambda value: "at least 1" if value < 1 else None,
}
"""Arguments of which some values are refused: a function that says why, None for a value that works."""


def _yaml(value: Any) -> str:
    """A value as an experiment file spells it."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value) if isinstance(value, str | int | float | dict) else _class_name(value)
