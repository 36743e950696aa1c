"""A round's preference pairs with the model of a run, without training."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from savi.alignment.round_key import PairsDependOn
from savi.critique.builder import PairBuilder
from savi.critique.filters import FilterSettings
from savi.critique.own_filters import PairFilter, names_of
from savi.critique.settings import ChainSettings
from savi.data.clips import find_clips
from savi.files import content_digest, digest_json
from savi.methods import CRITICS, METHODS, PairMethod, Round
from savi.models.video_lm import VideoLM
from savi.runs.read import ADAPTER, Run, load_plain
from savi.types import Clip, PreferencePair, Sampling, SaviError
from savi.video.prefetch import decode_ahead


@dataclass(frozen=True)
class BuiltPairs:
    """Pairs in the order of the clips, and what became of the rest.

    counts: of the pairs ("pairs", "pairs/spatial", "pairs/temporal"), and of the questions that each filter took, by
    the filter's name. undecodable: why a clip could not be read, by the clip's id.
    """

    pairs: list[PreferencePair]
    counts: dict[str, int]
    undecodable: dict[str, str]


def build_pairs(
    run: Run,
    lm: VideoLM,
    clips: str | Path | Sequence[str | Path],
    folder: str | Path | None = None,
    method: PairMethod | None = None,
    own_filters: Sequence[PairFilter] | None = None,
) -> BuiltPairs:
    """The pairs of the round after the run's last one: its chain, filters, prompts and seed, its model as it is now.

    lm: the run's model, from load_aligned(). clips: a folder, glob or manifest, as data.clips takes them; or paths of
    video files, whose ids are then the paths. folder: keeps pairs and traces, so that a killed call is continued;
    None: nothing is kept. method: makes the pairs instead of the run's own method. own_filters: the filters of
    model.own_filters, or others in their place; [] for none. Raises SaviError for clips that
    aren't there, for a run on pairs from files, for a run whose method or filters aren't savi's own and aren't
    given, and for a folder that was begun with other clips or another model.
    """
    if run.config["data"].get("pairs"):
        raise SaviError(f"{run.folder} was trained on pairs from files: it has no chain that makes pairs")
    method = method or _method_of(run)
    if own_filters is None and run.config["model"].get("own_filters"):
        raise SaviError(f"{run.folder}: its pairs pass filters of the user's own; give instances as `own_filters`")
    own = own_filters or ()
    names_of(own)
    found = (
        find_clips(clips)
        if isinstance(clips, str | Path)
        else [Clip(str(path), Path(path)) for path in dict.fromkeys(clips)]
    )
    if not found:
        raise SaviError("pairs: no clips")
    if folder is not None and (Path(folder) / "config.yaml").exists():
        raise SaviError(f"{folder} is a run's folder; name one of its own for the pairs")
    if folder is not None:
        return _build(run, lm, found, Path(folder), method, own)
    with TemporaryDirectory(prefix="savi-pairs-") as scratch:
        return _build(run, lm, found, Path(scratch), method, own)


def _build(
    run: Run, lm: VideoLM, clips: Sequence[Clip], folder: Path, method: PairMethod, own: Sequence[PairFilter]
) -> BuiltPairs:
    chain, filters = _settings(run)
    batch_clips = run.config["data"]["generation_batch_clips"] or run.config["data"]["micro_batch_clips"]
    method.check(clips, batch_clips, run.data["frames"])
    following = max(entry["round"] for entry in run.results["rounds"])  # results count from 1, the chain from 0
    seed = run.results["run"]["seed"]
    depend_on = PairsDependOn(
        seed=seed,
        fingerprint=run.fingerprint,
        base=run.base,
        reference=lm.reference,
        method=method,
        prompts=run.prompts,
        chain=chain,
        filters=filters,
        own_filters=own,
        frames=run.data["frames"],
        max_pixels=run.data["max_pixels"],
        precision="32-true",
        batch_clips=batch_clips,
    )
    # In a run the adapter follows from the settings. Here any run may come with the same folder.
    key = digest_json([depend_on.key(clips, folder, following), content_digest(run.folder / ADAPTER)])
    load = cache(partial(_another, run))
    round = Round(lm, run.prompts, chain, filters, run_seed=seed, index=following, load=load, own_filters=own)
    maker = method.maker(round)
    builder = PairBuilder(maker, partial(_decode, run, batch_clips, lm), clips, batch_clips, folder, key)
    for _ in builder.build():
        pass
    built = builder.close()
    return BuiltPairs(list(built.pairs), built.counts, built.rejected)


def _another(run: Run, path: str) -> VideoLM:
    return load_plain(replace(run.base, path=path), run.data["frames"])


def _method_of(run: Run) -> PairMethod:
    """The method of a run's model.pairs. Raises SaviError for one that isn't savi's own: a run's folder may be somebody
    else's, and the code that it names isn't run."""
    named = run.config["model"]["pairs"]
    try:
        arguments = dict(named.get("init_args") or {})
        if critic := arguments.get("critic"):
            arguments["critic"] = _own(run, critic, CRITICS)(**critic.get("init_args") or {})
        method: PairMethod = _own(run, named, METHODS)(**arguments)
    except TypeError as error:
        raise SaviError(f"{run.folder}: made by another version of savi ({error})") from None
    return method


def _own(run: Run, named: Mapping[str, Any], classes: Mapping[str, type[Any]]) -> type[Any]:
    package, _, name = named["class_path"].rpartition(".")
    own = {one.__name__: one for one in classes.values()}
    if not f"{package}.".startswith("savi.") or name not in own:
        raise SaviError(
            f"{run.folder}: its pairs are made by {named['class_path']}; give an instance of the method as `method`"
        )
    return own[name]


def _settings(run: Run) -> tuple[ChainSettings, FilterSettings]:
    """A run's chain and filters from its config.yaml. Raises SaviError."""
    try:
        chain, filters = run.config["model"]["chain"], run.config["model"]["filters"]
        parts = {name: Sampling(**chain[name]) for name in ("question", "answer", "critique", "revision")}
        return ChainSettings(**{**chain, **parts}), FilterSettings(**filters)
    except (KeyError, TypeError, AttributeError) as error:
        raise SaviError(f"{run.folder}: made by another version of savi ({error})") from None


def _decode(run: Run, batch_clips: int, lm: VideoLM, sources: Iterable[Any]) -> Iterator[Any]:
    data = run.data
    return decode_ahead(
        sources,
        data["frames"],
        data["decode_timeout"],
        most_pixels=data["max_pixels"],
        ahead=batch_clips + 2,
        prepare=lm.prepare,
    )
