"""A video-LLM as savi uses it: watch a clip once, then write and score whatever branches from it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import torch
from jinja2 import TemplateError
from peft import PeftModel
from torch import Tensor

from savi.errors import NonFiniteError
from savi.models.cache import PrefixCache, fill_cache
from savi.models.family import ClipPrefix, clips_at_once
from savi.models.generate import continue_branches
from savi.models.kept import KeepSettings, KeptPrefixes, watcher_key
from savi.models.load import LoadedBase
from savi.models.prefix import read_prefix
from savi.models.score import score_packed, score_plain
from savi.models.tree import TokenisedQuestion
from savi.types import Branch, Clip, Frames, Question, Reply, ResponseScores, Sampling, SaviError

Reference = Literal["base", "previous"]
"""base: the model with its adapter off. previous: the adapter as it stands when the pairs are built, that is, at the
end of the round before; its log-probabilities are kept with the pairs, so that no copy of it is needed."""


@dataclass
class WatchedClips:
    """Clips whose prefixes are ready. The key-value cache is filled when something is first generated from it.

    names: the clips' ids, for messages.
    """

    prefixes: list[ClipPrefix]
    names: list[str]
    cache: PrefixCache | None = field(default=None, repr=False)

    def __len__(self) -> int:
        return len(self.prefixes)


class VideoLM:
    """Watches, generates and scores with one adapted model (implements :class:`savi.types.VideoModel`).

    peft_model: the base with its LoRA adapter. reference: which frozen model score_reference stands for.
    keep: where the prefixes of clips already seen are kept. sampled_as: how their frames are sampled, in words: what
    was kept of frames sampled otherwise is not taken.
    """

    def __init__(
        self,
        base: LoadedBase,
        peft_model: PeftModel,
        reference: Reference = "base",
        keep: KeepSettings = KeepSettings(),  # noqa: B008 (frozen)
        sampled_as: str = "",
    ) -> None:
        self.peft_model = peft_model
        self.model: Any = peft_model.get_base_model()
        self.processor = base.processor
        self.family = base.family
        self.reference = reference
        self.kept = KeptPrefixes(keep, watcher_key(self.model, base.processor, base.family, sampled_as))
        tokenizer = base.processor.tokenizer
        # Longest first, so that a token that contains another is taken out whole.
        special = set(tokenizer.all_special_tokens) | set(tokenizer.get_added_vocab())
        placeholder = base.family.video_token(base.processor)
        self._special_tokens = sorted(special | {placeholder}, key=len, reverse=True)
        self._end_ids = _end_ids(self.model, tokenizer)
        special_ids = {tokenizer.convert_tokens_to_ids(token) for token in special} - self._end_ids
        embedded = self.model.get_output_embeddings().weight.shape[0]
        # Rows of the output layer that no token owns (padding of the vocabulary) must not be sampled either.
        self._banned = sorted(special_ids | set(range(len(tokenizer), embedded)))

    @property
    def device(self) -> torch.device:
        device: torch.device = self.model.device
        return device

    def is_kept(self, clip: Clip) -> bool:
        """Whether watch() can do without this clip's frames."""
        return clip in self.kept

    @torch.no_grad()
    def watch(self, clips: Sequence[Clip], frames: Sequence[Frames | None]) -> WatchedClips:
        """Prefixes of a batch of clips. frames may be None for a clip that is kept.

        No gradient is recorded: the vision tower and the embedding are frozen.
        """
        prefixes = []
        for clip, clip_frames in zip(clips, frames, strict=True):
            prefix = self.kept.get(clip)
            if prefix is None:
                if clip_frames is None:
                    raise SaviError(
                        f"clip {clip.id} is not kept any more, because its file was replaced while the run read it: "
                        "resume the run"
                    )
                prefix = self._prefix(clip_frames)
                self.kept.add(clip, prefix, clip_frames.file)
            prefixes.append(prefix.to(self.device))
        return WatchedClips(prefixes, [clip.id for clip in clips])

    def generate(self, watched: WatchedClips, branches: Sequence[Branch], sampling: Sampling) -> list[Reply]:
        """Continue every branch under the current adapter. The replies come in the order of the branches.

        Raises NonFiniteError for a reply whose log-probability isn't finite: its tokens mean nothing.
        """
        if not branches:
            return []
        if watched.cache is None:
            watched.cache = fill_cache(self.model, self.family, watched.prefixes)
        continuations = continue_branches(
            self.model,
            self.family,
            watched.cache,
            clips=[branch.clip for branch in branches],
            prompts=[self._prompt_ids(branch.prompt, watched.prefixes[branch.clip]) for branch in branches],
            seeds=[branch.seed for branch in branches],
            sampling=sampling,
            end_ids=frozenset(self._end_ids),
            banned_ids=torch.tensor(self._banned, device=self.device),
        )
        _check_finite(watched, [branch.clip for branch in branches], [c.logp for c in continuations])
        decode = self.processor.tokenizer.decode
        return [
            Reply(decode(c.ids, skip_special_tokens=True).strip(), len(c.ids) + c.finished, c.logp, c.finished)
            for c in continuations
        ]

    def score(self, watched: WatchedClips, questions: Sequence[Question]) -> ResponseScores:
        """Packed log-probabilities of every response under the current adapter; gradients flow if enabled.

        Without gradients, raises NonFiniteError for a log-probability that isn't finite. With them it is for the
        caller to find, who may have to agree with other processes.
        """
        order, grouped = self._by_clip(watched, questions)
        clips = [index for index, group in enumerate(grouped) if group]
        # With gradients the memory is for the caller to choose: what is asked for is kept for one backward pass.
        at_once = len(clips) if torch.is_grad_enabled() else clips_at_once(watched.prefixes)
        parts = [
            score_packed(self.model, self.family, [watched.prefixes[i] for i in some], [grouped[i] for i in some])
            for some in (clips[start : start + at_once] for start in range(0, len(clips), at_once))
        ]
        index = torch.tensor(order, device=self.device)
        logps = torch.cat([part.logps for part in parts])[index]
        if not torch.is_grad_enabled():
            _check_finite(watched, [q.clip for q in questions for _ in q.responses], logps.tolist())
        return ResponseScores(logps, torch.cat([part.lengths for part in parts])[index])

    @torch.no_grad()
    def score_reference(self, watched: WatchedClips, questions: Sequence[Question]) -> ResponseScores:
        """The same under the frozen reference, without a gradient."""
        with self.peft_model.disable_adapter() if self.reference == "base" else nullcontext():
            return self.score(watched, questions)

    def score_one_by_one(self, frames: Sequence[Frames], questions: Sequence[Question]) -> ResponseScores:
        """Plain scoring: every response in a row of its own, the clip read anew. The oracle of score()'s tests."""
        rows, lengths = [], []
        for question in questions:
            for response in question.responses:
                chat = self._chat(question.prompt)
                inputs = self.family.video_inputs(self.processor, chat, frames[question.clip])
                ids = self._response_ids(response)
                rows.append(self._to_device(_append(inputs, ids)))
                lengths.append(len(ids))
        return score_plain(self.model, self.family, rows, lengths)

    def _prefix(self, frames: Frames) -> ClipPrefix:
        return read_prefix(self.model, self.processor, self.family, self._chat(""), frames)

    def _by_clip(
        self, watched: WatchedClips, questions: Sequence[Question]
    ) -> tuple[list[int], list[list[TokenisedQuestion]]]:
        """Questions grouped by clip, and for each response, as asked for, its place among the grouped ones."""
        grouped: list[list[TokenisedQuestion]] = [[] for _ in range(len(watched))]
        asked: list[tuple[int, int]] = []
        for question in questions:
            tokenised = TokenisedQuestion(
                self._prompt_ids(question.prompt, watched.prefixes[question.clip]),
                tuple(self._response_ids(r) for r in question.responses),
            )
            asked.append((question.clip, len(grouped[question.clip])))
            grouped[question.clip].append(tokenised)
        places: dict[tuple[int, int], range] = {}
        count = 0
        for clip, group in enumerate(grouped):
            for index, tokenised in enumerate(group):
                places[clip, index] = range(count, count + len(tokenised.responses))
                count += len(tokenised.responses)
        return [place for key in asked for place in places[key]], grouped

    def _chat(self, prompt: str) -> str:
        content = [{"type": "video"}, {"type": "text", "text": self._plain(prompt)}]
        text: str = self.processor.apply_chat_template(
            [{"role": "user", "content": content}], add_generation_prompt=True, tokenize=False
        )
        return text

    def _prompt_ids(self, prompt: str, prefix: ClipPrefix) -> tuple[int, ...]:
        """Token ids behind the clip's visual tokens, up to where the assistant's reply starts.

        A visual token is put in front and taken off again: some tokenisers treat the start of a text differently.
        """
        _, token, behind = self._chat(prompt).partition(self.family.video_token(self.processor))
        if not token:
            raise SaviError(f"the chat template of {self.family.model_type} wrote no placeholder for the video")
        text = self.family.visual_token(self.processor) + prefix.tail + behind
        return tuple(self._tokenise(text)[1:])

    def _response_ids(self, response: str) -> tuple[int, ...]:
        start, known = self._reply_start
        return tuple(self._tokenise(start + self._plain(response) + self._end_token)[known:])

    @cached_property
    def _reply_start(self) -> tuple[str, int]:
        """What to put in front of a response so that its tokens are those that the model writes, and how many to drop.

        Nothing as a rule. Some chat templates write a blank between generation prompt and reply (SmolVLM2's does): the
        model begins with it, and replies are stripped of it. Only text and reply in one tell how it is tokenised.
        """
        content = [{"type": "video"}, {"type": "text", "text": ""}]
        reply = {"role": "assistant", "content": [{"type": "text", "text": "reply"}]}
        try:
            chat = self.processor.apply_chat_template([{"role": "user", "content": content}, reply], tokenize=False)
        except (TypeError, TemplateError):
            return "", 0  # the template takes no reply of this form
        begun, prompt, behind = chat.partition(self._chat(""))
        gap = behind.partition("reply")[0]
        start = self.family.visual_token(self.processor) + prompt.partition(self.family.video_token(self.processor))[2]
        ids = self._tokenise(start)
        if begun or not gap.isspace() or self._tokenise(f"{start}{gap}reply")[: len(ids)] != ids:
            return "", 0
        return start + gap, len(ids)

    def _tokenise(self, text: str) -> list[int]:
        ids: list[int] = self.processor.tokenizer(text, add_special_tokens=False).input_ids
        return ids

    @property
    def _end_token(self) -> str:
        token: str = self.processor.tokenizer.eos_token
        return token

    def _plain(self, text: str) -> str:
        """Text that a model wrote may spell a special token; it must not become one in the next prompt.

        What stood around a token may spell one in its turn, so tokens are removed until none is left.
        """
        before = None
        while text != before:
            before = text
            for token in self._special_tokens:
                text = text.replace(token, "")
        return text

    def _to_device(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        return {name: value.to(self.device) for name, value in inputs.items()}


def _check_finite(watched: WatchedClips, clips: Sequence[int], logps: Sequence[float]) -> None:
    """clips: index into the watched batch, one per log-probability."""
    for clip, logp in zip(clips, logps, strict=True):
        if not math.isfinite(logp):
            raise NonFiniteError(f"clip {watched.names[clip]}: the model gives a log-probability of {logp}")


def _append(inputs: dict[str, Tensor], ids: Sequence[int]) -> dict[str, Tensor]:
    """A row of processor outputs with text tokens behind it."""
    row = inputs["input_ids"]
    more = {name: torch.zeros(1, len(ids), dtype=v.dtype) for name, v in inputs.items() if v.shape == row.shape}
    more["input_ids"] = torch.tensor([ids], dtype=row.dtype)
    if "attention_mask" in more:
        more["attention_mask"] += 1
    return {name: torch.cat([value, more[name]], 1) if name in more else value for name, value in inputs.items()}


def _end_ids(model: Any, tokenizer: Any) -> set[int]:
    configured = model.generation_config.eos_token_id
    listed = configured if isinstance(configured, list) else [configured]
    return {i for i in (*listed, tokenizer.eos_token_id) if i is not None}
