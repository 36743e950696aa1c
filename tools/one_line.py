"""A tool's end where its user made a mistake: one line, and no traceback."""

from __future__ import annotations

import sys
from collections.abc import Callable

from savi.errors import SaviError


def one_line(main: Callable[[], None]) -> None:
    """Run a tool. A SaviError is one line and exit code 1."""
    try:
        main()
    except SaviError as error:
        sys.exit(str(error))
