"""One evaluation of a model: answers to all benchmarks, kept batch by batch, then graded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from savi.distributed.collectives import all_gather
from savi.evaluation.answers import Answer, AnswerLog, answer_items, greedy
from savi.evaluation.benchmarks.items import Item
from savi.evaluation.graded_answers import AnsweredRow, grade_answers
from savi.evaluation.measured import Summary
from savi.evaluation.outcomes import VIDEOS
from savi.evaluation.settings import OpenBenchmark
from savi.evaluation.tables import write_tables
from savi.files import digest_json, write_json, write_json_lines
from savi.inference import VideoModel
from savi.prompts.templates import WORLD, Prompts
from savi.types import Clip, Frames, Sampling
from savi.video.decode import UndecodableClip


@dataclass(frozen=True)
class AskedAs:
    """How a model is asked.

    prompts: the run's own, behind which options are scored. free_form: how replies without options are decoded.
    frames, max_pixels: of each clip.
    """

    prompts: Prompts
    free_form: Sampling
    frames: int
    max_pixels: int | None


class Evaluation:
    """Asks a model the items of all benchmarks, through logs that survive a kill.

    folder: for logs, rows and tables. model: identifies the model; the answers of another one are not taken up. rank:
    of this process, which has a log of its own and reads those of the others.
    """

    def __init__(
        self,
        opened: Mapping[str, OpenBenchmark],
        asked_as: AskedAs,
        folder: Path,
        model: Mapping[str, object],
        rank: int = 0,
    ) -> None:
        self.opened = opened
        self.asked_as = asked_as
        self.folder = folder
        self.rank = rank
        self._logs = {name: self._open_log(one, model) for name, one in opened.items()}

    def answered_before(self) -> dict[str, int]:
        """How many answers a killed evaluation has left, by benchmark."""
        return {name: len(log) for name, log in self._logs.items() if len(log)}

    def is_answered(self, items: Sequence[Item]) -> bool:
        """Whether a batch of one benchmark's items is answered already."""
        return bool(items) and self._logs[items[0].benchmark].get(items) is not None

    def answer(
        self,
        model: VideoModel,
        clips: Sequence[Clip],
        frames: Sequence[Frames | UndecodableClip | None],
        items: Sequence[Sequence[Item]],
    ) -> None:
        """Ask about clips in one pass, and commit the answers. frames, items: of each clip, of one benchmark.

        Questions about a clip that can't be decoded have a problem instead of an answer.
        """
        decoded: list[tuple[Clip, Frames | None]] = []
        asked: list[tuple[int, Item]] = []
        answers: list[Answer] = []
        for clip, own_frames, own_items in zip(clips, frames, items, strict=True):
            if isinstance(own_frames, UndecodableClip):
                answers += [Answer(item.id, "", problem=own_frames.reason) for item in own_items]
                continue
            asked += [(len(decoded), item) for item in own_items]
            decoded.append((clip, own_frames))
        name = next(item.benchmark for clip_items in items for item in clip_items)
        if decoded:
            session = model.encode(*zip(*decoded, strict=True))
            owners, questions = zip(*asked, strict=True)
            settings = self.asked_as
            answers += answer_items(session, owners, questions, self.opened[name], settings.prompts, settings.free_form)
        by_id = {answer.id: answer for answer in answers}
        self._logs[name].add([by_id[item.id] for clip_items in items for item in clip_items])

    def finish(self, run: str) -> dict[str, Summary]:
        """Grade the answers of all processes, write rows and tables, and give the summaries by benchmark.

        All processes have to call it. run: the row's name in the tables.
        """
        summaries: dict[str, Summary] = {}
        for name, opened in self.opened.items():
            log, settings = self._logs[name], self.asked_as
            for answers in all_gather(log.all, "evaluating"):
                log.take(answers)
            rows, summary = grade_answers(opened, log, settings.frames, settings.max_pixels)
            # Only the miniatures understand the rendered world's prompts.
            summaries[name] = summary | {"miniature": settings.prompts.version.startswith(WORLD.version)}
            if self.rank == 0:
                self._write(opened, rows)
        if summaries and self.rank == 0:
            write_tables(self.folder, run, summaries)
            clips = {name: [item.clip for item in opened.items] for name, opened in self.opened.items()}
            videos = {name: {clip.id: str(clip.path.absolute()) for clip in found} for name, found in clips.items()}
            write_json(self.folder / VIDEOS, videos)
        return summaries

    def _write(self, opened: OpenBenchmark, rows: Sequence[AnsweredRow]) -> None:
        write_json_lines(self.folder / f"{opened.name}.jsonl", rows)
        make_files = opened.record.extra_files
        for file_name, content in (make_files(rows) if make_files else {}).items():
            write_json(self.folder / file_name, content)

    def _open_log(self, opened: OpenBenchmark, model: Mapping[str, object]) -> AnswerLog:
        own = self.folder / f"{opened.name}.replies{f'-{self.rank}' if self.rank else ''}.jsonl"
        others = [path for path in sorted(self.folder.glob(f"{opened.name}.replies*.jsonl")) if path != own]
        return AnswerLog(own, self._key(opened, model), others)

    def _key(self, opened: OpenBenchmark, model: Mapping[str, object]) -> str:
        """A digest of all that answers depend on. Answers under another one are not taken up."""
        settings = self.asked_as
        parts = {
            **model,
            "frames": [settings.frames, settings.max_pixels],
            "scorer": opened.scorer,
            "sampling": asdict(greedy(opened)),
            "free_form": asdict(settings.free_form) if opened.asks_free_form else None,
            "prompt": settings.prompts.answer if opened.scorer == "likelihood" else "",
            "items": [[item.id, str(item.clip), item.prompt, item.options] for item in opened.items],
        }
        return digest_json(parts)
