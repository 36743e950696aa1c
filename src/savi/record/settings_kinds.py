"""What each setting is to a run that exists already: part of its identity, free to change, or irrelevant to it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from savi.record.earlier_methods import method_of


class Kind(Enum):
    """IDENTITY: another value makes it another run, so a resume refuses it. CHANGEABLE: a resume applies the new value
    from the next round on, and results.json has it round by round. IRRELEVANT: no result depends on it."""

    IDENTITY = "identity"
    CHANGEABLE = "changeable"
    IRRELEVANT = "irrelevant"


ID, CHANGE, NONE = Kind.IDENTITY, Kind.CHANGEABLE, Kind.IRRELEVANT

KINDS: dict[str, Kind] = {
    "seed_everything": ID,
    "model.base.path": ID,  # by content, see BY_CONTENT
    "model.base.dtype": ID,
    "model.base.nf4": ID,
    "model.base.thought_tokens": ID,
    "model.base.gradient_checkpointing": NONE,  # memory against time
    "model.base.cuda_graphs": NONE,  # time
    "model.base.trust_remote_code": NONE,  # asked for anew on every command line
    "model.pairs": ID,
    "model.lora.r": ID,
    "model.lora.alpha": ID,
    "model.lora.dropout": CHANGE,
    "model.lora.experts": ID,
    "model.loss": CHANGE,
    "model.dpo.beta": CHANGE,
    "model.dpo.loss": CHANGE,
    "model.dpo.label_smoothing": CHANGE,
    "model.dpo.nll_weight": CHANGE,
    "model.dpo.length_normalised": CHANGE,
    "model.optimizer.name": ID,  # the moments of one are of no use to the other
    "model.optimizer.lr": CHANGE,
    "model.optimizer.weight_decay": CHANGE,
    "model.optimizer.warmup_steps": CHANGE,
    "model.optimizer.clip_norm": CHANGE,
    "model.chain.questions_per_aspect": ID,
    "model.chain.answer_samples": ID,
    "model.chain.decoding": ID,
    "model.chain.question_replies": ID,
    "model.chain.question.temperature": ID,
    "model.chain.question.top_p": ID,
    "model.chain.question.max_new_tokens": ID,
    "model.chain.answer.temperature": ID,
    "model.chain.answer.top_p": ID,
    "model.chain.answer.max_new_tokens": ID,
    "model.chain.critique.temperature": ID,
    "model.chain.critique.top_p": ID,
    "model.chain.critique.max_new_tokens": ID,
    "model.chain.revision.temperature": ID,
    "model.chain.revision.top_p": ID,
    "model.chain.revision.max_new_tokens": ID,
    "model.filters.max_length_ratio": ID,
    "model.filters.length_slack": ID,
    "model.filters.max_repeats": ID,
    "model.filters.least_logp": ID,
    "model.filters.most_logp_drop": ID,
    "model.filters.language_logp": ID,
    "model.filters.cut_critiques": ID,
    "model.filters.question_form": ID,
    "model.filters.other_aspect": ID,
    "model.filters.task_talk": ID,
    "model.filters.answer_approved": ID,
    "model.filters.unanswerable": ID,
    "model.filters.same_meaning": ID,
    "model.own_filters": ID,
    "model.prompts.preset": ID,
    "model.prompts.texts": ID,
    "model.reference": ID,
    "model.reply.temperature": CHANGE,
    "model.reply.top_p": CHANGE,
    "model.reply.max_new_tokens": CHANGE,
    "model.prefix_cache.mib": NONE,
    "model.prefix_cache.gib": NONE,
    "model.prefix_cache.folder": NONE,
    "data.clips": ID,  # by content
    "data.clip_count": ID,  # by content
    "data.benchmark": CHANGE,
    "data.benchmark_scorer": CHANGE,
    "data.benchmark_set": CHANGE,
    "data.test_set": NONE,  # what `savi test` measures says results.json
    "data.wording": CHANGE,
    "data.benchmark_clips": CHANGE,
    "data.benchmark_seed": CHANGE,
    "data.labelled": CHANGE,  # read for the readiness check, before the first round
    "data.readiness_clips": CHANGE,
    "data.held_out": ID,  # other clips would be learned from
    "data.held_out_clips": ID,
    "data.pairs": ID,  # by content
    "data.videos": NONE,  # a place; the videos count
    "data.max_length": ID,
    "data.frames": ID,
    "data.max_pixels": ID,
    "data.decode_timeout": CHANGE,
    "data.pairs_per_step": CHANGE,
    "data.micro_batch_clips": NONE,  # memory against time
    "data.generation_batch_clips": CHANGE,  # the controls hand critiques on within a batch
    "data.epochs_per_round": CHANGE,
    "data.workers": NONE,
    "data.frame_cache.gib": NONE,
    "data.frame_cache.folder": NONE,
    "data.cache": NONE,
    "name": NONE,
    "runs": NONE,
    "wandb": NONE,
    "force": NONE,
    "threads": NONE,
    "ckpt_path": NONE,
    "trainer.precision": CHANGE,
    "trainer.max_epochs": CHANGE,
    "trainer.min_epochs": CHANGE,
    "trainer.max_steps": CHANGE,
    "trainer.min_steps": CHANGE,
    "trainer.max_time": CHANGE,
    "trainer.limit_train_batches": CHANGE,
    "trainer.limit_val_batches": CHANGE,
    "trainer.overfit_batches": CHANGE,
    "trainer.val_check_interval": CHANGE,
    "trainer.check_val_every_n_epoch": CHANGE,
    "trainer": NONE,  # the machine, what is logged, and flags that savi decides itself
}
"""Every setting of `savi fit` by its key. A key that isn't here is decided by the nearest group above it."""

