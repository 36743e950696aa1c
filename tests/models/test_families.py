"""The conformance suite: what every family has to do, on its miniature, with its real processor and tokenizer."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
import transformers as hf
from bitsandbytes.nn import Linear4bit
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn

from savi.critique.filters import FilterSettings
from savi.critique.round import Round
from savi.critique.settings import ChainSettings
from savi.inference import GenerateRequest, Reply, ResponseScores, ScoreRequest
from savi.methods import VideoSAVi
from savi.models.adapters import trainable_state
from savi.models.families import FAMILIES
from savi.models.family import ClipPrefix
from savi.models.load import BaseSettings, load_base
from savi.models.packed import PackedClips
from savi.models.prefix_cache import PrefixCacheSettings
from savi.models.session import VideoLMSession
from savi.models.sharing import ResponseIds
from savi.models.video_lm import VideoLM
from savi.prompts.templates import Prompts
from savi.types import Clip, Frames, Sampling
from tests.miniatures import build_lm, noise_clip, still_clip
from tools.tiny_models import MINIATURES

CLIPS = [noise_clip(0), noise_clip(1, 40, 90), still_clip(2, 90, 40), noise_clip(3, frames=7)]
"""8 frames of three shapes, one clip whose frames are all alike, and one with an odd number of them."""

PROMPTS = [
    ScoreRequest(1, "what is it?", ("a cat", "no")),
    ScoreRequest(0, "\n\nwhere", ("on the mat", "in the garden behind the house")),
    ScoreRequest(2, "and a longer question about this and that, which goes on?", ("z", "")),
    ScoreRequest(3, "w", ("yes",)),
]
REQUESTS = [GenerateRequest(i % 4, "question " + "x" * i, seed=100 + i) for i in range(6)]


@pytest.fixture(scope="module", params=list(FAMILIES))
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return MINIATURES[request.param](tmp_path_factory.mktemp(request.param))


@pytest.fixture(scope="module")
def lm(folder: Path) -> VideoLM:
    return build_lm(folder)


@pytest.fixture(scope="module")
def oracle(lm: VideoLM) -> tuple[ResponseScores, dict[str, Tensor]]:
    """Plain scores of PROMPTS, and the adapter's gradients through them."""
    scores = lm.score_one_by_one([frames for _, frames in CLIPS], PROMPTS)
    return scores, adapter_gradients(lm, scores)


@pytest.fixture(scope="module")
def prefixes(lm: VideoLM) -> Sequence[ClipPrefix]:
    read = encode(lm).read
    if not isinstance(read, PackedClips):
        pytest.skip("it reads each prompt's clip anew, in the processor's own row")
    return read.prefixes


def encode(lm: VideoLM) -> VideoLMSession:
    clips, frames = zip(*CLIPS, strict=True)
    return lm.encode(clips, frames)


def adapter_gradients(lm: VideoLM, scores: ResponseScores) -> dict[str, Tensor]:
    lm.peft_model.zero_grad()
    (scores.logps * torch.linspace(-1, 1, len(scores.logps))).sum().backward()
    return {n: p.grad.clone() for n, p in lm.peft_model.named_parameters() if p.grad is not None}


def row(lm: VideoLM, request: GenerateRequest) -> dict[str, Any]:
    """What the processor makes of a prompt's whole chat."""
    return lm.family.video_inputs(lm.processor, lm.chat.text(request.prompt), CLIPS[request.clip][1])


def test_there_is_a_miniature_of_every_family() -> None:
    assert MINIATURES.keys() == FAMILIES.keys()


def test_the_clip_comes_first_in_the_chat(lm: VideoLM) -> None:
    before, token, behind = lm.chat.text("what is it?").partition(lm.family.video_token(lm.processor))
    assert token
    assert "what is it?" in behind
    assert "what is it?" not in before


