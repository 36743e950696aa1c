"""Pairs about images, and pairs whose rejected response is about another clip: each side is scored behind its own."""

from __future__ import annotations

import warnings
from collections import Counter
from pathlib import Path

import pytest
import torch
from PIL import Image

import savi
from savi.alignment.step import pair_metrics
from savi.critique.filters import FilterSettings
from savi.critique.given import PairsToScore
from savi.critique.pairs import read_pairs
from savi.critique.reference_logps import ReferenceLogps
from savi.critique.round import Round
from savi.critique.settings import ChainSettings
from savi.data.batches import StepDataset, group_by_clip
from savi.data.pair_files import read_given_pairs
from savi.data.reading import FrameReader
from savi.inference import ScoreRequest
from savi.methods import FromFiles
from savi.models.adapters import LoraSettings
from savi.objective.dpo import DPOSettings
from savi.prompts.templates import WORLD
from savi.runs.ask import read_frames
from savi.types import TwoClipPair
from savi.video.decode import decode
from savi.world.clips import training_clips
from tools.bench.own_pairs import Workload, largest_difference, train_savi, train_trl
from tools.pair_shapes import Said, swift, trl_plain, write_lines

QUESTION = "what happens ?"


@pytest.fixture(scope="module")
def workload(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Pairs with a rejected video, of another pair or of none, without one, with a bad one, about images; their run."""
    folder = tmp_path_factory.mktemp("two_clips")
    a, b, c, d = (str(one.path) for one in training_clips(folder / "clips", 4, seed=11))
    (folder / "bad.mp4").write_bytes(b"no video")
    rows = [
        swift(Said(a, QUESTION, "it moves", "it moves")) | {"rejected_videos": [b]},
        swift(Said(b, QUESTION, "it moves", "it stays")) | {"rejected_videos": [d]},  # which no other pair is about
        swift(Said(a, QUESTION, "it moves", "no")),
        swift(Said(c, QUESTION, "it stays", "it moves")),
        swift(Said(b, QUESTION, "it is red", "it is blue")) | {"rejected_video": a},
        swift(Said(c, QUESTION, "it is red", "it is blue")) | {"rejected_video": d},
        swift(Said(a, QUESTION, "yes", "no")) | {"rejected_videos": ["bad.mp4"]},
    ]
    for name, clip in (("one", a), ("two", b)):
        for index in (0, 31):
            Image.fromarray(decode(Path(clip)).pixels[index].numpy()).save(folder / f"{name}_{index}.png")
    shown = {"images": ["one_0.png", "one_31.png"]}
    rows += [trl_plain(Said("", QUESTION, "it moves", reply)) | shown | {"video": None} for reply in ("it stays", "no")]
    rows[-1] |= {"rejected_images": ["two_0.png", "two_31.png"]}
    file = write_lines(folder / "pairs.jsonl", rows)
    work = Workload("world", LoraSettings(r=8, alpha=16), (), 2, 4, 1e-3, False)
    ours, run = train_savi(work, file, folder / "runs")
    with warnings.catch_warnings(action="ignore", category=FutureWarning):  # TRL's own
        theirs = train_trl(work, file, run)
    assert len(ours.losses) == len(theirs.losses) == 4
    assert largest_difference(ours.losses, theirs.losses) < 1e-5
    return file, run


@pytest.fixture(scope="module")
def model(workload: tuple[Path, Path]) -> savi.AlignedModel:
    return savi.load_run(workload[1])


def test_losses_are_trls_and_scores_those_of_plain_rows(workload: tuple[Path, Path], model: savi.AlignedModel) -> None:
    file, run = workload
    pairs = read_pairs(run / "pairs" / "round_00.jsonl")
    clips = {clip.id: clip for clip in read_given_pairs(str(file)).clips}
    assert [type(pair) is TwoClipPair for pair in pairs] == [True, False, True, True, False, True, False, True]
    (step,) = StepDataset(
        [group_by_clip(pairs, Counter(pair.clip for pair in pairs), clips.values())],
        8,
        FrameReader(32, 60.0, lambda _: False),
    )
    (micro,) = step.micro_batches
    assert len(micro.clips) == len(set(micro.clips)) == 6, "no clip is read twice in a pass"
    with torch.no_grad():
        metrics = pair_metrics(model.lm, micro, DPOSettings())
    for index, pair in enumerate(pair for of_clip in micro.pairs for pair in of_clip):
        other = pair.rejected_clip if isinstance(pair, TwoClipPair) else pair.clip
        frames = [read_frames(model.run, clips[clip].path) for clip in (pair.clip, other)]
        asked = [ScoreRequest(side, pair.prompt, (text,)) for side, text in enumerate((pair.chosen, pair.rejected))]
        plain = model.lm.score_one_by_one(frames, asked).logps
        assert metrics["logps/chosen"][index].item() == pytest.approx(plain[0].item(), abs=1e-4)
        assert metrics["logps/rejected"][index].item() == pytest.approx(plain[1].item(), abs=1e-4)
        with model.lm.peft_model.disable_adapter():
            base = model.lm.score_one_by_one(frames, asked).logps
        assert [pair.reference_chosen_logp, pair.reference_rejected_logp] == pytest.approx(base.tolist(), abs=1e-4)


def test_the_references_scores_are_those_of_clips_that_are_read_one_by_one(
    workload: tuple[Path, Path], model: savi.AlignedModel
) -> None:
    file, run = workload
    given = read_given_pairs(str(file))
    read = FrameReader(32, 60.0, model.lm.is_cached)  # a clip that an earlier pair was about is cached
    to_score = PairsToScore(given, ReferenceLogps([], ""), read)
    round = Round(model.lm, WORLD, ChainSettings(), FilterSettings(), run_seed=0, index=0, given=to_score)
    maker = FromFiles().maker(round)
    results = [
        result
        for clip in given.clips
        for result in maker.run([clip], [None if maker.is_cached(clip) else read_frames(model.run, clip.path)])
    ]
    found = [pair for result in results for pair in result.pairs]
    for one, pair in zip(found, read_pairs(run / "pairs" / "round_00.jsonl"), strict=True):
        assert (one.clip, one.chosen, one.rejected) == (pair.clip, pair.chosen, pair.rejected)
        assert one.reference_chosen_logp == pytest.approx(pair.reference_chosen_logp, abs=1e-4)
        assert one.reference_rejected_logp == pytest.approx(pair.reference_rejected_logp, abs=1e-4)


def test_a_rejected_video_without_frames_refuses_its_pair_alone(workload: tuple[Path, Path]) -> None:
    _, run = workload
    traces = (run / "traces" / "round_00.jsonl").read_text()
    assert traces.count('"outcome": "undecodable"') == 1
    assert "bad.mp4: " in traces
