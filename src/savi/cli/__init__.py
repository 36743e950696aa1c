"""The command line: `savi fit`, `validate`, `ask`, `export`, `score` and `compare`."""

from savi.cli.main import main

__all__ = ["main"]
