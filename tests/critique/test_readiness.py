"""The readiness check: its shares by hand, and that it tells the good base from one with a weak critic."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from pathlib import Path

import pytest
import torch

from savi.critique.chain import CritiqueChain
from savi.critique.critics import Critic
from savi.critique.filters import FilterSettings
from savi.critique.readiness import AgreementCheck, LabelledCheck, Readiness, summarise
from savi.critique.readiness_check import check_agreement, check_labelled
from savi.critique.round import Round
from savi.critique.settings import ChainSettings
from savi.data.sources import DataSources
from savi.evaluation.benchmarks.items import Options
from savi.methods import VideoSAVi
from savi.methods.critics import Shuffled, TextOnly
from savi.models.adapters import LoraSettings, attach_lora
from savi.models.load import BaseSettings, load_base
from savi.models.video_lm import VideoLM
from savi.prompts.templates import WORLD
from savi.types import ASPECTS, Aspect, Clip, Frames, Labelled, Sampling
from savi.video.decode import decode
from savi.world.clips import training_clips
from tests.critique.test_chain import ScriptedModel, round_of, sensible

WORLD_CHAIN = ChainSettings(
    questions_per_aspect=2,
    question_replies=2,
    question=Sampling(max_new_tokens=24),
    answer=Sampling(max_new_tokens=12),
    critique=Sampling(temperature=0.0, max_new_tokens=32),
    revision=Sampling(temperature=0.0, max_new_tokens=12),
)


def chain_of(round: Round, critic: Critic | None = None) -> CritiqueChain:
    chain = VideoSAVi(critic).measured(round)
    assert chain
    return chain


def agreement(
    round: Round,
    clips: Sequence[Clip],
    frames: Sequence[Frames | None],
    critic: Critic | None = None,
    aspects: tuple[Aspect, ...] = ASPECTS,
) -> list[AgreementCheck]:
    built = VideoSAVi(critic, aspects).maker(round).run(clips, frames)
    return check_agreement(chain_of(round, critic), built, clips, frames)


def world_round(model: VideoLM) -> Round:
    return Round(model, WORLD, WORLD_CHAIN, FilterSettings(), run_seed=0, index=0)


def test_shares_by_hand() -> None:
    measured = summarise(
        [
            AgreementCheck("unparsable", malformed=True),
            AgreementCheck("pair", False, changed=True, agrees_with_itself=True, agrees_from_another=False),
            AgreementCheck("pair", False, changed=False, agrees_with_itself=True, agrees_from_another=False),
            AgreementCheck("pair", False, changed=True, agrees_with_itself=True, agrees_from_another=True),
        ]
    )
    assert measured == Readiness(
        4, 0.25, pytest.approx(2 / 3), 1.0, pytest.approx(1 / 3), pairs=3, filters={"unparsable": 1}, compared=3
    )
    assert measured.concerns() == ["many replies are malformed", "critiques of two answers disagree"]
    assert measured.line() == (
        "Readiness: of 4 questions 25 % are lost to malformed replies; criticism changes 67 % of the answers; two "
        "critiques of one answer lead to the same revision in 100 %, those of two answers in 33 %; so few tell little: "
        "raise data.readiness_clips until there are 12 questions. WARNING: runs like this gained little or nothing "
        "here: many replies are malformed; critiques of two answers disagree"
    )


def test_what_may_be_chance_is_no_warning() -> None:
    # Of 15 questions 13, Wilson's interval of 90 % ends at 0.95; of 150 questions 130, at 0.905; of 300, at 0.895.
    said = [Readiness(32, 0.0, 0.5, 0.9, 13 / 15, compared=count).concerns() for count in (0, 15, 150, 300)]
    disagree = ["critiques of two answers disagree"]
    assert said == [disagree, [], [], disagree]
    assert Readiness(32, 0.0, 0.5, 0.7, 0.9, compared=15).concerns() == []
    assert Readiness(32, 0.0, 0.5, 0.5, 0.9, compared=15).concerns() == ["two critiques of one answer disagree"]
    # Of 32 questions 2 and 4 malformed: the intervals begin at 0.021 and 0.057; the bound is 0.05.
    assert Readiness(32, 2 / 32, 0.5, 0.9, 0.95).concerns() == []
    assert Readiness(32, 4 / 32, 0.5, 0.9, 0.95).concerns() == ["many replies are malformed"]


def test_labelled_questions_are_counted() -> None:
    well = [
        AgreementCheck("pair", False, changed, agrees_with_itself=True, agrees_from_another=True)
        for changed in (True, False)
    ]
    right, wrong, kept = LabelledCheck(False, True), LabelledCheck(True, False), LabelledCheck(True, True)
    measured = summarise(well, [right, right, wrong, kept])
    assert (measured.labelled, measured.greedy, measured.revised) == (4, 0.5, 0.75)
    assert measured.concerns() == []
    assert measured.line().endswith("; of 4 labelled questions 50 % answered right, 75 % after revision")
    assert summarise(well, [right, wrong, kept]).concerns() == ["revised answers are hardly better than answers"]


def test_what_is_well_has_no_warning() -> None:
    assert Readiness(60, 0.0, 0.5, 0.8, 0.9).concerns() == []
    assert "WARNING" not in Readiness(60, 0.0, 0.5, 0.8, 0.9).line()
    assert Readiness(60, 0.0, 0.05, 0.8, 0.9).concerns() == ["criticism changes hardly any answer"]
    assert Readiness(60, 0.0, 0.9, 0.8, 0.9).concerns() == ["criticism changes nearly every answer"]
    assert "so few" not in Readiness(12, 0.0, 0.5, 0.8, 0.9).line()
    for changed in (0.0, 1.0):  # of one clip: 4 of 4 are no surprise where half of the answers change
        assert Readiness(4, 0.0, changed, 1.0, 1.0).concerns() == []
        assert Readiness(12, 0.0, changed, 1.0, 1.0).concerns() != []
    lost, approved = AgreementCheck("unparsable", malformed=True), AgreementCheck("answer approved")
    assert summarise([lost] * 12).concerns() == ["many replies are malformed", "no question came to a revision"]
    assert summarise([approved] * 12).concerns() == ["no question came to a revision"]
    assert summarise([approved] * 11).concerns() == []


def test_a_sample_without_a_pair_is_hopeless_and_says_what_to_change() -> None:
    lost = [AgreementCheck("unfinished", malformed=True)] * 9 + [AgreementCheck("unparsable", malformed=True)] * 3
    assert summarise(lost).hopeless() == (
        "no pair can be expected: of 12 questions 9 were filtered as 'unfinished'. Raise max_new_tokens of the turn "
        "that is cut off (model.chain.question, answer, critique, revision); --force builds all the same"
    )
    assert summarise(lost[1:]).hopeless() is None, "eleven questions are too few to tell"
    assert summarise([*lost, AgreementCheck("pair", changed=True)]).hopeless() is None


def test_agreement_is_that_of_the_revisions() -> None:
    answers = count()

    def script(clip: int, prompt: str) -> str:
        match prompt.split()[0]:
            case "answer":
                return f"red {next(answers)}"
            case "criticise":
                return "it is blue"
            case "revise":
                return (
                    "blue" if "spatial" in prompt else prompt.split()[-4]
                )  # the answer itself, from "red 0 it is blue"
        return sensible(clip, prompt)

    round = round_of(ScriptedModel(script), questions_per_aspect=1)
    spatial, temporal = agreement(round, [Clip("a", Path("a.mp4"))], [None])
    assert spatial == AgreementCheck("pair", False, changed=True, agrees_with_itself=True, agrees_from_another=True)
    assert temporal == AgreementCheck("pair", False, changed=True, agrees_with_itself=True, agrees_from_another=False)


def test_answers_are_compared_by_their_words_and_unreadable_ones_left_out() -> None:
    def script(clip: int, prompt: str) -> str:
        match prompt.split()[0]:
            case "answer":
                return "" if "lost" in prompt else "Red ."
            case "criticise":
                return "" if "mute" in prompt else "it is blue"
        return "blue"

    chain = chain_of(round_of(ScriptedModel(script)))
    clips = [Clip("a", Path("a.mp4")), Clip("b", Path("b.mp4"))]
    labelled = [
        Labelled(clips[1], "first ?", "red"),
        Labelled(clips[0], "second ?", "blue"),
        Labelled(clips[0], "lost ?", "red"),
        Labelled(clips[1], "mute ?", "red"),
    ]
    assert check_labelled(chain, clips, [None, None], labelled) == [
        LabelledCheck(True, False),
        LabelledCheck(False, True),
    ]


@pytest.fixture(scope="module")
def filmed(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Clip], list[Frames]]:
    clips = training_clips(tmp_path_factory.mktemp("clips"), 16, 0)
    return clips, [decode(clip.path) for clip in clips]


def world_model(noise: float = 0.0) -> VideoLM:
    """The embedded base; noise: added to the decoder's weights, in their standard deviations."""
    base = load_base(BaseSettings(nf4=False))
    generator = torch.Generator().manual_seed(0)
    for name, weights in base.model.named_parameters():
        if noise and "language_model" in name and weights.ndim == 2:
            weights.data += noise * weights.data.std() * torch.randn(weights.shape, generator=generator)
    return VideoLM(base, attach_lora(base.model, base.family, LoraSettings(r=8, alpha=16)))


