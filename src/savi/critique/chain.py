"""The critique chain: question, answer, critique, revision, all branching from a clip that is encoded once.

VideoSAVi, section 3: for each clip the model asks, answers, criticizes its answer against the clip and revises it;
the revision is then preferred over the first answer. What the method is compared with differs in who criticizes
(`savi.critique.critics`), in the response that is paired with the first answer, or in which of the two is preferred.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress

from savi.critique.critics import AnswerToCritique, Critic, SelfCritic
from savi.critique.filters import (
    OTHER_ASPECT,
    SAME_MEANING,
    SAMPLES_DISAGREE,
    UNPARSABLE,
    FilterSettings,
    filter_pair,
    filter_question,
    filter_reply,
)
from savi.critique.preferences import build_pairs, direct
from savi.critique.same_meaning import AnswerPair, agree, same_meaning
from savi.critique.settings import ChainSettings
from savi.critique.store import ClipResult
from savi.critique.turns import ANSWER, TURNS, Asked, Thread, TurnSpec
from savi.inference import GenerateRequest, Reply, Session, VideoModel
from savi.prompts.content import aspect_of
from savi.prompts.markup import Unparsable, whole_sentences
from savi.prompts.questions import parse_questions
from savi.prompts.templates import Prompts
from savi.types import Aspect, Clip, Frames, Sampling, Trace, Turn, TurnName, derive_seed

PAIR = "pair"
"""The outcome of a question that became a pair."""


class CritiqueChain:
    """Takes batches of clips through the chain with one model, under one set of prompts and settings."""

    def __init__(
        self,
        model: VideoModel,
        prompts: Prompts,
        settings: ChainSettings,
        filters: FilterSettings,
        run_seed: int,
        round_index: int,
        critic: Critic | None = None,
    ) -> None:
        """critic: the model itself by default."""
        self.model = model
        self.critic = critic or SelfCritic(model)
        self.prompts = prompts
        self.settings = settings
        self.filters = filters
        self.run_seed = run_seed
        self.round = round_index

    def is_cached(self, clip: Clip) -> bool:
        """Whether model and critic can do without this clip's frames."""
        return self.model.is_cached(clip) and self.critic.is_cached(clip)

    def run(self, clips: Sequence[Clip], frames: Sequence[Frames | None]) -> list[ClipResult]:
        """Pairs and traces of a batch of clips. frames may be None for a clip that the model has cached."""
        session = self.model.encode(clips, frames)
        seeds = self._seeds(clips)
        threads = self._ask(session, seeds)
        for turn in TURNS[self.settings.chosen_source]:
            self._take(turn, session, [thread for thread in threads if thread.filtered_by is None], seeds)
            if turn is ANSWER and self.settings.answer_samples:
                self._filter_guesses(session, [thread for thread in threads if thread.filtered_by is None], seeds)
        self._compare(session, [thread for thread in threads if thread.filtered_by is None])
        return self._results(session, seeds, threads)

    def questions(self, session: Session) -> list[tuple[int, str]]:
        """The questions about a session's clips that no filter takes, each with the index of its clip."""
        threads = self._ask(session, self._seeds(session.clips))
        return [(thread.clip, thread.question) for thread in threads if thread.filtered_by is None]

    def _seeds(self, clips: Sequence[Clip]) -> list[int]:
        return [derive_seed(self.run_seed, self.round, clip.id) for clip in clips]

    def _ask(self, session: Session, seeds: Sequence[int]) -> list[Thread]:
        """Draw questions of every aspect for every clip; keep the first distinct ones."""
        count = self.settings.questions_per_aspect
        slots = [
            (clip, aspect, index)
            for clip in range(len(session.clips))
            for aspect in self.settings.aspects
            for index in range(self.settings.question_replies)
        ]
        requests = [
            GenerateRequest(clip, self.prompts.ask(aspect, count), derive_seed(seeds[clip], "question", aspect, index))
            for clip, aspect, index in slots
        ]
        replies = session.generate(requests, self.settings.question)
        threads: list[Thread] = []
        asked: dict[int, list[str]] = {}
        kept: Counter[tuple[int, Aspect]] = Counter()
        for (clip, aspect, index), request, reply in zip(slots, requests, replies, strict=True):
            turn = _turn("question", request, reply)
            for number, (question, filtered_by) in enumerate(self._questions(reply)):
                if kept[clip, aspect] == count:
                    break
                thread = Thread(clip, self._aspect(question, aspect), question, f"{aspect} {index}.{number}", [turn])
                thread.filtered_by = filtered_by or self._filter_question(thread, asked.setdefault(clip, []))
                if thread.filtered_by is None:
                    asked[clip].append(question)
                    kept[clip, aspect] += 1
                threads.append(thread)
        return threads

    def _questions(self, reply: Reply) -> list[tuple[str, str | None]]:
        """The questions of one reply, each with the filter that takes it."""
        filtered_by = filter_reply(reply.text, reply.finished, self.filters)
        try:
            questions = parse_questions(reply.text, strict=self.filters.question_form)
        except Unparsable:
            return [(reply.text, filtered_by or UNPARSABLE)]
        return [(question, filtered_by) for question in questions]

    def _aspect(self, question: str, asked: Aspect) -> Aspect:
        """The aspect of a question by its own words, and the one that was asked for where they don't tell."""
        return (aspect_of(question) if self.filters.other_aspect else None) or asked

    def _filter_question(self, thread: Thread, earlier: Sequence[str]) -> str | None:
        if thread.aspect not in self.settings.aspects:
            return OTHER_ASPECT
        return filter_question(thread.question, earlier, self.filters)

    def _take(self, turn: TurnSpec, session: Session, threads: Sequence[Thread], seeds: Sequence[int]) -> None:
        """Take threads one turn further."""
        asked = [
            Asked(thread.clip, thread.question, derive_seed(seeds[thread.clip], turn.name, thread.key), thread.replies)
            for thread in threads
        ]
        for thread, (request, reply) in zip(threads, self.reply(turn, session, asked), strict=True):
            thread.turns.append(_turn(turn.name, request, reply))
            text, finished = self.usable(turn, reply)
            thread.filtered_by = filter_reply(text, finished, self.filters)
            try:
                thread.replies[turn.name] = turn.parse(text)
            except Unparsable:
                thread.filtered_by = thread.filtered_by or UNPARSABLE
                continue
            if turn.filter and thread.filtered_by is None:
                thread.filtered_by = turn.filter(thread.replies[turn.name], self.filters)

    def _filter_guesses(self, session: Session, threads: Sequence[Thread], seeds: Sequence[int]) -> None:
        """Filter questions without an answer that nearly all of several sampled ones agree with."""
        count = self.settings.answer_samples
        asked = [
            Asked(thread.clip, thread.question, derive_seed(seeds[thread.clip], "guess", thread.key, index))
            for thread in threads
            for index in range(count)
        ]
        answers = [[thread.replies["answer"]] for thread in threads]
        for place, (_, reply) in enumerate(self.reply(ANSWER, session, asked)):
            with suppress(Unparsable):
                answers[place // count].append(ANSWER.parse(reply.text))
        questions = [(thread.clip, thread.question) for thread in threads]
        for thread, agreed in zip(threads, agree(session, questions, answers, self.prompts, self.filters), strict=True):
            thread.filtered_by = None if agreed else SAMPLES_DISAGREE

    def usable(self, turn: TurnSpec, reply: Reply) -> tuple[str, bool]:
        """A reply's text, and whether it is whole. One that was cut off may be of use up to its last sentence."""
        whole = whole_sentences(reply.text) if turn.may_be_cut and self.filters.cut_critiques else ""
        return (reply.text, reply.finished) if reply.finished or not whole else (whole, True)

    def _compare(self, session: Session, threads: Sequence[Thread]) -> None:
        """Filter the pairs of responses, by their texts and by what they mean."""
        source = self.settings.chosen_source
        for thread in threads:
            answer, other = thread.replies["answer"], thread.replies[source]
            thread.filtered_by = filter_pair(thread.question, answer, other, self.filters)
        left = [thread for thread in threads if thread.filtered_by is None]
        pairs = [AnswerPair(one.clip, one.question, one.replies["answer"], one.replies[source]) for one in left]
        for thread, same in zip(left, self.same_meaning(session, pairs), strict=True):
            thread.filtered_by = SAME_MEANING if same else None

    def same_meaning(self, session: Session, pairs: Sequence[AnswerPair]) -> list[bool]:
        """Whether the answers of each pair say the same, as the filters' settings ask for it, (pairs,)."""
        return same_meaning(session, pairs, self.prompts, self.filters)

    def reply(
        self, turn: TurnSpec, session: Session, asked: Sequence[Asked], sampling: Sampling | None = None
    ) -> list[tuple[GenerateRequest, Reply]]:
        """The replies of one turn, each with the prompt on its clip. sampling: the turn's own by default."""
        sampling = sampling or self.settings.sampling(turn.settings)
        requests = [
            GenerateRequest(one.clip, turn.prompt(self.prompts, one.question, one.replies), one.seed) for one in asked
        ]
        if turn.by == "critic":
            answers = [
                AnswerToCritique(one.question, one.replies["answer"], request)
                for one, request in zip(asked, requests, strict=True)
            ]
            replies = self.critic.critique(session, answers, sampling)
        else:
            replies = session.generate(requests, sampling)
        return list(zip(requests, replies, strict=True))

    def _results(self, session: Session, seeds: Sequence[int], threads: Sequence[Thread]) -> list[ClipResult]:
        paired = [thread for thread in threads if thread.filtered_by is None]
        requests = direct(self.model, paired, seeds, self.prompts, self.settings)
        pairs = build_pairs(session, paired, requests, seeds, self.filters, self.round, self.prompts.version)
        return [
            ClipResult(
                clip=clip,
                pairs=tuple(pairs[index]),
                traces=tuple(self._trace(clip, thread) for thread in threads if thread.clip == index),
                rejected=None,
            )
            for index, clip in enumerate(session.clips)
        ]

    def _trace(self, clip: Clip, thread: Thread) -> Trace:
        outcome = thread.filtered_by or PAIR
        return Trace(clip.id, self.round, thread.aspect, thread.question, tuple(thread.turns), outcome)


def _turn(name: TurnName, request: GenerateRequest, reply: Reply) -> Turn:
    return Turn(name, request.prompt, reply.text, request.seed, reply.logp, reply.finished, reply.thought)
