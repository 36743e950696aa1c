"""The tree's layout, written out by hand."""

from __future__ import annotations

import torch

from savi.models.tree import TokenizedRequest, build_tree, pack_trees


def test_layout_of_two_questions_by_hand() -> None:
    """Of each response all but the last token is read: 20 and 21 of (20, 21, 9), 30 of (30, 9), none of (22,)."""
    tree = build_tree([TokenizedRequest((10, 11), ((20, 21, 9), (30, 9))), TokenizedRequest((12,), ((22,), (23, 9)))])
    assert tree.ids.tolist() == [10, 11, 20, 21, 30, 12, 23]
    assert tree.offsets.tolist() == [0, 1, 2, 3, 2, 0, 1]
    # Both responses to the first question start at its last prompt token.
    assert tree.sources.tolist() == [1, 2, 3, 1, 4, 5, 5, 6]
    assert tree.targets.tolist() == [20, 21, 9, 30, 9, 22, 23, 9]
    assert tree.segments.tolist() == [0, 0, 0, 1, 1, 2, 3, 3]
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


def test_a_prompt_behind_an_answer_branches_from_it() -> None:
    """The second prompt begins with the first and its response (20, 9), whose end token isn't read: 10 11 20 | 9 30."""
    answered, follow_up = (
        TokenizedRequest((10, 11), ((20, 9), (21, 9))),
        TokenizedRequest((10, 11, 20, 9, 30), ((40, 9),)),
    )
    tree = build_tree([answered, follow_up], followed=True)
    assert tree.ids.tolist() == [10, 11, 20, 21, 9, 30, 40]
    assert tree.offsets.tolist() == [0, 1, 2, 2, 3, 4, 5]
    assert tree.sources.tolist() == [1, 2, 1, 3, 5, 6]
    assert tree.segments.tolist() == [0, 0, 1, 1, 2, 2]
    assert tree.visible[4:].int().tolist() == [[1, 1, 1, 0, 1, 0, 0], [1, 1, 1, 0, 1, 1, 0], [1, 1, 1, 0, 1, 1, 1]]
    assert len(build_tree([answered, follow_up])) == len(tree) + 3


def test_two_clips_of_unlike_lengths_by_hand() -> None:
    long = build_tree([TokenizedRequest((10, 11), ())])
    short = build_tree([TokenizedRequest((12,), ())])
    packed = pack_trees([long, short], [1, 2], width=2)
    assert packed.ids.tolist() == [[10, 11], [12, 0]]
    assert packed.offsets.tolist() == [[0, 1], [0, 0]]
    # Two columns of prefix, two of branches. The first clip's prefix is one token, so its second column is padding.
    assert packed.mask[0, 0].int().tolist() == [[1, 0, 1, 0], [1, 0, 1, 1]]
    assert packed.mask[1, 0].int().tolist() == [[1, 1, 1, 0], [0, 0, 0, 1]]
    assert packed.places.tolist() == [[0, 1, 1, 2], [0, 1, 2, 2]]
