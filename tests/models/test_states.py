"""Sharing a clip under recurrent layers: any tree of any clips scores and trains as rows of their own do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.overrides import TorchFunctionMode

from savi.inference import GenerateRequest, ResponseScores, ScoreRequest
from savi.models.packed import PackedClips
from savi.models.states import Stretch, carrying_runs, last_run
from savi.models.video_lm import VideoLM
from savi.types import Clip, Frames, Sampling
from tests.miniatures import build_lm, noise_clip
from tools.tiny_models import build_qwen3_5

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_qwen3_5(tmp_path_factory.mktemp("qwen3_5"))


@pytest.fixture(scope="module")
def lm(folder: Path) -> VideoLM:
    return build_lm(folder)


@pytest.fixture(scope="module")
def checkpointed(folder: Path) -> VideoLM:
    lm = build_lm(folder, checkpointing=True)
    lm.model.train()
    return lm


def gradients(lm: VideoLM, scores: ResponseScores) -> dict[str, Tensor]:
    lm.peft_model.zero_grad()
    (scores.logps * torch.linspace(-1, 2, len(scores.logps))).sum().backward()
    return {n: p.grad.clone() for n, p in lm.peft_model.named_parameters() if p.grad is not None}


def farthest(found: dict[str, Tensor], expected: dict[str, Tensor]) -> float:
    """The largest difference, as a share of the largest gradient."""
    assert found.keys() == expected.keys()
    largest = max(gradient.abs().max() for gradient in expected.values())
    return float(max((found[name] - expected[name]).abs().max() for name in expected) / largest)


def clip_of(shape: tuple[int, int, int]) -> tuple[Clip, Frames]:
    """Of a name for each shape: the cache knows a clip by its name."""
    clip, frames = noise_clip(sum(shape), *shape)
    return replace(clip, id=f"{clip.id} {shape}"), frames


text = st.text(alphabet="abc ?.é\n", max_size=12)
side = st.integers(28, 130)
shapes = st.lists(st.tuples(side, side, st.integers(1, 32)), min_size=1, max_size=3)
request = st.builds(ScoreRequest, st.integers(0, 2), text, st.lists(text, min_size=1, max_size=3).map(tuple))


class InDouble(TorchFunctionMode):
    """Casts to float64 what the kernel, the norms and the scores cast to float32."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        func = torch.Tensor.double if func is torch.Tensor.float else func
        wide = {name: torch.float64 if value is torch.float32 else value for name, value in (kwargs or {}).items()}
        return func(*(torch.float64 if arg is torch.float32 else arg for arg in args), **wide)


@pytest.fixture(scope="module")
def double(folder: Path) -> VideoLM:
    lm = build_lm(folder)
    lm.peft_model.double()
    return lm


trees = given(shapes, st.lists(request, min_size=1, max_size=6))
few = settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def about(
    shapes: list[tuple[int, int, int]], requests: list[ScoreRequest]
) -> tuple[tuple[Clip, ...], tuple[Frames, ...], list[ScoreRequest]]:
    """Clips of these shapes and their frames, and the requests about them."""
    clips, frames = zip(*map(clip_of, shapes), strict=True)
    return clips, frames, [replace(one, clip=one.clip % len(clips)) for one in requests]


def exact(double: VideoLM, score: Callable[[], ResponseScores]) -> tuple[Tensor, dict[str, Tensor]]:
    """Log-probabilities and gradients in float64."""
    with pytest.MonkeyPatch.context() as patch, InDouble():
        # The backward pass recomputes the output layer outside of the mode.
        patch.setattr("savi.objective.logps.checkpoint", lambda function, *args, use_reentrant: function(*args))
        scores = score()
        return scores.logps.detach(), gradients(double, scores)


@trees
@few
def test_any_tree_scores_and_trains_as_rows_of_their_own(
    lm: VideoLM,
    checkpointed: VideoLM,
    double: VideoLM,
    shapes: list[tuple[int, int, int]],
    requests: list[ScoreRequest],
) -> None:
    """Prompts and clips of unlike lengths, responses of no token but the last, clips without a question. Gradients are
    equal in float64."""
    clips, frames, requests = about(shapes, requests)
    logps, truth = exact(double, lambda: double.score_one_by_one(frames, requests))
    shared_logps, shared = exact(double, lambda: double.encode(clips, frames).score(requests))
    assert shared_logps.dtype == torch.float64
    torch.testing.assert_close(shared_logps, logps, atol=1e-10, rtol=0)
    assert farthest(shared, truth) <= 1e-11
    for model in (lm, checkpointed):
        scores = model.encode(clips, frames).score(requests)
        torch.testing.assert_close(scores.logps.double(), logps, atol=1e-4, rtol=0)


