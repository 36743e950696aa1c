"""Optimizer steps on a real, random model: what moves, what doesn't, and that cutting a step changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from savi.alignment.optim import OptimizerSettings
from savi.alignment.step import pair_metrics, take_step
from savi.critique.filters import FilterSettings
from savi.critique.settings import ChainSettings
from savi.data.batches import MicroBatch, OptimizerStep
from savi.inference import ScoreRequest
from savi.models.adapters import LoraSettings
from savi.models.load import BaseSettings
from savi.models.video_lm import VideoLM
from savi.objective.dpo import DPOSettings
from savi.objective.losses import SFT
from savi.prompts.templates import PromptSettings
from savi.training.module import SelfAlignment
from savi.types import PreferencePair, SaviError
from tests.miniatures import noise_clip
from tests.models.stand_ins import OPEN_THOUGHT, stand_in
from tools.tiny_models import build_gemma4, build_qwen2_5_vl, build_qwen3_5

CLIPS = [noise_clip(index, *size) for index, size in enumerate([(64, 64), (40, 90), (64, 64), (90, 40)])]


def build_module(folder: Path, *, nf4: bool = False, r: int = 4, nll_weight: float = 0.0) -> SelfAlignment:
    module = SelfAlignment(
        base=BaseSettings(path=str(folder), nf4=nf4),
        lora=LoraSettings(r=r, alpha=8),
        dpo=DPOSettings(nll_weight=nll_weight),
        optimizer=OptimizerSettings(lr=1e-2, warmup_steps=0),
        chain=ChainSettings(),
        filters=FilterSettings(),
        prompts=PromptSettings(),
    )
    module.configure_model()
    return module


def build_pairs(module: SelfAlignment) -> list[list[PreferencePair]]:
    """Three pairs for the first clip, one for each other, with the reference's true scores."""
    lm = module.video_lm
    clips, frames = zip(*CLIPS, strict=True)
    texts = [("where?", "here", "nowhere"), ("who?", "a cat", "a dog"), ("why, and since when?", "no", "yes indeed")]
    questions = [
        ScoreRequest(clip, prompt, (chosen, rejected))
        for clip in range(len(CLIPS))
        for prompt, chosen, rejected in (texts if clip == 0 else texts[:1])
    ]
    logps = lm.encode(clips, frames).score_reference(questions).logps.view(-1, 2).tolist()
    pairs: list[list[PreferencePair]] = [[] for _ in CLIPS]
    for question, (chosen_logp, rejected_logp) in zip(questions, logps, strict=True):
        clip = clips[question.clip]
        pairs[question.clip].append(
            PreferencePair(
                clip=clip.id,
                video=str(clip.path),
                round=0,
                aspect="spatial",
                question=question.prompt,
                prompt=question.prompt,
                chosen=question.responses[0],
                rejected=question.responses[1],
                critique="",
                reference_chosen_logp=chosen_logp,
                reference_rejected_logp=rejected_logp,
                seed=0,
                prompt_version="t",
            )
        )
    return pairs


def build_step(pairs: list[list[PreferencePair]], cuts: list[list[int]]) -> OptimizerStep:
    return OptimizerStep(
        tuple(
            MicroBatch(
                clips=tuple(CLIPS[i][0] for i in part),
                frames=tuple(CLIPS[i][1] for i in part),
                pairs=tuple(tuple(pairs[i]) for i in part),
            )
            for part in cuts
        ),
        pairs=sum(len(pairs[i]) for part in cuts for i in part),
        clips=sum(map(len, cuts)),
    )


def pair_metrics_of(module: SelfAlignment, micro: MicroBatch) -> dict[str, Tensor]:
    return pair_metrics(module.video_lm, micro, module.loss)


def gradients(module: SelfAlignment, step: OptimizerStep) -> dict[str, Tensor]:
    module.zero_grad()
    for micro in step.micro_batches:
        (pair_metrics_of(module, micro)["loss"].sum() / step.pairs).backward()
    return {name: p.grad.clone() for name, p in module.named_parameters() if p.grad is not None}


def take_steps(module: SelfAlignment, step: OptimizerStep, count: int) -> None:
    """Plain steps of AdamW on the module's losses, without a trainer."""
    optimizer = torch.optim.AdamW([p for p in module.parameters() if p.requires_grad], lr=1e-2)
    for _ in range(count):
        optimizer.zero_grad()
        gradients_of_step = gradients(module, step)
        assert gradients_of_step
        optimizer.step()


def test_the_first_loss_is_log_two(random_base: Path) -> None:
    """Before any step policy and reference are one: every margin is 0 and every loss log 2."""
    module = build_module(random_base)
    step = build_step(build_pairs(module), [[0, 1, 2, 3]])
    metrics = pair_metrics_of(module, step.micro_batches[0])
    torch.testing.assert_close(metrics["loss"], torch.full((6,), 2.0).log(), atol=1e-5, rtol=0)
    torch.testing.assert_close(metrics["rewards/margins"], torch.zeros(6), atol=1e-4, rtol=0)


def test_one_pass_of_four_clips_equals_four_passes_of_one(random_base: Path) -> None:
    module = build_module(random_base)
    pairs = build_pairs(module)
    take_steps(module, build_step(pairs, [[0, 1, 2, 3]]), 1)  # away from the start, where many gradients are zero
    whole = gradients(module, build_step(pairs, [[0, 1, 2, 3]]))
    scale = max(gradient.abs().max() for gradient in whole.values())
    for cuts in ([[0], [1], [2], [3]], [[3, 1], [2, 0]], [[0], [1, 2, 3]]):
        cut = gradients(module, build_step(pairs, cuts))
        for name, gradient in whole.items():
            assert (cut[name] - gradient).abs().max() <= 1e-5 * scale, (cuts, name)


