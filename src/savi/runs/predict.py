"""Replies to a file of questions: batches of clips, each clip read once for all of its questions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from savi.data.questions import Question, by_clip
from savi.distributed.collectives import all_gather, from_rank_zero, own_shard
from savi.distributed.in_order import results_in_order
from savi.distributed.sharding import chunks
from savi.files import content_digest, digest_json
from savi.inference import GenerateRequest
from savi.models.load import BaseSettings
from savi.models.video_lm import VideoLM
from savi.models.weights import weights_digest
from savi.prompts.templates import PRESETS, Prompts
from savi.runs.read import ADAPTER, Run, load_aligned, load_plain
from savi.runs.reply_file import ReplyFile, Row, open_replies
from savi.types import Frames, Sampling
from savi.video.decode import UndecodableClip
from savi.video.prefetch import decode_ahead

QUESTIONS_AT_ONCE = 32
"""Replies that are written together: a clip may have any number of questions, and each reply takes memory."""

STAGE = "predicting"
"""Where the waits of several processes for each other are counted."""

Decoded = Frames | UndecodableClip


@dataclass(frozen=True)
class AskedModel:
    """A model that isn't loaded yet, and how it is asked.

    identity: what tells it from another one. max_pixels: of a frame, None for any number. timeout: seconds to decode a
    clip. load: to the GPU if there is one; raises SaviError.
    """

    identity: dict[str, Any]
    load: Callable[[], VideoLM]
    prompts: Prompts
    greedy: Sampling
    frames: int
    max_pixels: int | None
    timeout: float = 60.0

    def made_from(self, questions: Sequence[Question], both: bool) -> dict[str, Any]:
        """Everything that the replies depend on, by the names that a complaint gives."""
        asked = [[question.id, question.clip.id, question.text] for question in questions]
        paths = dict.fromkeys(question.clip.path for question in questions)
        return self.identity | {
            "questions": digest_json(asked),
            "videos": digest_json([content_digest(path) for path in paths]),
            "prompt": self.prompts.answer,
            "frames": self.frames,
            "max_pixels": self.max_pixels,
            "max_new_tokens": self.greedy.max_new_tokens,
            "both": both,
        }


def aligned_model(run: Run) -> AskedModel:
    """The model of a run, asked as the run's own evaluation asks it."""
    return AskedModel(
        identity={
            "run": content_digest(run.folder / ADAPTER),
            "base": run.fingerprint,
            "precision": [run.base.dtype, run.base.nf4],
            "thought_tokens": run.base.thought_tokens,
        },
        load=lambda: load_aligned(run),
        prompts=run.prompts,
        greedy=run.greedy,
        frames=run.data["frames"],
        max_pixels=run.data["max_pixels"],
        timeout=run.data["decode_timeout"],
    )


def base_model(settings: BaseSettings, frames: int, max_pixels: int | None, max_new_tokens: int) -> AskedModel:
    """A checkpoint without a run, asked with the answer prompt that a run of it has by default."""
    embedded = settings.path == "world"
    folder = Path(settings.path).expanduser()
    return AskedModel(
        identity={
            "run": None,
            # A checkpoint of the hub may not be in the cache yet, so its name counts.
            "base": (weights_digest(str(folder)) if folder.is_dir() else None) or settings.path,
            "precision": [settings.dtype, settings.nf4],
            "thought_tokens": settings.thought_tokens,
        },
        load=lambda: load_plain(settings, frames),
        prompts=PRESETS["world" if embedded else "videosavi-2"],
        greedy=Sampling(temperature=0.0, max_new_tokens=max_new_tokens),
        frames=frames,
        max_pixels=max_pixels,
    )


@dataclass(frozen=True)
class Progress:
    """Clips whose rows are in the file. failed: those of this call that could not be decoded."""

    done: int
    total: int
    failed: int