@pytest.mark.slow  # in float64 such a tree is exact, above
@trees
@settings(few, derandomize=True)
def test_a_tree_rounds_in_float32_as_rows_of_their_own_do(
    lm: VideoLM,
    checkpointed: VideoLM,
    double: VideoLM,
    shapes: list[tuple[int, int, int]],
    requests: list[ScoreRequest],
) -> None:
    """The kernel rounds a shared row and a row of its own in other places. On these trees, the same in each run, a
    shared row is no more than three times as far from the gradients in float64 as rows of their own are. Of others a
    search finds some where one of the two rounds luckily."""
    clips, frames, requests = about(shapes, requests)
    _, truth = exact(double, lambda: double.score_one_by_one(frames, requests))
    rounding = farthest(gradients(lm, lm.score_one_by_one(frames, requests)), truth)
    for model in (lm, checkpointed):
        shared = gradients(model, model.encode(clips, frames).score(requests))
        assert farthest(shared, truth) <= 3 * rounding + 1e-5


asked = st.builds(GenerateRequest, st.integers(0, 2), st.text(alphabet="abc ?", max_size=40), st.integers(0, 10**6))


@given(st.lists(asked, min_size=1, max_size=9))
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_batch_writes_what_each_of_its_requests_writes_alone(lm: VideoLM, requests: list[GenerateRequest]) -> None:
    """Clips without a request, branches that end before others: every fourth token ends a reply."""
    clips, frames = zip(*map(clip_of, [(64, 64, 32), (40, 90, 7), (28, 28, 2)]), strict=True)
    read = lm.encode(clips, frames).read
    assert isinstance(read, PackedClips)
    sampling = Sampling(temperature=1.0, max_new_tokens=8)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lm.chat, "end_ids", frozenset(range(0, lm.model.get_output_embeddings().weight.shape[0], 4)))
        for one, together in zip(requests, read.generate(requests, sampling), strict=True):
            (alone,) = read.generate([one], sampling)
            assert (together.ids, together.finished) == (alone.ids, alone.finished)
            assert together.logp == pytest.approx(alone.logp, abs=1e-4)


def test_the_clip_is_read_once_and_every_branch_remembers_it(lm: VideoLM) -> None:
    """The recurrent layers see each token of the clip once, whatever the number of questions."""
    clip, frames = noise_clip(0)
    session = lm.encode([clip], [frames])
    tokens: list[int] = []
    layer = lm.family.language_model(lm.model).layers[0].linear_attn.in_proj_qkv
    handle = layer.register_forward_hook(lambda _, given, __: tokens.append(given[0].shape[:2].numel()))
    try:
        with torch.no_grad():
            few = session.score([ScoreRequest(0, "abc", ("a",))]).logps
            once, tokens[:] = sum(tokens), []
            many = session.score([ScoreRequest(0, "abc", ("a",)), *[ScoreRequest(0, "xyz", ("bcd", "c"))] * 5]).logps
    finally:
        handle.remove()
    assert isinstance(session.read, PackedClips)
    assert sum(tokens) < once + len(session.read.prefixes[0])
    assert many[0].item() == pytest.approx(few.item(), abs=1e-4)
    other, other_frames = noise_clip(5)
    with torch.no_grad():
        elsewhere = lm.encode([other], [other_frames]).score([ScoreRequest(0, "abc", ("a",))]).logps
    assert abs(elsewhere.item() - few.item()) > 1e-2


@pytest.mark.parametrize(("name", "times"), [("lm", 1), ("checkpointed", 3)])
def test_under_checkpointing_each_run_of_a_layer_is_computed_again_by_itself(
    name: str, times: int, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Forward, again with its layer, and again alone: so the layer's runs aren't held at the same time."""
    model: VideoLM = request.getfixturevalue(name)
    decoder = model.family.language_model(model.model)
    by_levels = next(m.forward for m in decoder.modules() if type(m).__name__.endswith("GatedDeltaNet"))
    forward, shapes = by_levels.forward, []

    def count(tokens: Tensor, **given: Any) -> Tensor:
        shapes.append(tuple(tokens.shape))
        return forward(tokens, **given)

    monkeypatch.setattr(by_levels, "forward", count)
    clip, frames = clip_of((64, 64, 4))
    asked = [ScoreRequest(0, "what is it?", ("a cat", "no")), ScoreRequest(0, "where?", ("on it",))]
    gradients(model, model.encode([clip], [frames]).score(asked))
    runs = len(set(shapes))
    assert runs >= 3
    assert len(shapes) == times * runs


def test_stretches_of_one_length_are_read_together_and_others_padded_by_hand() -> None:
    stretches = [Stretch(0, 2, 1), Stretch(5, 3, 0), Stretch(9, 2, 2)]
    runs, places = carrying_runs(stretches, CPU)
    assert [run.cells.tolist() for run in runs] == [[[0, 1], [9, 10]], [[5, 6, 7]]]
    assert [run.starts.tolist() for run in runs] == [[1, 2], [0]]
    assert all(run.filled is None for run in runs)
    assert places == [0, 2, 1]
    last = last_run(stretches, CPU)
    assert last.filled.tolist() == [0, 1, 3, 4, 5, 6, 7]
    assert last.cells.tolist() == [[0, 1, 0], [5, 6, 7], [9, 10, 9]]