class SFTWithRejected(SFT):
    """SFT whose rejected responses pass through the model all the same."""

    needs_rejected = True


def test_sft_passes_the_chosen_responses_alone(random_base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Loss and gradients are those of a pass of both. Clips that rejected responses alone are about aren't read."""
    module = build_module(random_base)
    step = build_step([*build_pairs(module)[:3], []], [[0, 1], [2, 3]])
    read: list[Sequence[object]] = []
    encode = VideoLM.encode
    monkeypatch.setattr(VideoLM, "encode", lambda lm, clips, *more: (read.append(clips), encode(lm, clips, *more))[1])
    found = []
    for loss in (SFTWithRejected(), SFT()):
        module.loss = loss
        metrics = [pair_metrics_of(module, micro) for micro in step.micro_batches]
        found.append((torch.cat([one["loss"] for one in metrics]).detach(), gradients(module, step)))
    (both, gradients_of_both), (alone, gradients_alone) = found
    torch.testing.assert_close(alone, both, atol=1e-6, rtol=0)
    scale = max(gradient.abs().max() for gradient in gradients_of_both.values())
    for name, gradient in gradients_of_both.items():
        assert (gradients_alone[name] - gradient).abs().max() <= 1e-5 * scale, name
    assert [len(clips) for clips in read] == [2, 2, 2, 2, 2, 1, 2, 1]
    assert set(metrics[0]) == {"loss", "rewards/chosen", "logps/chosen", "nll_loss", "lengths/chosen"}
    optimizer = torch.optim.AdamW([p for p in module.parameters() if p.requires_grad], lr=1e-2)
    means, logps = take_step(module.video_lm, optimizer, step, module.loss)
    assert set(means) == {*metrics[0], "grad_norm"}
    assert logps.isnan().tolist() == [[False, True]] * step.pairs


@pytest.mark.parametrize("nf4", [False, True])
def test_training_moves_the_adapter_and_nothing_else(random_base: Path, nf4: bool) -> None:
    module = build_module(random_base, nf4=nf4)
    pairs = build_pairs(module)
    before = {name: p.detach().clone() for name, p in module.named_parameters()}
    take_steps(module, build_step(pairs, [[0, 1], [2, 3]]), 3)
    moved = {name for name, p in module.named_parameters() if not torch.equal(p, before[name])}
    assert moved == {name for name in before if "lora_" in name}
    # The reference is the same to the last digit after training, and the policy prefers what it was taught to.
    again = build_pairs(module)
    assert again == pairs
    margins = pair_metrics_of(module, build_step(pairs, [[0, 1, 2, 3]]).micro_batches[0])["rewards/margins"]
    assert (margins > 0).all()


def test_nf4_holds_the_language_model_in_four_bits(random_base: Path) -> None:
    import bitsandbytes

    model = build_module(random_base, nf4=True).video_lm.model
    quantised = {n for n, m in model.named_modules() if isinstance(m, bitsandbytes.nn.Linear4bit)}
    assert quantised
    assert all("language_model" in name for name in quantised)


def test_the_checkpoint_holds_the_adapter_alone(random_base: Path) -> None:
    module = build_module(random_base)
    assert module.state_dict()
    assert all("lora_" in name for name in module.state_dict())


def test_a_checkpoint_of_another_base_is_refused(random_base: Path, tmp_path: Path) -> None:
    from tools.tiny_models import build_qwen2_5_vl

    module = build_module(random_base)
    checkpoint = {"state_dict": module.state_dict()}
    module.on_save_checkpoint(checkpoint)
    module.on_load_checkpoint(checkpoint)
    other = build_module(build_qwen2_5_vl(tmp_path / "other", seed=1))
    with pytest.raises(SaviError, match="another model"):
        other.on_load_checkpoint(checkpoint)


def test_a_checkpoint_of_another_adapter_is_refused(random_base: Path) -> None:
    module = build_module(random_base, r=4)
    checkpoint = {"state_dict": module.state_dict()}
    module.on_save_checkpoint(checkpoint)
    with pytest.raises(SaviError, match=r"model\.lora"):
        build_module(random_base, r=8).on_load_checkpoint(checkpoint)


def test_the_nll_term_is_the_chosen_response_per_token(random_base: Path) -> None:
    plain, with_term = build_module(random_base), build_module(random_base, nll_weight=0.5)
    step = build_step(build_pairs(plain), [[0, 1, 2, 3]]).micro_batches[0]
    metrics = pair_metrics_of(plain, step)
    expected = metrics["loss"] - 0.5 * metrics["logps/chosen"] / metrics["lengths/chosen"]
    torch.testing.assert_close(pair_metrics_of(with_term, step)["loss"], expected)


@pytest.mark.parametrize(
    ("build", "line"),
    [
        (build_qwen2_5_vl, "sharing a clip: tree. With attention in every layer, "),
        (build_qwen3_5, "sharing a clip: state. With attention and the states of the recurrent layers, "),
        (build_gemma4, "sharing a clip: tree. With attention in every layer, "),
    ],
)
def test_a_start_says_how_the_model_shares_a_clip(
    build: Callable[[Path], Path], line: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO"):
        build_module(build(tmp_path))
    assert sum(message.startswith(line) for message in caplog.messages) == 1


def test_a_second_checkpoint_is_not_asked_to_think_as_the_first_is(random_base: Path, tmp_path: Path) -> None:
    first = stand_in(random_base, tmp_path / "thinking", OPEN_THOUGHT, tokens=("<think>", "</think>"))
    module = build_module(first)
    module.base_settings = replace(module.base_settings, thought_tokens=4)
    assert module.load_another(str(random_base)).thought_tokens == 0
