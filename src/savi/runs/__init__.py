"""A run's model in use: asked from Python or the command line, and exported."""

from savi.runs.ask import AlignedModel, load_run
from savi.runs.build_pairs import BuiltPairs

__all__ = ["AlignedModel", "BuiltPairs", "load_run"]