def readiness(model: VideoLM, filmed: tuple[list[Clip], list[Frames]], critic: Critic | None = None) -> Readiness:
    return summarise(agreement(world_round(model), *filmed, critic=critic))


def test_the_good_base_is_told_from_those_with_a_weak_critic(filmed: tuple[list[Clip], list[Frames]]) -> None:
    good = world_model()
    assert readiness(good, filmed).concerns() == []
    for weak in (readiness(good, filmed, TextOnly()), readiness(world_model(noise=0.3), filmed)):
        assert "two critiques of one answer disagree" in weak.concerns()


@pytest.mark.slow  # a weak critic is told above
def test_a_critic_that_is_sure_and_wrong_is_told_by_labels(
    filmed: tuple[list[Clip], list[Frames]], tmp_path: Path
) -> None:
    model = world_model()
    sources = DataSources("unused", None, 0, "world", {}, Options(), str(tmp_path))
    labelled = [one for one in sources.labelled_questions() if int(one.clip.path.stem.split("_")[1]) < 24]
    clips = list(dict.fromkeys(one.clip for one in labelled))
    frames = [decode(clip.path) for clip in clips]
    gained = []
    for critic in (None, Shuffled()):
        round = world_round(model)
        examined = check_labelled(chain_of(round, critic), clips, frames, labelled)
        measured = summarise(agreement(round, *filmed, critic=critic), examined)
        assert measured.greedy is not None
        assert measured.revised is not None
        gained.append(measured.revised - measured.greedy)
        assert ("revised answers are hardly better than answers" in measured.concerns()) == (critic is not None)
    assert gained[0] > 0.2


