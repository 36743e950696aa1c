"""What makes a round's pairs, besides the critique chain: a class that the experiment file names (`model.pairs`)."""

from savi.methods.base import PairMethod, QuestionMethod, Responses, Round
from savi.methods.best_of_n import BestOfN
from savi.methods.self_consistency import SelfConsistency

__all__ = ["BestOfN", "PairMethod", "QuestionMethod", "Responses", "Round", "SelfConsistency"]
