# ruff: noqa: RUF001 (Chinese has its own comma and question mark)
"""Made-up models that write like instruct models about made-up clips. A clip's facts follow from its id.

Each has one habit that a real checkpoint may have. Their replies vary with the request's seed, and with temperature 0
they depend on the prompt alone.
"""

from __future__ import annotations

import random
import re
import string
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from savi.conversations import Conversation
from savi.inference import GenerateRequest, Reply, ResponseScores, ScoreRequest
from savi.prompts.templates import FIELDS, VIDEOSAVI_2
from savi.types import ASPECTS, Aspect, Clip, Frames, Sampling, derive_seed
from tests.critique.topics import CHINESE, ENGLISH, UNTOLD, Topic


def _pattern(template: str) -> re.Pattern[str]:
    """What reads the fields of a prompt back from its text."""
    parts = string.Formatter().parse(template)
    return re.compile(
        "".join(re.escape(text) + (f"(?P<{name}>.*)" if name else "") for text, name, _, _ in parts), re.DOTALL
    )


PROMPTS = {name: _pattern(getattr(VIDEOSAVI_2, name)) for name in FIELDS}


def read_prompt(prompt: str) -> tuple[str, dict[str, str]]:
    """The name of a prompt of `VIDEOSAVI_2`, and its fields."""
    for name, pattern in PROMPTS.items():
        # The answer prompt begins with any question, and so fits most of the others.
        if name != "answer" and (found := pattern.fullmatch(prompt)):
            return name, found.groupdict()
    found = PROMPTS["answer"].fullmatch(prompt)
    if found is None:
        raise AssertionError(f"no prompt of {VIDEOSAVI_2.version}: {prompt}")
    return "answer", found.groupdict()


def read_comparison(conversation: Conversation) -> tuple[str, str, str]:
    """The question, its answer and the other answer, of a conversation in which the judge is asked."""
    shown, answered, asked = conversation
    _, answer_fields = read_prompt(shown.text)
    _, fields = read_prompt(asked.text)
    return answer_fields["question"], answered.text, fields["other"]


def draws(kind: str, clip: str, prompt: str, seed: int) -> random.Random:
    """Draws that depend on what a prompt is about, and not on its wording."""
    name, fields = read_prompt(prompt)
    return random.Random(derive_seed(kind, clip, name, *fields.values(), seed))


@dataclass(frozen=True)
class WriterSession:
    model: Varying
    clips: Sequence[Clip]
    frames: Sequence[Frames | None]

    def generate(self, requests: Sequence[GenerateRequest], sampling: Sampling) -> list[Reply]:
        return [self._reply(request, sampling) for request in requests]

    def _reply(self, request: GenerateRequest, sampling: Sampling) -> Reply:
        clip = self.clips[request.clip].id
        said = self.model.write(clip, request.prompt, request.seed if sampling.temperature else 0)
        tokens = len(said.split()) + 1
        return Reply(said, tokens, -0.5 * tokens, finished=True)

    def score(self, requests: Sequence[ScoreRequest]) -> ResponseScores:
        raise AssertionError("building pairs needs the reference's scores alone")

    def score_reference(self, requests: Sequence[ScoreRequest]) -> ResponseScores:
        logps: list[float] = []
        lengths: list[int] = []
        for request in requests:
            if not isinstance(request.prompt, str):
                same = self.model.say_the_same(*read_comparison(request.prompt))
                logps += [-1.0 if (word == "Yes") == same else -3.0 for word in request.responses]
                lengths += [2 for _ in request.responses]
                continue
            for response in request.responses:
                lengths.append(max(2, len(response.split()) + 1))
                logps.append(lengths[-1] * self.model.likelihood(response))
        return ResponseScores(torch.tensor(logps), torch.tensor(lengths))


