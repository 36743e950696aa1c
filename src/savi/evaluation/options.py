"""Options of the commands that need no model."""

from __future__ import annotations

import argparse
from typing import NoReturn

from savi.types import SaviError


class OneLineParser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        raise SaviError(f"{self.prog.removeprefix('savi ')}: {message}")
