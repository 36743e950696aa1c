"""TPO: temporal preferences alone (Li et al. 2025)."""

from __future__ import annotations

from savi.critique.critics import Critic
from savi.methods.videosavi import VideoSAVi


class TPO(VideoSAVi):
    """Asks temporal questions alone, and has the answers revised as VideoSAVi does.

    Args:
        critic: Who criticizes the answers. None: the model itself.
    """

    def __init__(self, critic: Critic | None = None) -> None:
        super().__init__(critic, aspects=("temporal",))
