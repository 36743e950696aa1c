"""A run's model in use: asked from Python or the command line, and exported."""

from savi.runs.ask import AlignedModel, load_run

__all__ = ["AlignedModel", "load_run"]
