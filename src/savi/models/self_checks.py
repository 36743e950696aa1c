"""Checks of a checkpoint that take a second or two: a run makes them at its start, and `savi check` makes them too."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from savi.inference import GenerateRequest
from savi.models.chat import Chat
from savi.models.hub import first_line
from savi.models.packed import PackedClips
from savi.models.plain import TOLERANCE, PlainClips
from savi.models.prefix import encode_prefix, layout
from savi.models.sharing import ReadClips, ResponseIds
from savi.models.video_lm import VideoLM
from savi.models.ways import Way
from savi.types import Clip, Frames, Sampling

REMEDY = "compare the folder with the checkpoint's page; a download may be incomplete"
REPORT = (
    "please report it with the output of savi check --json; model.base.dtype float32 tells whether it is arithmetic"
)
PROMPTS = ("What happens first?", "Where is it?\nAnswer in one sentence.", "它在哪里?")
TOKENS = 12
"""Most tokens that a check lets a model write."""

CLEAR = 3.0
"""How much farther than arithmetic explains two log-probabilities must be apart to stop a run."""


@dataclass(frozen=True)
class Finding:
    """One check. passed: None for a fact that can't be wrong. remedy: what to do where it didn't pass."""

    name: str
    passed: bool | None
    says: str
    remedy: str = ""

    @property
    def line(self) -> str:
        """✓ or ✗ where there is something to pass, the name, and what was found."""
        mark = {True: "✓", False: "✗", None: " "}[self.passed]
        return f"{mark} {self.name:18} {self.says}" + (f"\n  {'':18} → {self.remedy}" if self.remedy else "")


def start_checks(model: VideoLM) -> Iterator[Finding]:
    """Of a model in evaluation mode, as it is loaded: with its adapter, on its device."""
    clip = noise(8, 64, 64)
    yield end_of_reply(model.chat)
    yield thought(model.chat)
    yield guarded("prompt ids", lambda: prompt_ids(model.chat, model.way, clip))
    yield guarded("sampled tokens", lambda: sampled_tokens(model, _read(model, clip), CLEAR))


def guarded(name: str, check: Callable[[], Finding]) -> Finding:
    """A check that fails with an error has found something too."""
    try:
        return check()
    except torch.OutOfMemoryError:
        raise
    except Exception as error:  # whatever a processor or a model raises is what this is here to tell
        return Finding(name, False, f"{type(error).__name__}: {first_line(error)}", REMEDY)


def _read(model: VideoLM, clip: Frames) -> ReadClips:
    """A clip as the model's way reads it. It is kept nowhere."""
    if model.way.name == "plain":
        return PlainClips(model.model, model.chat, [clip])
    prefix = encode_prefix(model.model, model.processor, model.family, model.chat.text(""), clip)
    return PackedClips(model.model, model.chat, [Clip("noise", Path("noise"))], [prefix])


def end_of_reply(chat: Chat) -> Finding:
    """Whether a token ends a reply."""
    is_token = chat.end in chat.tokenizer.get_vocab()
    says = f"{chat.end!r}, by {chat.end_from}" if is_token else f"{chat.end!r} is no token of the vocabulary"
    return Finding("end of a reply", is_token, says, "" if is_token else REMEDY)


def thought(chat: Chat) -> Finding:
    """Whether replies begin with a thought, and whether savi can end it."""
    if not chat.template.opens_thought:
        switched = "asked to leave it out" if "enable_thinking" in chat.template.source else "none"
        return Finding("thought", None, switched)
    if chat.thought_end_id is None:
        says = "the template opens one that no token ends; it is closed before every reply"
        remedy = "take a checkpoint whose vocabulary has </think>, or one without thoughts"
        return Finding("thought", False, says, remedy)
    return Finding("thought", None, "before every reply, of at most model.base.thought_tokens tokens")


def prompt_ids(chat: Chat, way: Way, clip: Frames) -> Finding:
    """Whether a prompt behind the clip's tokens is what the processor writes of the whole chat, token by token."""
    if way.name == "plain":
        return Finding("prompt ids", True, "the processor's own: a clip is read anew for each prompt")
    processor, family = chat.processor, chat.family
    empty = family.video_inputs(processor, chat.text(""), clip)["input_ids"][0]
    length, tail = layout(processor, family, chat.text(""), empty)
    for prompt in PROMPTS:
        text = chat.text(prompt)
        behind = text.partition(family.video_token(processor))[2]
        whole = family.video_inputs(processor, text, clip)["input_ids"][0]
        if whole[:length].tolist() != empty[:length].tolist():
            return Finding("prompt ids", False, "what comes before the clip depends on the prompt", REMEDY)
        if whole[length:].tolist() != list(chat.ids_behind(tail + behind)):
            says = f"the processor writes {prompt!r} in other tokens behind a clip"
            return Finding("prompt ids", False, says, REMEDY)
    return Finding("prompt ids", True, f"the processor's own, for {len(PROMPTS)} prompts")


@torch.no_grad()
def sampled_tokens(model: VideoLM, clips: ReadClips, times: float = 1.0) -> Finding:
    """Whether tokens are sampled with the log-probability that they are scored with. times: as in compare()."""
    request = GenerateRequest(0, PROMPTS[0], seed=1)
    (drawn,) = clips.generate([request], Sampling(max_new_tokens=TOKENS))
    # A reply doesn't tell which of the end tokens it ended with: it is the one with its log-probability.
    ends = [(end,) for end in sorted(model.chat.end_ids)] if drawn.finished else [()]
    scored = clips.score([ResponseIds(0, PROMPTS[0], tuple((*drawn.ids, *end) for end in ends))]).logps.cpu()
    nearest = scored[(scored - drawn.logp).abs().argmin()][None]
    ours = torch.tensor([drawn.logp])
    return compare("sampled tokens", "scores", ours, nearest, len(drawn.ids) + 1, model.model.dtype, times)


def compare(
    name: str,
    other: str,
    ours: torch.Tensor,
    theirs: torch.Tensor,
    tokens: int,
    dtype: torch.dtype,
    times: float = 1.0,
) -> Finding:
    """Log-probabilities that must be equal up to the arithmetic of a precision.

    tokens: of the shortest response. Differences count as shares of the value, or of a nat per token where a model is
    so sure that its value is smaller. times: how much more than arithmetic is let pass.
    """
    if not (ours.isfinite().all() and theirs.isfinite().all()):
        return Finding(name, False, f"{ours.tolist()} against {theirs.tolist()}: not finite", REPORT)
    share = ((ours - theirs).abs() / theirs.abs().clamp(min=tokens)).max().item()
    passed = share <= times * TOLERANCE[dtype]
    return Finding(name, passed, f"differ from {other} by {share:.1e} of their size", "" if passed else REPORT)


def noise(frames: int, height: int, width: int) -> Frames:
    """A clip of noise at eight frames per second, the same each time."""
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (frames, height, width, 3), dtype=torch.uint8, generator=generator)
    times = tuple(index / 8 for index in range(frames))
    return Frames(pixels, times, tuple(range(frames)), fps=8.0, duration=frames / 8)