def test_prefix_and_prompt_are_the_row_that_the_processor_writes(lm: VideoLM, prefixes: Sequence[ClipPrefix]) -> None:
    """Timestamps between frames, markers around them and what a tokenizer joins: none may be lost or doubled."""
    for request in [*REQUESTS, GenerateRequest(0, "\n\nwhere"), GenerateRequest(2, " a space"), GenerateRequest(1, "")]:
        prompt = lm.chat.prompt_ids(request.prompt, prefixes[request.clip])
        ids = row(lm, request)["input_ids"][0].tolist()
        assert tuple(ids[len(prefixes[request.clip]) :]) == prompt


def test_a_response_has_the_tokens_that_the_chat_template_gives_it(lm: VideoLM) -> None:
    user = {"role": "user", "content": [{"type": "video"}, {"type": "text", "text": "where is it ?"}]}
    reply = {"role": "assistant", "content": [{"type": "text", "text": "on the left"}]}
    chat = lm.processor.apply_chat_template([user, reply], tokenize=False)
    opening = lm.chat.text("where is it ?")
    if not chat.startswith(opening):
        # Its template has a blank more in the header of a reply that is there than in that of a reply to be written,
        # and the second is what the model writes behind.
        assert lm.family.model_type == "llava_onevision"
        header = "<|im_start|>assistant \n"
        assert chat.count(header) == 1
        chat = opening + chat.partition(header)[2]
    written = lm.family.video_inputs(lm.processor, chat, CLIPS[0][1])["input_ids"][0].tolist()
    prompt = row(lm, GenerateRequest(0, "where is it ?"))["input_ids"][0].tolist()
    ours = [*prompt, *lm.chat.response_ids("on the left")]
    # The end token may be another than the template's.
    assert ours[:-1] == written[: len(ours) - 1]


def test_clips_of_any_shape_are_encoded(prefixes: Sequence[ClipPrefix]) -> None:
    assert len(prefixes) == len(CLIPS)
    assert all(torch.isfinite(prefix.embeds).all() for prefix in prefixes)
    assert not torch.equal(prefixes[0].embeds[: len(prefixes[3])], prefixes[3].embeds)


def test_packed_scores_equal_plain_ones(lm: VideoLM, oracle: tuple[ResponseScores, dict[str, Tensor]]) -> None:
    packed = encode(lm).score(PROMPTS)
    torch.testing.assert_close(packed.logps, oracle[0].logps, atol=1e-4, rtol=0)
    assert packed.lengths.tolist() == oracle[0].lengths.tolist()


def test_packed_gradients_equal_plain_ones(lm: VideoLM, oracle: tuple[ResponseScores, dict[str, Tensor]]) -> None:
    ours, plain = adapter_gradients(lm, encode(lm).score(PROMPTS)), oracle[1]
    assert ours.keys() == plain.keys()
    largest = max(gradient.abs().max() for gradient in plain.values())
    for name in plain:
        assert (ours[name] - plain[name]).abs().max() <= 1e-5 * largest, name


def test_checkpointing_changes_nothing(
    folder: Path, lm: VideoLM, oracle: tuple[ResponseScores, dict[str, Tensor]]
) -> None:
    checkpointed = build_lm(folder, checkpointing=True)
    checkpointed.model.train()
    scores = encode(checkpointed).score(PROMPTS)
    torch.testing.assert_close(scores.logps, oracle[0].logps, atol=1e-4, rtol=0)
    ours, plain = adapter_gradients(checkpointed, scores), oracle[1]
    largest = max(gradient.abs().max() for gradient in plain.values())
    for name in plain:
        assert (ours[name] - plain[name]).abs().max() <= 1e-5 * largest, name


