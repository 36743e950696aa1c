"""What `--ckpt_path` means: which run, which of its checkpoints, and whether the settings given now fit it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from savi.critique.round_files import built_clips
from savi.errors import SaviError
from savi.record.checkpoint_files import CheckpointFile, inspect_checkpoint, newest_checkpoint
from savi.record.renamed import current_config
from savi.record.settings_kinds import LATER, OF_THE_MODEL, Difference, Kind, differences, flatten, in_words
from savi.types import Clip

Settings = Mapping[str, Any]
"""By dotted key, as :func:`savi.record.settings_kinds.flatten` gives them."""


@dataclass(frozen=True)
class TakenUp:
    """What a command takes up. checkpoint: None to begin with the first clip. notes: lines for the user."""

    checkpoint: CheckpointFile | None
    notes: tuple[str, ...] = ()


def versions(runs: Path, *, begun: bool = False) -> list[int]:
    """The numbers of the version_<n> folders below `runs`, in order. begun: those alone in which a fit has started."""
    folders = [path for path in runs.glob("version_*") if path.name[8:].isdigit()]
    marks = ("config.yaml", "lock")
    return sorted(int(path.name[8:]) for path in folders if not begun or any((path / mark).is_file() for mark in marks))


def checkpoint_to_resume(run: Path, given: Settings, defaults: Settings) -> TakenUp:
    """The newest checkpoint at the end of a round of `run`.

    given: the settings of this start. defaults: those of the parser, for what an older run didn't know. Raises
    SaviError for settings of another run, and for a run that can't be resumed.
    """
    checkpoint = newest_checkpoint(run, at_end_of_round=True)
    if checkpoint is None and not any((run / "checkpoints").glob("*.ckpt")):
        _refuse_lost_checkpoints(run)
    if checkpoint is None and not (run / "config.yaml").is_file():
        return TakenUp(None)  # killed before it began
    earlier = {**defaults, **LATER, **((checkpoint and checkpoint.settings) or read_config(run / "config.yaml"))}
    if wrong := differences(earlier, given, Kind.IDENTITY):
        raise SaviError(f"{run} was begun with {_list(wrong)}; take that, or start a new run without --ckpt_path")
    rounds, limit = checkpoint.rounds if checkpoint else 0, given["trainer.max_epochs"]
    if limit is not None and 0 <= limit < rounds:
        raise SaviError(f"trainer.max_epochs {limit}: {run} has {rounds} rounds already")
    before = earlier if checkpoint and checkpoint.settings else {**defaults, **LATER, **read_config(newest_config(run))}
    return TakenUp(checkpoint, tuple(_notes(run, rounds, differences(before, given, Kind.CHANGEABLE))))


def _notes(run: Path, rounds: int, changed: Sequence[Difference]) -> Iterator[str]:
    """Which settings are others than before."""
    if (run / "readiness.json").is_file() and any(one.key == "data.labelled" for one in changed):
        yield "data.labelled changes nothing any more: readiness was measured before the first round"
        changed = [one for one in changed if one.key != "data.labelled"]
    if changed:
        yield f"From round {rounds + 1} on, {_list(changed, reverse=True)}"


def checkpoint_to_measure(place: Path, given: Settings, defaults: Settings) -> TakenUp:
    """The newest checkpoint of a run's folder, or the one in a file. Raises SaviError for settings of another model."""
    checkpoint = inspect_checkpoint(place) if place.is_file() else newest_checkpoint(place, at_end_of_round=False)
    if checkpoint is None:
        raise SaviError(f"--ckpt_path last: {place} has no checkpoint yet")
    config = checkpoint.path.parent.parent / "config.yaml"
    if checkpoint.settings is None and not config.is_file():
        note = f"{place} doesn't hold its settings: model.lora.alpha and model.prompts are taken as given"
        return TakenUp(checkpoint, (note,))
    earlier = {**defaults, **LATER, **(checkpoint.settings or read_config(config))}
    wrong = [one for one in differences(earlier, given, Kind.IDENTITY) if one.key in OF_THE_MODEL]
    if wrong:
        raise SaviError(f"{checkpoint.path} was trained with {_list(wrong)}; take that")
    return TakenUp(checkpoint)


def read_config(path: Path) -> dict[str, Any]:
    """The settings of a start, flat. Raises SaviError for a file that can't be read."""
    try:
        return flatten(current_config(yaml.safe_load(path.read_text(encoding="utf-8"))))
    except (OSError, yaml.YAMLError, UnicodeDecodeError, AttributeError, TypeError) as error:
        raise SaviError(f"{path} can't be read: {' '.join(str(error).split())}") from None


def check_base(run: Path, fingerprint: str, path: str) -> None:
    """Raises SaviError where the base isn't the one that the run's results were measured with, wherever it is now."""
    earlier = _results(run).get("run", {}).get("base_fingerprint", fingerprint)
    if earlier != fingerprint:
        raise SaviError(f"model.base.path: {path} is {fingerprint}, and {run} was begun over {earlier}")


def check_clips(run: Path, clips: Sequence[Clip], source: str) -> None:
    """Raises SaviError where the clips aren't those of the run's first round, wherever their files are now."""
    built, whole = built_clips(run, 0)
    now = [clip.id for clip in clips]
    if built == (now if whole else now[: len(built)]):
        return
    place = next(
        (i for i, ids in enumerate(zip(built, now, strict=False)) if ids[0] != ids[1]), min(len(built), len(now))
    )
    names = [f"{ids[place]!r}" if place < len(ids) else "none" for ids in (built, now)]
    raise SaviError(
        f"data.clips: {source} gives other clips than {run} was begun with (clip {place + 1} is {names[1]}, and was "
        f"{names[0]}); a run learns from the same clips in every round: put them back, or start a new run"
    )


def newest_config(run: Path) -> Path:
    """The settings of the start of a run that came last: config.yaml, config_02.yaml, ..."""
    return max(run.glob("config*.yaml"), key=lambda path: (len(path.name), path.name))


def _refuse_lost_checkpoints(run: Path) -> None:
    """Raises SaviError where rounds were finished whose checkpoints are gone.

    A kill between the first round's evaluation and its checkpoint leaves results of one round, and no more: that round
    is trained again, from its own pairs.
    """
    rounds = max((entry["round"] for entry in _results(run).get("rounds", ())), default=0)
    later = any((run / "pairs").glob("round_01.*"))
    if later or rounds > 1 or (rounds == 1 and (run / "summary.png").is_file()):
        raise SaviError(
            f"--ckpt_path last: {run} has finished rounds and no checkpoint to resume from; start a new run without "
            "--ckpt_path"
        )


def _results(run: Path) -> dict[str, Any]:
    """The parsed results.json; {} where a run has none yet."""
    path = run / "results.json"
    try:
        return dict(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else {}
    except (OSError, ValueError) as error:
        raise SaviError(f"{path} can't be read ({error})") from None


def _list(found: Sequence[Difference], *, reverse: bool = False) -> str:
    """Differences in words: "model.lora.alpha 16, not 64"; with reverse the given value comes first."""
    pairs = [(one.key, _short(one.earlier), _short(one.given)) for one in found]
    texts = [
        f"{key} {given} (was {earlier})" if reverse else f"{key} {earlier}, not {given}"
        for key, earlier, given in pairs
    ]
    return "; ".join(texts)


def _short(value: Any) -> str:
    text = " ".join(in_words(value).split())
    return text if len(text) <= 60 else f"{text[:57]}..."