def predict(
    asked: AskedModel, questions: Sequence[Question], output: Path, *, both: bool = False, batch_clips: int = 4
) -> Iterator[Progress]:
    """Write a row of JSON per question to `output`, clip by clip; yields at the start and after each batch of clips.

    A row has id, video, question and reply, and base_reply with `both`: the reply with the adapter off. For a clip that
    can't be decoded the replies are null and `error` says why. Clips come in the order in which the questions name
    them. A call that was killed is continued after its last whole batch, and then gives the same bytes. Several
    processes share the batches, which are those of a single process. None waits for another before its own are done.
    The first one writes the file, and it alone sees progress.
    Raises SaviError for an output of other questions or another model, before the model is loaded.
    """
    groups = by_clip(questions)
    with ExitStack() as stack:
        written: list[ReplyFile] = []  # empty in all processes but the first

        def begin() -> int:
            made_from = asked.made_from(questions, both)
            written.append(stack.enter_context(open_replies(output, made_from, groups, batch_clips)))
            return written[0].clips_done

        done, failed = from_rank_zero(begin, STAGE), 0
        yield Progress(done, len(groups), failed)
        batches = chunks(groups[done:], batch_clips)
        # Only the first process gets rows. They come first here, so that zip() asks for them to their end.
        for (rows, bad), batch in zip(_answered(asked, batches, both), batches, strict=False):
            written[0].add(rows, len(batch))
            done, failed = done + len(batch), failed + bad
            yield Progress(done, len(groups), failed)


def _answered(
    asked: AskedModel, batches: Sequence[Sequence[Sequence[Question]]], both: bool
) -> Iterator[tuple[list[Row], int]]:
    """The rows of each batch of clips, in order, and how many of its clips could not be decoded. The first process has
    them all, the others none."""
    if not batches:
        return
    loaded: list[VideoLM] = []
    all_gather(lambda: loaded.append(asked.load()), STAGE)  # where one can't load it, all end
    paths = [group[0].clip.path for batch in own_shard(batches) for group in batch]
    decoding = decode_ahead(
        paths,
        asked.frames,
        asked.timeout,
        most_pixels=asked.max_pixels,
        ahead=len(batches[0]) + 2,
        prepare=loaded[0].prepare,
    )

    def answer(batch: Sequence[Sequence[Question]]) -> tuple[list[Row], int]:
        decoded = [next(decoding) for _ in batch]
        bad = sum(isinstance(one, UndecodableClip) for one in decoded)
        return _rows(loaded[0], asked, batch, decoded, both), bad

    with closing(decoding):
        yield from results_in_order(batches, answer, STAGE)


def _rows(
    lm: VideoLM, asked: AskedModel, batch: Sequence[Sequence[Question]], decoded: Sequence[Decoded], both: bool
) -> list[Row]:
    """The rows of a batch of clips, in order."""
    readable = [
        (group, frames) for group, frames in zip(batch, decoded, strict=True) if not isinstance(frames, UndecodableClip)
    ]
    aligned = iter(_replies(lm, asked, readable, adapted=True))
    base = iter(_replies(lm, asked, readable, adapted=False) if both else ())
    rows: list[Row] = []
    for group, frames in zip(batch, decoded, strict=True):
        for question in group:
            row: dict[str, Any] = {"id": question.id, "video": question.clip.id, "question": question.text}
            bad = isinstance(frames, UndecodableClip)
            row["reply"] = None if bad else next(aligned)
            if both:
                row["base_reply"] = None if bad else next(base)
            rows.append(row | {"error": frames.reason} if isinstance(frames, UndecodableClip) else row)
    return rows


def _replies(
    lm: VideoLM, asked: AskedModel, readable: Sequence[tuple[Sequence[Question], Frames]], *, adapted: bool
) -> list[str]:
    """The replies to all questions about these clips, in order. A session's keys and values depend on the adapter."""
    if not readable:
        return []
    clips = [group[0].clip for group, _ in readable]
    requests = [
        GenerateRequest(index, asked.prompts.answer.format(question=question.text))
        for index, (group, _) in enumerate(readable)
        for question in group
    ]
    with nullcontext() if adapted else lm.peft_model.disable_adapter():
        session = lm.encode(clips, [frames for _, frames in readable])
        written = [session.generate(some, asked.greedy) for some in chunks(requests, QUESTIONS_AT_ONCE)]
    return [reply.text for some in written for reply in some]