@pytest.mark.usefixtures("prefixes")
def test_a_kept_clip_scores_as_a_fresh_one(folder: Path, lm: VideoLM, tmp_path: Path) -> None:
    """From memory, and from the disk after another model object has put it there."""
    kept = lm.encode([clip for clip, _ in CLIPS], [None] * len(CLIPS)).score(PROMPTS).logps
    disk = PrefixCacheSettings(mib=0.0, folder=str(tmp_path / "kept"))
    files = [dataclasses.replace(clip, path=tmp_path / clip.path.name) for clip, _ in CLIPS]
    for clip in files:
        clip.path.write_bytes(b"only its name, size and date are looked at")
    fresh = build_lm(folder, prefix_cache=disk)
    theirs = fresh.encode(files, [frames for _, frames in CLIPS]).score(PROMPTS).logps
    torch.testing.assert_close(kept, theirs, atol=1e-5, rtol=0)
    again = build_lm(folder, prefix_cache=disk)
    assert torch.equal(again.encode(files, [None] * len(files)).score(PROMPTS).logps, theirs)


def test_the_scores_depend_on_the_clip(lm: VideoLM) -> None:
    prompts = [ScoreRequest(clip, "what is it?", ("a cat",)) for clip in range(len(CLIPS))]
    logps = encode(lm).score(prompts).logps
    assert len({round(logp, 2) for logp in logps.tolist()}) == len(CLIPS)


def test_greedy_text_equals_hugging_face_generate(lm: VideoLM) -> None:
    replies = encode(lm).generate(REQUESTS, Sampling(temperature=0, max_new_tokens=12))
    banned = [[token] for token in lm.chat.banned_ids]
    for request, reply in zip(REQUESTS, replies, strict=True):
        inputs = row(lm, request)
        ids = lm.model.generate(**inputs, max_new_tokens=12, do_sample=False, bad_words_ids=banned)
        written = ids[0, inputs["input_ids"].shape[1] :]
        assert reply.text == lm.processor.tokenizer.decode(written, skip_special_tokens=True).strip()


def test_sampled_log_probabilities_equal_scored_ones(lm: VideoLM) -> None:
    read = encode(lm).read
    end = lm.processor.tokenizer.eos_token_id
    written = read.generate(REQUESTS, Sampling(temperature=0.7, top_p=0.9, max_new_tokens=10))
    for request, reply in zip(REQUESTS, written, strict=True):
        response = (*reply.ids, end) if reply.finished else reply.ids
        scored = read.score([ResponseIds(request.clip, request.prompt, (response,))])
        assert scored.logps.item() == pytest.approx(reply.logp, abs=1e-4)


class LegibleSession:
    """A random model writes noise: its replies are genuine, and then replaced by text that the chain can read."""

    def __init__(self, session: VideoLMSession, prompts: list[str]) -> None:
        self.session = session
        self.prompts = prompts

    def __getattr__(self, name: str) -> Any:
        return getattr(self.session, name)

    def generate(self, requests: Sequence[GenerateRequest], sampling: Sampling) -> list[Reply]:
        self.prompts += [request.prompt for request in requests]
        replies = self.session.generate(requests, sampling)
        says = {"ask": "1. what is it?", "answer": "red", "criticise": "it is blue", "revise": "blue"}
        return [
            dataclasses.replace(reply, text=says[request.prompt.split()[0]], finished=True)
            for request, reply in zip(requests, replies, strict=True)
        ]


class Legible:
    """A model whose sessions are legible. prompts: all that they were asked."""

    def __init__(self, lm: VideoLM) -> None:
        self.lm = lm
        self.prompts: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.lm, name)

    def encode(self, clips: Sequence[Clip], frames: Sequence[Frames | None]) -> Any:
        return LegibleSession(self.lm.encode(clips, frames), self.prompts)


RANDOM_WEIGHTS = FilterSettings(most_logp_drop=None, language_logp=None, same_meaning="words")
"""Random weights find every text implausible."""


