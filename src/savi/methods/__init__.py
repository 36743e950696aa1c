"""What makes a round's pairs: a class that the experiment file names (`model.pairs`)."""

from savi.critique.question_maker import Responses
from savi.critique.round import Round
from savi.critique.turns import Question
from savi.methods import critics
from savi.methods.base import PairMethod, QuestionMethod
from savi.methods.best_of_n import BestOfN
from savi.methods.from_files import FromFiles
from savi.methods.hound import Hound
from savi.methods.i_srt import ISRT
from savi.methods.random_preference import RandomPreference
from savi.methods.self_consistency import SelfConsistency
from savi.methods.tpo import TPO
from savi.methods.two_samples import TwoSamples
from savi.methods.videosavi import VideoSAVi

METHODS: dict[str, type[PairMethod]] = {
    "videosavi": VideoSAVi,
    "tpo": TPO,
    "hound": Hound,
    "i_srt": ISRT,
    "best_of_n": BestOfN,
    "self_consistency": SelfConsistency,
    "two_samples": TwoSamples,
    "random_preference": RandomPreference,
    "from_files": FromFiles,
}
"""savi's own methods by their short names, which experiments may give instead of a `class_path`."""

CRITICS: dict[str, type[critics.Critic]] = {
    "another": critics.Another,
    "text": critics.TextOnly,
    "other_clip": critics.OtherClip,
    "shuffled": critics.Shuffled,
    "truth": critics.Truth,
}
"""savi's own critics by their short names."""

__all__ = [
    "CRITICS",
    "ISRT",
    "METHODS",
    "TPO",
    "BestOfN",
    "FromFiles",
    "Hound",
    "PairMethod",
    "Question",
    "QuestionMethod",
    "RandomPreference",
    "Responses",
    "Round",
    "SelfConsistency",
    "TwoSamples",
    "VideoSAVi",
]