BY_CONTENT = ("model.base.path", "data.clips", "data.clip_count", "data.pairs")
"""Identity settings that name a place: files that were moved are the same files. Compared are the base's fingerprint,
the ids of the clips and the pairs in files, once they are known, not the names."""

OF_THE_MODEL = (
    "model.base.dtype",
    "model.base.nf4",
    "model.base.thought_tokens",
    "model.lora.r",
    "model.lora.alpha",
    "model.lora.experts",
    "model.prompts.preset",
    "model.prompts.texts",
)
"""Identity settings that also decide what an evaluation of a trained model measures."""


@dataclass(frozen=True)
class Difference:
    """A setting that an earlier start had and that is given now."""

    key: str
    earlier: Any
    given: Any


def kind_of(key: str) -> Kind:
    """The kind of a setting, by its own entry or the nearest group's. Raises KeyError if nobody has decided."""
    place = key
    while place not in KINDS:
        place, dot, _ = place.rpartition(".")
        if not dot:
            raise KeyError(key)
    return KINDS[place]


def flatten(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that an earlier start is compared by, by dotted key. settings: nested, as config.yaml has them."""
    return dict(_found(settings))


def _found(settings: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for key, kind in KINDS.items():
        value: Any = settings
        for part in key.split("."):
            if not isinstance(value, Mapping) or part not in value:
                break
            value = value[part]
        else:
            if kind is not Kind.IRRELEVANT:
                yield key, value


LATER: dict[str, Any] = {
    "model.pairs": method_of({}),
    "model.own_filters": None,
    "model.lora.experts": False,
    "model.chain.answer_samples": 0,
    "model.chain.decoding": "own",
    "model.filters.most_logp_drop": None,
    "model.filters.language_logp": None,
    "model.filters.cut_critiques": False,
    "model.filters.question_form": False,
    "model.filters.other_aspect": False,
    "model.filters.task_talk": False,
    "model.filters.answer_approved": False,
    "model.filters.unanswerable": False,
    "model.filters.same_meaning": "words",
}
"""What runs did before a setting existed, where its default is another one now."""


def in_words(value: Any) -> str:
    """A setting's value; a class with its arguments as Python would call it."""
    if not isinstance(value, Mapping) or "class_path" not in value:
        return str(value)
    arguments = (f"{name}={in_words(one)}" for name, one in (value.get("init_args") or {}).items() if one is not None)
    return f"{value['class_path'].rpartition('.')[2]}({', '.join(arguments)})"


def without_later(settings: Mapping[str, Any], place: str) -> dict[str, Any]:
    """A group of settings without those that say what was done before they existed. place: the group's key.

    Digests are made of these, so that a round that was begun before a setting existed can be resumed.
    """
    return {name: value for name, value in settings.items() if LATER.get(f"{place}.{name}", ...) != value}


def differences(earlier: Mapping[str, Any], given: Mapping[str, Any], kind: Kind) -> list[Difference]:
    """The settings of one kind that differ, of those that both have; without those that are compared by content."""
    return [
        Difference(key, earlier[key], value)
        for key, value in given.items()
        if KINDS[key] is kind and key not in BY_CONTENT and key in earlier and earlier[key] != value
    ]


def of_rounds(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The changeable settings of the model and the data, which results.json keeps with every round."""
    return {
        key: value
        for key, value in settings.items()
        if KINDS[key] is Kind.CHANGEABLE and key.startswith(("model.", "data."))
    }
