"""savi: video language models that align themselves by self-criticism (VideoSAVi, COLM 2025)."""

import logging

# On every import on a CPU it advises to install a package that fetches kernels from a hub.
logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)
