"""Every method of savi's own: a round that was stopped after a batch is finished to the byte of an undisturbed one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from savi.critique.builder import PairBuilder
from savi.critique.filters import FilterSettings
from savi.critique.given import GivenPair, GivenPairs, PairsToScore
from savi.critique.reference_logps import ReferenceLogps
from savi.critique.round import Round
from savi.methods import CRITICS, METHODS, PairMethod, VideoSAVi, critics
from savi.models.video_lm import VideoLM
from savi.prompts.templates import WORLD
from savi.types import Clip
from savi.video.decode import decode
from savi.world.clips import training_clips
from tests.critique.test_readiness import WORLD_CHAIN, world_model

OWN: dict[str, PairMethod] = {
    **{name: kind() for name, kind in METHODS.items()},
    **{f"critic {name}": VideoSAVi(kind()) for name, kind in CRITICS.items() if kind is not critics.Another},
    "critic another": VideoSAVi(critics.Another("world")),
}


@pytest.fixture(scope="module")
def model() -> VideoLM:
    return world_model()


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[Clip]:
    return training_clips(tmp_path_factory.mktemp("world") / "train-v3-0", 4, 0)


def to_score(clips: list[Clip]) -> PairsToScore:
    """Two pairs of each clip, as a file has them."""
    pairs = [
        GivenPair(f"row {n} of {clip.id}", clip, "what is it ?", f"thing {n}", "red") for clip in clips for n in (1, 2)
    ]
    return PairsToScore(GivenPairs("pairs.jsonl", None, tuple(pairs), (), {}), ReferenceLogps([], ""), lambda _: [])


def read(sources: Iterable[Any]) -> Iterator[Any]:
    return (decode(source) if isinstance(source, Path) else source for source in sources)


@pytest.mark.parametrize("name", OWN)
def test_a_stopped_round_is_finished_to_the_byte(name: str, model: VideoLM, clips: list[Clip], tmp_path: Path) -> None:
    def builder(folder: Path) -> PairBuilder:
        given = to_score(clips) if name == "from_files" else None
        settings = model, WORLD, WORLD_CHAIN, FilterSettings()
        round = Round(*settings, run_seed=0, index=0, load=lambda _: model, given=given)
        return PairBuilder(OWN[name].maker(round), read, clips, 2, folder, "key")

    def finish(folder: Path) -> dict[str, bytes]:
        built = builder(folder)
        assert sum(built.build()) == 4 - (folder == tmp_path / "stopped") * 2
        assert built.close().pairs
        return {path.name: path.read_bytes() for path in folder.rglob("*.jsonl")}

    whole = finish(tmp_path / "whole")
    next(iter(builder(tmp_path / "stopped").build()))
    assert finish(tmp_path / "stopped") == whole
