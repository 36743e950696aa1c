"""What a filter of one's own needs, see docs/methods.md."""

from savi.critique.own_filters import Candidate, PairFilter

__all__ = ["Candidate", "PairFilter"]
