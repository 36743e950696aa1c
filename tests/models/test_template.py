"""The end of a turn and the thought before a reply, told from the template: stand-ins written after real ways."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from savi.errors import SaviError
from savi.inference import GenerateRequest, ScoreRequest
from savi.models.load import BaseSettings, load_base
from savi.models.plain import PlainClips
from savi.models.video_lm import VideoLM
from savi.types import Sampling
from tests.miniatures import build_lm, noise_clip
from tests.models import stand_ins
from tests.models.stand_ins import stand_in

GREEDY = Sampling(temperature=0.0, max_new_tokens=6)
THINK = ("<think>", "</think>")


@pytest.mark.parametrize(
    ("template", "tokens", "eos", "ends", "end", "says"),
    [
        (stand_ins.PLAIN, (), None, (), "<|im_end|>", "the chat template"),
        (stand_ins.SYSTEM, (), None, (), "<|im_end|>", "the chat template"),
        (stand_ins.PLAIN, ("</s>",), "</s>", ("</s>",), "<|im_end|>", "the chat template"),
        (stand_ins.BLANK, (), None, (), "<|im_end|>", "the chat template"),
        (
            stand_ins.NO_END,
            ("<|user|>", "<|assistant|>"),
            "<|endoftext|>",
            ("<|endoftext|>", "<|user|>"),
            "<|user|>",
            "the chat template",
        ),
        (stand_ins.ONE_TURN, (), None, (), "<|im_end|>", "the tokenizer"),
        (
            stand_ins.ONE_TURN,
            ("</s>",),
            "</s>",
            ("<|im_end|>", "<|endoftext|>"),
            "<|im_end|>",
            "the generation configuration",
        ),
    ],
)
def test_a_response_ends_as_the_template_ends_it(
    random_base: Path,
    tmp_path: Path,
    template: str,
    tokens: tuple[str, ...],
    eos: str | None,
    ends: tuple[str, ...],
    end: str,
    says: str,
) -> None:
    lm = build_lm(stand_in(random_base, tmp_path / "model", template, tokens=tokens, eos=eos, ends=ends))
    assert (lm.chat.end, lm.chat.end_from) == (end, says)
    token = lm.chat.tokenizer.convert_tokens_to_ids(end)
    assert lm.chat.response_ids("left")[-1] == token
    assert lm.chat.end_ids == {token, *lm.chat.tokenizer.convert_tokens_to_ids([*ends, lm.chat.tokenizer.eos_token])}
    assert not lm.chat.end_ids & set(lm.chat.banned_ids)


@pytest.mark.parametrize(
    ("template", "opens"),
    [
        (stand_ins.PLAIN, False),
        (stand_ins.SWITCHED, False),
        (stand_ins.OPEN_THOUGHT, True),
        (stand_ins.UNASKED, True),
    ],
)
def test_every_reply_is_scored_behind_a_closed_thought(
    random_base: Path, tmp_path: Path, template: str, opens: bool
) -> None:
    lm = build_lm(stand_in(random_base, tmp_path / "model", template, tokens=THINK))
    assert lm.chat.template.opens_thought is opens
    assert lm.thought_tokens == (1024 if opens else 0)
    text = lm.chat.text("where?")
    assert ("<think>\n\n</think>\n\n" in text) is (template != stand_ins.PLAIN)
    assert text.count("<think>") == text.count("</think>") <= 1
    assert_packed_is_plain(lm)


def assert_packed_is_plain(lm: VideoLM) -> None:
    clip, frames = noise_clip(0)
    asked = [ScoreRequest(0, "where?", ("left", "on the right"))]
    packed, plain = lm.encode([clip], [frames]).score(asked), lm.score_one_by_one([frames], asked)
    torch.testing.assert_close(packed.logps, plain.logps, atol=1e-4, rtol=0)
    assert packed.lengths.tolist() == plain.lengths.tolist()


def test_a_thought_has_a_budget_of_its_own_and_is_no_part_of_the_reply(random_base: Path, tmp_path: Path) -> None:
    folder = stand_in(random_base, tmp_path / "model", stand_ins.OPEN_THOUGHT, tokens=THINK)
    base = load_base(BaseSettings(path=str(folder), thought_tokens=5))
    lm = build_lm(folder)
    lm.thought_tokens = base.thought_tokens
    clip, frames = noise_clip(0)
    request = GenerateRequest(0, "where?")
    session = lm.encode([clip], [frames])
    (reply,) = session.generate([request], GREEDY)
    # By hand: five greedy tokens behind the open thought, its end, then six greedy tokens, by plain forwards.
    chat, tokenizer = lm.chat, lm.chat.tokenizer
    start = chat.text("where?", thinking=True)
    thought = continue_plainly(lm, start, (), 5, {chat.thought_end_id, *chat.end_ids})
    assert start.endswith("assistant\n<think>\n")
    between = tuple(chat.tokenize("\n</think>\n\n" if len(thought) == 5 else "</think>\n\n"))
    written = continue_plainly(lm, start, (*thought, *between), 6, set(chat.end_ids))
    assert reply.thought == tokenizer.decode(thought, skip_special_tokens=True).strip() != ""
    assert reply.text == tokenizer.decode(written, skip_special_tokens=True).strip()
    assert reply.tokens == len(written) + reply.finished
    session = lm.encode([clip], [frames])
    (read_anew,) = replace(session, read=PlainClips(lm.model, lm.chat, [frames])).generate([request], GREEDY)
    assert replace(read_anew, logp=reply.logp) == reply
    assert read_anew.logp == pytest.approx(reply.logp, abs=1e-4)


def continue_plainly(lm: VideoLM, text: str, behind: tuple[int, ...], limit: int, ends: set[int | None]) -> list[int]:
    """Greedy tokens, one full forward of the model for each."""
    inputs = lm.family.video_inputs(lm.processor, text, noise_clip(0)[1])
    banned = [token for token in lm.chat.banned_ids if token not in ends]
    written: list[int] = []
    for _ in range(limit):
        row = with_text(inputs, [*behind, *written])
        with torch.no_grad():
            logits = lm.model(**row).logits[0, -1]
        logits[banned] = -torch.inf
        token = int(logits.argmax())
        if token in ends:
            break
        written.append(token)
    return written


def with_text(inputs: dict[str, torch.Tensor], ids: list[int]) -> dict[str, torch.Tensor]:
    length = inputs["input_ids"].shape[1]
    more = {
        name: torch.full((1, len(ids)), int(name == "attention_mask"), dtype=value.dtype)
        for name, value in inputs.items()
        if value.shape == (1, length)
    }
    more["input_ids"] = torch.tensor([ids], dtype=torch.int64)
    return {name: torch.cat([value, more[name]], 1) if name in more else value for name, value in inputs.items()}


def test_without_a_budget_an_empty_thought_is_closed(random_base: Path, tmp_path: Path) -> None:
    folder = stand_in(random_base, tmp_path / "model", stand_ins.OPEN_THOUGHT, tokens=THINK)
    assert load_base(BaseSettings(path=str(folder), thought_tokens=0)).thought_tokens == 0
    lm = build_lm(folder)
    lm.thought_tokens = 0
    clip, frames = noise_clip(0)
    (reply,) = lm.encode([clip], [frames]).generate([GenerateRequest(0, "where?")], GREEDY)
    assert reply.thought == ""


@pytest.mark.parametrize("template", [stand_ins.PLAIN, stand_ins.SWITCHED])
def test_a_budget_that_nothing_spends_is_refused(random_base: Path, tmp_path: Path, template: str) -> None:
    folder = stand_in(random_base, tmp_path / "model", template, tokens=THINK)
    with pytest.raises(SaviError, match=r"thought_tokens has no effect .* replies have no thought"):
        load_base(BaseSettings(path=str(folder), thought_tokens=8))


def test_a_thought_that_is_plain_text_is_closed_and_has_no_budget(random_base: Path, tmp_path: Path) -> None:
    folder = stand_in(random_base, tmp_path / "model", stand_ins.OPEN_THOUGHT)
    assert load_base(BaseSettings(path=str(folder))).thought_tokens == 0
    with pytest.raises(SaviError, match=r"</think> is no token of the vocabulary"):
        load_base(BaseSettings(path=str(folder), thought_tokens=8))
    assert build_lm(folder).chat.text("where?").endswith("<think>\n\n</think>\n\n")
