"""A critic that can't do its work is refused before a model is loaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from savi.alignment.critics import check_critic
from savi.critique.critics import CriticSettings
from savi.types import Clip, SaviError

MINE = [Clip("cat", Path("videos/cat.mp4"))]


@pytest.mark.parametrize(
    ("settings", "generation_batch_clips", "said"),
    [
        (CriticSettings("other_clip"), 1, "other_clip needs data.generation_batch_clips of at least 2"),
        (CriticSettings("shuffled"), 1, "shuffled needs data.generation_batch_clips of at least 2"),
        (CriticSettings("truth"), 8, "it goes with data.clips=world"),
        (
            CriticSettings("another", "/nowhere/model"),
            8,
            "^model.chain.critic.base: /nowhere/model is not a model folder",
        ),
    ],
)
def test_a_critic_that_cannot_criticise_is_refused(
    settings: CriticSettings, generation_batch_clips: int, said: str
) -> None:
    with pytest.raises(SaviError, match=said):
        check_critic(settings, MINE, generation_batch_clips, 32)


@pytest.mark.parametrize("kind", ["self", "text", "other_clip", "shuffled"])
def test_others_are_not(kind: Any) -> None:
    check_critic(CriticSettings(kind), MINE, 2, 32)
