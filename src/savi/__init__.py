"""savi: video language models that align themselves by self-criticism (VideoSAVi, COLM 2025).

From Python: ``savi.align(base=..., clips=...)`` trains as `savi fit` does; ``savi.load_run(folder)`` reads a run back.
Both give the run's model, a :class:`savi.runs.AlignedModel`.
"""

import logging
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from savi.cli.align import align
    from savi.errors import SaviError
    from savi.runs import AlignedModel, BuiltPairs, load_run

__all__ = ["AlignedModel", "BuiltPairs", "SaviError", "align", "load_run"]

_HOMES = {"align": "savi.cli.align", "SaviError": "savi.errors"}
"""Where the names above are from, if not from `savi.runs`."""

# On every import on a CPU it advises to install a package that fetches kernels from a hub.
logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)


def __getattr__(name: str) -> object:
    """The names above on their first use: they need torch, which takes seconds to import."""
    if name not in __all__:
        raise AttributeError(f"module 'savi' has no attribute {name!r}")
    return getattr(import_module(_HOMES.get(name, "savi.runs")), name)
