"""The tree's layout, written out by hand."""

from __future__ import annotations

import torch

from savi.models.tree import TokenisedQuestion, build_tree


def test_layout_of_two_questions_by_hand() -> None:
    tree = build_tree([TokenisedQuestion((10, 11), ((20, 21), (30,))), TokenisedQuestion((12,), ((22,),))])
    assert tree.ids.tolist() == [10, 11, 20, 21, 30, 12, 22]
    assert tree.offsets.tolist() == [0, 1, 2, 3, 2, 0, 1]
    # Both responses to the first question start at its last prompt token.
    assert tree.sources.tolist() == [1, 2, 1, 5]
    assert tree.targets.tolist() == [20, 21, 30, 22]
    assert tree.segments.tolist() == [0, 0, 1, 2]
    expected = torch.tensor(
        [
            [1, 0, 0, 0, 0, 0, 0],
            [1, 1, 0, 0, 0, 0, 0],
            [1, 1, 1, 0, 0, 0, 0],
            [1, 1, 1, 1, 0, 0, 0],
            [1, 1, 0, 0, 1, 0, 0],
            [0, 0, 0, 0, 0, 1, 0],
            [0, 0, 0, 0, 0, 1, 1],
        ]
    ).bool()
    assert torch.equal(tree.visible, expected)
