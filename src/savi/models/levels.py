"""The levels of packed trees, which recurrent layers are handed in place of a mask."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from savi.models.states import Levels, Run, State, Stretch, carrying_runs, last_run
from savi.models.tree import Tree


def tree_levels(trees: Sequence[Tree], prefix_lengths: Sequence[int], width: int, device: torch.device) -> Levels:
    """Rows as they are scored: prefixes, padded to a width, then prompts, then responses."""
    columns = width + max(len(tree) for tree in trees)
    clips = [Stretch(row * columns, length, None) for row, length in enumerate(prefix_lengths)]
    first_runs, clip_places = carrying_runs(clips, device)
    prompts: list[Stretch] = []
    read: list[tuple[int, tuple[range, ...]]] = []
    for row, tree in enumerate(trees):
        behind = row * columns + width
        for prompt, responses in tree.blocks:
            prompts.append(Stretch(behind + prompt.start, len(prompt), clip_places[row]))
            read.append((behind, responses))
    second_runs, prompt_places = carrying_runs(prompts, device)
    branches = [
        Stretch(behind + response.start, len(response), place)
        for (behind, responses), place in zip(read, prompt_places, strict=True)
        for response in responses
        if response
    ]
    return Levels([first_runs, second_runs, [last_run(branches, device)] if branches else []])


def kept_levels(stretches: Sequence[Stretch], before: Mapping[int, State], device: torch.device) -> Levels:
    """Stretches of one level that begin with the states before them. The states at their ends are kept, in order."""
    runs, places = carrying_runs(stretches, device)
    return Levels([runs], before, order=torch.tensor(places, device=device))


def token_levels(cells: Tensor, before: Mapping[int, State]) -> Levels:
    """One more token of each stretch, at cells int64 (n,) of the rows laid end to end. Nothing comes from the host."""
    places = torch.arange(len(cells), device=cells.device)
    return Levels([[Run(cells[:, None], None, places, carries=True)]], before, order=places)