def test_lost_revisions_do_not_make_criticism_look_idle() -> None:
    """Of twenty answers ten are approved. The other ten are changed, and nine of these revisions are lost."""
    approved = [AgreementCheck("answer approved", changed=False, lost_at="critique")] * 10
    lost = [AgreementCheck("unparsable", malformed=True, lost_at="revision")] * 9
    assert summarise([*approved, *lost, AgreementCheck("pair", changed=True)]).changed == 0.5


def test_a_hopeless_run_names_the_turn_that_is_cut_off() -> None:
    lost = [AgreementCheck("unfinished", malformed=True, lost_at="critique")] * 9
    lost += [AgreementCheck("unfinished", malformed=True, lost_at="answer")] * 4
    assert "model.chain.critique.max_new_tokens" in (summarise(lost).hopeless() or "")


def test_the_same_question_is_asked_with_the_same_seeds_in_any_batch() -> None:
    def script(clip: int, prompt: str) -> str:
        if prompt.startswith("ask"):
            return "1. where is it?"
        return "blue" if prompt.startswith("revise") else "it is red"

    def seeds(names: list[str]) -> set[int]:
        model = ScriptedModel(script)
        round = round_of(model, FilterSettings(most_logp_drop=None, language_logp=None), questions_per_aspect=1)
        clips = [Clip(name, Path(f"{name}.mp4")) for name in names]
        agreement(round, clips, [None] * len(clips), aspects=("spatial",))
        at = names.index("wanted")
        return {one.seed for _, requests in model.calls for one in requests if one.clip == at}

    assert len(seeds(["wanted"])) > 4
    assert seeds(["wanted"]) == seeds(["another", "wanted"])
