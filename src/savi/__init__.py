"""savi: video language models that align themselves by self-criticism (VideoSAVi, COLM 2025).

From Python: ``savi.load_run(folder)`` gives a run's model, an :class:`savi.runs.AlignedModel`.
"""

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from savi.runs import AlignedModel, BuiltPairs, load_run

__all__ = ["AlignedModel", "BuiltPairs", "load_run"]

# On every import on a CPU it advises to install a package that fetches kernels from a hub.
logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)


def __getattr__(name: str) -> object:
    """The names above on their first use: they need torch, which takes seconds to import."""
    if name not in __all__:
        raise AttributeError(f"module 'savi' has no attribute {name!r}")
    from savi import runs

    return getattr(runs, name)