def test_the_chain_runs(lm: VideoLM) -> None:
    short = Sampling(max_new_tokens=4)
    texts = Prompts(
        version="t",
        spatial_question="ask {count} spatial",
        temporal_question="ask {count} temporal",
        answer="answer {question}",
        critique="criticise {question} {answer}",
        revision="revise {question} {answer} {critique}",
    )
    settings = ChainSettings(questions_per_aspect=1, question=short, answer=short, critique=short, revision=short)
    model = Legible(lm)
    clips, frames = zip(*CLIPS[:2], strict=True)
    round = Round(model, texts, settings, RANDOM_WEIGHTS, run_seed=0, index=0)
    results = VideoSAVi().maker(round).run(clips, frames)
    pairs = [pair for result in results for pair in result.pairs]
    assert [(pair.chosen, pair.rejected) for pair in pairs] == [("blue", "red")] * 2
    assert {prompt.split()[0] for prompt in model.prompts} == {"ask", "answer", "criticise", "revise"}
    with lm.peft_model.disable_adapter():
        plain = lm.score_one_by_one(frames, [ScoreRequest(i, p.prompt, ("blue", "red")) for i, p in enumerate(pairs)])
    ours = [logp for pair in pairs for logp in (pair.reference_chosen_logp, pair.reference_rejected_logp)]
    torch.testing.assert_close(torch.tensor(ours), plain.logps, atol=1e-4, rtol=0)


def linear_layers(lm: VideoLM) -> set[str]:
    """Of the decoder's blocks, by name, without those that choose or weigh experts."""
    blocks = lm.family.language_model(lm.model).layers
    linear = (nn.Linear, LoraLayer)
    names = {name for name, module in blocks.named_modules() if isinstance(module, linear) and "lora_" not in name}
    names = {name for name in names if not name.endswith(("base_layer", "shared_expert_gate"))}
    return {f"{lm.family.decoder}.layers.{name}" for name in names}


def test_lora_reaches_every_linear_layer_of_the_decoder_and_nothing_else(lm: VideoLM) -> None:
    adapted = {name.partition(".lora_")[0] for name in trainable_state(lm.peft_model)}
    assert {name.removeprefix("base_model.model.") for name in adapted} == linear_layers(lm)
    assert len(adapted) >= 4 * len(lm.family.language_model(lm.model).layers)


def test_four_bits_train_a_step_and_leave_the_base_alone(folder: Path) -> None:
    lm = build_lm(folder, nf4=True)
    quantised = {name for name, module in lm.model.named_modules() if isinstance(module, Linear4bit)}
    kept = tuple(lm.family.unquantized)
    assert {name.removesuffix(".base_layer") for name in quantised} == {
        name for name in linear_layers(lm) if not name.endswith(kept)
    }
    adapter = [p for p in lm.peft_model.parameters() if p.requires_grad]
    frozen = {n: p.detach().clone() for n, p in lm.peft_model.named_parameters() if not p.requires_grad}
    before = [p.detach().clone() for p in adapter]
    loss = -encode(lm).score(PROMPTS).logps.mean()
    loss.backward()
    torch.optim.SGD(adapter, lr=1e-3).step()
    assert all(not torch.equal(a, b) for a, b in zip(adapter, before, strict=True))
    for name, parameter in lm.peft_model.named_parameters():
        if name in frozen:
            assert torch.equal(parameter, frozen[name]), name
    with torch.no_grad():
        assert -encode(lm).score(PROMPTS).logps.mean() < loss


def test_the_decoders_norms_compute_in_float32_whatever_the_base_is_held_in(folder: Path) -> None:
    """So QLoRA's norms in float32 need no cast of their weights, which would make every activation float32 too."""
    base = load_base(BaseSettings(path=str(folder), dtype="float16"))
    decoder = base.family.language_model(base.model)
    norms = [module for module in decoder.modules() if type(module).__name__.endswith("Norm")]
    assert len(norms) > 2 * len(decoder.layers)
    for norm in norms:
        width = norm.weight.numel() if hasattr(norm, "weight") else 64
        row = torch.linspace(-400, 400, width).half()  # 400 squared is more than float16 holds
        exact = deepcopy(norm).float()(row.float())
        torch.testing.assert_close(norm(row).float(), exact, rtol=2**-9, atol=0)


