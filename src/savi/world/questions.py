"""The questions about a scene: every valid one with its true answer, in one of the world's wordings."""

from __future__ import annotations

from typing import Literal

from savi.world.facts import KINDS as KINDS
from savi.world.facts import NUMBERS as NUMBERS
from savi.world.facts import Kind as Kind
from savi.world.facts import facts
from savi.world.natural import NATURAL
from savi.world.scenes import Scene
from savi.world.wording import MINIATURE, Wording
from savi.world.wording import Query as Query

WordingName = Literal["miniature", "natural"]
WORDINGS: dict[WordingName, Wording] = {"miniature": MINIATURE, "natural": NATURAL}


def queries(scene: Scene, wording: Wording = MINIATURE) -> list[Query]:
    """Every question that has one clear answer in this scene. A text appears once."""
    return wording.questions(facts(scene))