class Varying:
    """Says a fact in varying sentences. Its first answers are right by a coin; its critic looks at the clip and is
    right, and so is what it says after criticism. verdicts: whether its critic ends in one."""

    topics: Sequence[Topic] = ENGLISH

    def __init__(self, right: float = 0.5, verdicts: bool = True) -> None:
        self.right = right
        self.verdicts = verdicts

    def is_cached(self, clip: Clip) -> bool:
        return True

    def encode(self, clips: Sequence[Clip], frames: Sequence[Frames | None]) -> WriterSession:
        return WriterSession(self, clips, frames)

    def topic(self, question: str) -> Topic:
        return next(topic for topic in self.topics if question in topic.questions)

    def knows(self, clip: str, prompt: str, seed: int) -> bool:
        """The coin: whether the answer to this prompt, by this seed, is right."""
        return draws("coin", clip, prompt, seed).random() < self.right

    def say_the_same(self, question: str, first: str, second: str) -> bool:
        """The judge: whether two answers state the same fact."""
        return any(
            topic.stated(first) is not None and topic.stated(first) == topic.stated(second)
            for topic in self.topics
            if question in topic.questions
        )

    def likelihood(self, response: str) -> float:
        """Under the frozen reference, in nats per token."""
        return -0.4 - 0.4 * random.Random(derive_seed("likelihood", response)).random()

    def write(self, clip: str, prompt: str, seed: int) -> str:
        rng = draws("text", clip, prompt, seed)
        name, fields = read_prompt(prompt)
        if name.endswith("_question"):
            aspect: Aspect = "spatial" if name == "spatial_question" else "temporal"
            return self.ask(rng, aspect, int(fields["count"]))
        topic = self.topic(fields["question"])
        true = topic.fact(clip)
        if name == "answer":
            other = rng.choice([value for value in topic.values if value != true])
            return self.answer(rng, topic, true if self.knows(clip, prompt, seed) else other)
        if name == "critique":
            return self.critique(rng, topic, true, fields["answer"])
        return self.revision(rng, topic, true, fields["answer"])

    def ask(self, rng: random.Random, aspect: Aspect, count: int) -> str:
        """A list of questions, some with an announcement and other marks."""
        about = [topic for topic in self.topics if topic.aspect == aspect]
        questions = [rng.choice(topic.questions) for topic in rng.sample(about, min(count, len(about)))]
        start, mark = rng.choice([("", "{}. {}"), ("Sure! Here are the questions:\n\n", "{}. **{}**"), ("", "{}) {}")])
        return start + "\n".join(mark.format(at, self.line(rng, one)) for at, one in enumerate(questions, 1))

    def line(self, rng: random.Random, question: str) -> str:
        """A question as its line has it."""
        return question

    def answer(self, rng: random.Random, topic: Topic, value: str) -> str:
        return topic.sentence(rng, value)

    def critique(self, rng: random.Random, topic: Topic, true: str, answer: str) -> str:
        wrong = topic.stated(answer) != true
        start = rng.choice(["", "In the video, one can see this clearly. ", "Critique: "])
        found = " The proposed answer says something else." if wrong else ""
        verdict = rng.choice(["Verdict: {}", "**Verdict:** {}", "Verdict: **{}**"])
        ends = f"{found}\n{verdict.format('wrong' if wrong else 'right')}" if self.verdicts else ""
        return f"{start}{topic.sentence(rng, true)}{ends}"

    def revision(self, rng: random.Random, topic: Topic, true: str, answer: str) -> str:
        return topic.sentence(rng, true)


class AlwaysRight(Varying):
    """Its critic finds every answer right."""

    def critique(self, rng: random.Random, topic: Topic, true: str, answer: str) -> str:
        praise = rng.choice(["The video shows just that.", "The proposed answer agrees with the video.", answer])
        return f"{praise}\n" + rng.choice(["Verdict: right", "**Verdict: right**", "Verdict: The answer is correct."])


class Apologizer(Varying):
    """Its revisions apologize for the draft, thank for the notes, or talk about both."""

    clean = (
        "I apologize for the confusion. {}",
        "Thank you for the correction! {}",
        "Sorry about that mistake. {}",
        "Upon further review, {}",
    )
    talk = (
        "You're right, I apologize.",
        "I apologize for the mistake in my previous response.",
        "The draft is right, so no changes are needed.",
        "{} I apologize for the error in my earlier answer.",
        "{} The draft was incorrect about this.",
        "Contrary to the draft, this is what happens: {}",
        "{} Thank you for pointing this out!",
    )

    def revision(self, rng: random.Random, topic: Topic, true: str, answer: str) -> str:
        return rng.choice([*self.clean, *self.talk]).format(topic.sentence(rng, true))


class Parrot(Varying):
    """Its critic repeats the answer, and so does its revision."""

    def critique(self, rng: random.Random, topic: Topic, true: str, answer: str) -> str:
        return rng.choice(["{}", "Critique: {}", '"{}"']).format(answer)

    def revision(self, rng: random.Random, topic: Topic, true: str, answer: str) -> str:
        return rng.choice(["{}", "Improved answer: {}", "**{}**"]).format(answer)


class SelfAnswering(Varying):
    """Answers its own questions, within their lines."""

    marks = ("{} {}", "{} Answer: {}", "{} (Answer: {})", "{} A: {}", "{} - {}", "{} → {}", "{} *{}*", "{} ({})")

    def line(self, rng: random.Random, question: str) -> str:
        topic = self.topic(question)
        return rng.choice(self.marks).format(question, topic.sentence(rng, rng.choice(topic.values)))


