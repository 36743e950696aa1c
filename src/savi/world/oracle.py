"""The critic who knows the truth of a rendered clip: the ceiling of what criticism can give.

The world's one door through which its truth reaches training. `savi.critique.truth` alone goes through it, and only
for an experiment that names the critic `truth`.
"""

from __future__ import annotations

from savi.types import Clip, SaviError
from savi.world.questions import WORDINGS, queries
from savi.world.scenes import VERSION, Scene, make_scene, scene_seed


def true_critique(clip: Clip, question: str, answer: str) -> str | None:
    """A critique with true evidence, in the wording of the question. None for a question without an answer.

    Raises SaviError for a clip that isn't a training clip of the world.
    """
    scene = scene_of_clip(clip)
    for wording in WORDINGS.values():
        for query in queries(scene, wording):
            if query.text == question:
                return wording.criticism(query, query.answer, answer)
    return None


def scene_of_clip(clip: Clip) -> Scene:
    """The scene that a training clip of the world was rendered from. Raises SaviError for any other clip."""
    split, _, seed = clip.path.parent.name.partition(f"-v{VERSION}-")
    name, _, index = clip.path.stem.partition("_")
    if split != "train" or name != "clip" or not (seed.isdigit() and index.isdigit()):
        raise SaviError(f"the critic truth: the scene of {clip.path} isn't known; it goes with data.clips=world")
    return make_scene(scene_seed("train", int(seed), int(index)))
