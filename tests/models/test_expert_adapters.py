"""LoRA on routed experts: exact when a clip is shared, trained, and loaded by plain PEFT."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import pytest
import torch
from packaging.version import Version
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForImageTextToText

from savi.errors import SaviError
from savi.inference import ScoreRequest
from savi.models.adapters import EXPERTS_SINCE, LoraSettings, attach_lora, load_lora, save_adapter
from savi.models.families import FAMILIES
from savi.models.load import BaseSettings, load_base
from savi.models.plain import PlainClips, append
from savi.models.video_lm import VideoLM
from tests.miniatures import noise_clip
from tools.tiny_models import MINIATURES

pytestmark = pytest.mark.skipif(
    Version(version("peft")) < Version(EXPERTS_SINCE), reason="savi refuses adapters of experts with this peft"
)

MIXTURES = ("qwen3_vl_moe", "qwen3_5_moe")
SETTINGS = LoraSettings(r=4, alpha=8, experts=True)
CLIP, FRAMES = noise_clip(0, frames=8)
REQUESTS = [
    ScoreRequest(0, "what is it?", ("a cat", "no")),
    ScoreRequest(0, "where is it then?", ("on the mat", "in the garden")),
]


@pytest.fixture(scope="module", params=MIXTURES)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return MINIATURES[request.param](tmp_path_factory.mktemp(request.param))


def build(folder: Path, *, nf4: bool = False, checkpointing: bool = False) -> VideoLM:
    """A model with a random adapter, which reaches the experts."""
    base = load_base(BaseSettings(str(folder), nf4=nf4, gradient_checkpointing=checkpointing))
    adapted = attach_lora(base.model, base.family, SETTINGS)
    generator = torch.Generator().manual_seed(7)
    for parameter in adapted.parameters():
        if parameter.requires_grad:
            parameter.data.copy_(torch.randn(parameter.shape, generator=generator) * 0.1)
    return VideoLM(base, adapted)


def of_experts(model: PeftModel) -> dict[str, torch.nn.Parameter]:
    return {name: one for name, one in model.named_parameters() if ".experts." in name and one.requires_grad}


@pytest.mark.parametrize("checkpointing", [False, True])
def test_shared_scores_are_plain_ones_and_experts_learn(folder: Path, checkpointing: bool) -> None:
    lm = build(folder, checkpointing=checkpointing)
    lm.peft_model.train(checkpointing)
    assert lm.way.name != "plain"
    shared = lm.encode([CLIP], [FRAMES]).score(REQUESTS).logps
    shared.sum().backward()
    learned = of_experts(lm.peft_model)
    gradients = {name: one.grad.clone() for name, one in learned.items() if one.grad is not None}
    assert len(gradients) == len(learned) > 0
    assert all(gradient.any() for gradient in gradients.values())
    lm.peft_model.zero_grad()
    plain = lm.score_one_by_one([FRAMES], REQUESTS).logps
    plain.sum().backward()
    torch.testing.assert_close(shared, plain, atol=1e-4, rtol=1e-4)
    largest = max(float(gradient.abs().max()) for gradient in gradients.values())
    for name, one in learned.items():
        assert one.grad is not None
        assert float((one.grad - gradients[name]).abs().max()) < 1e-4 * largest, name


def test_the_adapter_is_loaded_by_plain_peft_and_by_savi(folder: Path, tmp_path: Path) -> None:
    lm = build(folder)
    lm.peft_model.eval()
    save_adapter(lm.peft_model, tmp_path / "adapter")
    weights = load_file(tmp_path / "adapter" / "adapter_model.safetensors")
    assert any(".experts." in name for name in weights)
    with torch.no_grad():
        row = PlainClips(lm.model, lm.chat, [FRAMES]).row(0, "what is it?")
        expected = lm.model(**append(row, lm.chat.response_ids("a cat"))).logits
        plain = PeftModel.from_pretrained(AutoModelForImageTextToText.from_pretrained(folder), tmp_path / "adapter")
        torch.testing.assert_close(plain.eval()(**append(row, lm.chat.response_ids("a cat"))).logits, expected)
        merged = plain.merge_and_unload()(**append(row, lm.chat.response_ids("a cat"))).logits
        torch.testing.assert_close(merged, expected, atol=1e-4, rtol=1e-4)
    base = load_base(BaseSettings(str(folder)))
    loaded = load_lora(base.model, base.family, SETTINGS, tmp_path / "adapter" / "adapter_model.safetensors")
    assert all(torch.equal(a, b) for a, b in zip(loaded.parameters(), lm.peft_model.parameters(), strict=True))


def test_over_a_base_in_four_bits_they_learn_too(folder: Path) -> None:
    """bitsandbytes leaves the experts' parameters as they are."""
    lm = build(folder, nf4=True)
    learned = of_experts(lm.peft_model)
    before = {name: one.detach().clone() for name, one in learned.items()}
    optimizer = torch.optim.SGD(learned.values(), lr=1.0)
    lm.encode([CLIP], [FRAMES]).score(REQUESTS).logps.sum().backward()
    optimizer.step()
    assert all(not torch.equal(one, before[name]) for name, one in learned.items())


def test_without_the_setting_no_expert_takes_an_adapter_and_the_reference_is_the_base(folder: Path) -> None:
    base = load_base(BaseSettings(str(folder)))
    fresh = VideoLM(base, attach_lora(base.model, base.family, LoraSettings(r=4)))
    assert not of_experts(fresh.peft_model)
    reference = build(folder).encode([CLIP], [FRAMES]).score_reference(REQUESTS).logps
    torch.testing.assert_close(reference, fresh.encode([CLIP], [FRAMES]).score(REQUESTS).logps.detach())


def test_what_cannot_be_is_refused_in_one_line(random_base: Path) -> None:
    with pytest.raises(SaviError, match=r"^model\.lora\.dropout must be 0 with model\.lora\.experts"):
        LoraSettings(experts=True, dropout=0.1)
    base = load_base(BaseSettings(str(random_base)))
    with pytest.raises(SaviError, match=r"^model\.lora\.experts: models of type qwen2_5_vl have no routed experts"):
        attach_lora(base.model, base.family, SETTINGS)


def test_every_mixture_with_experts_in_one_parameter_is_tested() -> None:
    assert {name for name, family in FAMILIES.items() if family.experts} == set(MIXTURES)