class Chinese(Varying):
    """Writes Chinese, whatever it is asked in."""

    topics = CHINESE

    def ask(self, rng: random.Random, aspect: Aspect, count: int) -> str:
        questions = super().ask(rng, aspect, count)
        return questions.replace("Sure! Here are the questions:", "好的，以下是问题：")

    def critique(self, rng: random.Random, topic: Topic, true: str, answer: str) -> str:
        wrong = topic.stated(answer) != true
        start = rng.choice(["", "从视频中可以看到，", "评价："])
        verdict = rng.choice(["结论：{}", "**结论**：{}", "判定：{}。", "Verdict: {}"])
        word = ("wrong" if wrong else "right") if verdict.startswith("V") else ("错误" if wrong else "正确")
        return f"{start}{topic.sentence(rng, true)}\n{verdict.format(word)}"


class ThinksAloud(Varying):
    """Thinks before each reply, about the task and about what it will not say in the end."""

    thoughts = (
        "Okay, the user wants me to look at the proposed answer. Is it right? Let me see.\nVerdict: right? Hmm, wait.",
        "The draft says something. What color is it? Where is it? I should answer in one sentence.",
        "First answer: maybe. I can't tell yet. Let me look again.",
    )

    def write(self, clip: str, prompt: str, seed: int) -> str:
        rng = draws("thought", clip, prompt, seed)
        start, end = rng.choice([("<think>\n", "\n</think>\n\n"), ("<think>", "</think>"), ("", "\n</think>\n\n")])
        thought = rng.choice(self.thoughts)
        if read_prompt(prompt)[0] == "answer" and rng.random() < 0.1:
            return f"<think>\n{thought} So it must be"
        return f"{start}{thought}{end}{super().write(clip, prompt, seed)}"


class Unanswerable(Varying):
    """Asks what no clip tells, guesses, and says so after criticism."""

    topics = UNTOLD
    admissions = (
        "The video does not show this.",
        "It cannot be determined from the video.",
        "I can't tell from the video.",
        "The video doesn't provide this information.",
        "It is not clear from the video.",
        "There is no information about this in the video.",
        "This is not shown in the video.",
        "Based on the video alone, it is impossible to say.",
    )

    def critique(self, rng: random.Random, topic: Topic, true: str, answer: str) -> str:
        return f"{rng.choice(self.admissions)} The proposed answer is a guess.\nVerdict: wrong"

    def revision(self, rng: random.Random, topic: Topic, true: str, answer: str) -> str:
        return rng.choice(self.admissions)


class Guessing(Varying):
    """Asks what no clip tells, and never says so: its answers, its critic and its revisions guess."""

    topics = UNTOLD

    def critique(self, rng: random.Random, topic: Topic, true: str, answer: str) -> str:
        return super().critique(rng, topic, rng.choice(topic.values), answer)

    def revision(self, rng: random.Random, topic: Topic, true: str, answer: str) -> str:
        return topic.sentence(rng, rng.choice(topic.values))


class Degrading(Varying):
    """Writes well up to the round `breaks_at`; from then on the turns `broken` loop or are salad of the clip's words.

    The frozen reference, which is the model of round 0, finds salad unlikely.
    """

    everything = ("spatial_question", "temporal_question", "answer", "critique", "revision")

    def __init__(
        self, round_index: int, how: str, broken: Sequence[str] = everything, breaks_at: int = 2, right: float = 0.2
    ) -> None:
        super().__init__(right)
        self.how = how
        self.broken = broken if round_index >= breaks_at else ()

    def write(self, clip: str, prompt: str, seed: int) -> str:
        name, _ = read_prompt(prompt)
        if name not in self.broken:
            return super().write(clip, prompt, seed)
        rng = draws("noise", clip, prompt, seed)
        if self.how == "loop":
            mark = "1. What is it? " if name.endswith("_question") else ""
            return mark + f"{rng.choice(['the shirt is', 'and then', 'red'])} " * 12
        return " ".join(rng.choice(SALAD) for _ in range(rng.randint(4, 9)))

    def likelihood(self, response: str) -> float:
        return -6.5 if set(response.split()) <= set(SALAD) else super().likelihood(response)


SALAD = (
    *("lamp", "of", "cloud", "under", "ran", "quite", "door", "nine", "the", "which", "how", "because", "plate"),
    *("them", "over", "wet", "into", "often"),
)
"""Words that state no fact, in any order."""

assert set(ASPECTS) == {topic.aspect for topic in ENGLISH} == {topic.aspect for topic in CHINESE}