def test_a_saved_adapter_opens_in_plain_peft(folder: Path, lm: VideoLM, tmp_path: Path) -> None:
    """The same scores in savi, and the same logits without it."""
    lm.peft_model.save_pretrained(tmp_path)
    plain = peft.PeftModel.from_pretrained(hf.AutoModelForImageTextToText.from_pretrained(folder), tmp_path)
    inputs = row(lm, REQUESTS[0])
    with torch.no_grad():
        torch.testing.assert_close(plain(**inputs).logits, lm.model(**inputs).logits, atol=1e-5, rtol=0)
    again = build_lm(folder)
    for parameter in again.peft_model.parameters():
        if parameter.requires_grad:
            parameter.data.zero_()
    state = peft.utils.load_peft_weights(str(tmp_path), device="cpu")
    peft.set_peft_model_state_dict(again.peft_model, state)
    torch.testing.assert_close(encode(again).score(PROMPTS).logps, encode(lm).score(PROMPTS).logps)


def test_timestamps_stand_in_the_prefix_where_the_family_writes_them(lm: VideoLM) -> None:
    """Frames are sampled by savi: a processor that counted them itself would write other times."""
    ids = row(lm, GenerateRequest(3, ""))["input_ids"][0]
    text = lm.processor.tokenizer.decode(ids)
    pairs = [f"<{t:.1f} seconds>" for t in (0.0625, 0.3125, 0.5625, 0.75)]
    written = {
        **dict.fromkeys(("qwen3_vl", "qwen3_vl_moe", "qwen3_5", "qwen3_5_moe"), pairs),
        "video_llama_3": [f"Time {i / 8:.1f}s:" for i in range(7)],
        "smolvlm": ["seven frames", "0:00:00", *["Frame from 00:00:"] * 7],
        "internvl": [f"Frame{i + 1}: " for i in range(7)],
        "gemma4": ["00:00 "] * 7,
        **dict.fromkeys(("glm4v", "glm46v"), ["<|end_of_image|>0"] * 4),
    }.get(lm.family.model_type, [])
    assert re.findall("|".join(map(re.escape, sorted(set(written)))) or r"(?!)", text) == written


def test_the_time_axis_of_a_part_is_that_of_its_frames(tmp_path: Path) -> None:
    """12 frames of the seconds 10 to 15 of a minute at 24 frames a second: 10 frames apart. Qwen2.5-VL takes it."""
    lm = build_lm(MINIATURES["qwen2_5_vl"](tmp_path))
    pixels = noise_clip(0, frames=12)[1].pixels
    indices = tuple(range(245, 360, 10))
    times = tuple(index / 24 for index in indices)
    part = Frames(pixels, times, indices, fps=24.0, duration=60.0, span=(10.0, 15.0))
    inputs = lm.family.video_inputs(lm.processor, lm.chat.text("where is it?"), part)
    assert inputs["second_per_grid_ts"].item() == pytest.approx(2 * 10 / 24, rel=0.02)
    minute = tuple(range(60, 1440, 120))
    whole = Frames(pixels, tuple(index / 24 for index in minute), minute, fps=24.0, duration=60.0)
    inputs = lm.family.video_inputs(lm.processor, lm.chat.text("where is it?"), whole)
    assert inputs["second_per_grid_ts"].item() == pytest.approx(2 * 5.0)


def test_long_responses_score_as_plain_ones_to_two_millionths(lm: VideoLM) -> None:
    """Log-probabilities are summed in float32 over the response, so the error grows with their size."""
    request = ScoreRequest(
        0, "what happens?", tuple("".join(chr(97 + (i * k) % 26) for i in range(400)) for k in (3, 7))
    )
    with torch.no_grad():
        packed = encode(lm).score([request])
        plain = lm.score_one_by_one([frames for _, frames in CLIPS], [request])
    assert min(packed.lengths.tolist()) > 400
    torch.testing.assert_close(packed.logps, plain.logps, atol=0, rtol=2e-6)
