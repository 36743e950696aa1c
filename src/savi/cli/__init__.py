"""The command line: one module per command, or the place that has it."""

from savi.cli.main import main

__all__ = ["main"]
