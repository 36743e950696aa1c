"""The branches of a turn in a decoded step that is always the same, so that a GPU can replay it as a CUDA graph.

A 7B model computes so little in a step that launching its thousand kernels takes most of the time. A graph launches
them all at once. It repeats what was recorded: the same kernels on the same memory. So everything that changes from
step to step is on the device here, in tensors that stay where they are: the tokens, their positions, the columns of
their keys, and who sees these. Keys and values have room for the whole turn. Branches that are done keep their slots.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad
from transformers import Cache, DynamicLayer

from savi.errors import SaviError
from savi.models.branch_cells import BranchCells
from savi.models.kv_cache import GrowingLayer


class FixedLayer(DynamicLayer):
    """One layer's keys and values, (clips, heads, room, d), the same tensors in each step.

    columns: int64 (slots,), on their device, where the next ones go.
    """

    def __init__(self, keys: Tensor, values: Tensor, columns: Tensor) -> None:
        super().__init__()
        self.lazy_initialization(keys, values)
        self.keys, self.values = keys, values
        self.columns = columns

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """Put (clips, heads, slots, d) each into their columns; all that there is room for."""
        self.keys.index_copy_(2, self.columns, key_states)
        self.values.index_copy_(2, self.columns, value_states)
        return self.keys, self.values


class FixedCells:
    """Branches that have read their prompts, in cells that stay until the last one is done (compare `BranchCells`).

    alive: which branches are written still. cells: their places in (clips, slots). ids, positions: int64
    (clips, slots), of the next tokens. columns: int64 (slots,), of their keys. visible: bool (clips, slots, room), what
    the last tokens have seen.
    """

    def __init__(self, cells: BranchCells) -> None:
        clips, slots = cells.slots.shape
        self.reader = cells.reader
        self.alive, self.cells = cells.alive, cells.cells
        self.ids = torch.zeros(clips, slots, dtype=torch.int64, device=cells.device)
        self.positions = cells.positions.clone()
        self.columns = torch.arange(cells.keys, cells.keys + slots, device=cells.device)
        self.visible = pad(cells.visible[..., : cells.keys], (0, slots * cells.left))
        room = self.visible.shape[-1]
        layers: list[Any] = [
            FixedLayer(*layer.reserve(room), self.columns) if isinstance(layer, GrowingLayer) else layer
            for layer in self.reader.cache.layers
        ]
        self.reader.cache = Cache(layers=layers)
        self._step = replayed(self._read, cells.device)

    def read_tokens(self, tokens: Tensor) -> Tensor:
        """Append a token to each branch that is alive; hidden state (alive, d) that predicts the next."""
        self.ids[self.cells] = tokens
        return self._step()[self.cells]

    def drop(self, done: Sequence[bool]) -> Tensor:
        """Leave out branches that are done. done: one bool per branch that was alive.

        Returns the places of the others among them, int64 (alive,).
        """
        places = [place for place, is_end in enumerate(done) if not is_end]
        going = torch.tensor(places, device=self.ids.device)
        rows, columns = self.cells
        self.alive = [self.alive[place] for place in places]
        self.cells = rows[going], columns[going]
        return going

    def _read(self) -> Tensor:
        """Hidden states (clips, slots, d) of the tokens in `ids`, whose keys join the others."""
        clips, slots = self.ids.shape
        self.visible.scatter_(2, self.columns[None, :, None].expand(clips, -1, -1), value=True)
        hidden = self.reader.read(self.ids, self.positions, self.visible[:, None], None, None)
        self.positions += 1
        self.columns += slots
        return hidden


def replayed(step: Callable[[], Tensor], device: torch.device) -> Callable[[], Tensor]:
    """A step that a GPU is told once. Elsewhere it is the step itself."""
    return CudaGraph(step) if device.type == "cuda" else step


class CudaGraph:
    """A step without arguments, whose result is always the same tensor.

    The first call runs it as it is, in which libraries make what a graph can't record. The second one records it.
    """

    def __init__(self, step: Callable[[], Tensor]) -> None:
        self.step = step
        self.warm = False
        self.graph: torch.cuda.CUDAGraph | None = None
        self.output: Tensor

    def __call__(self) -> Tensor:
        if not self.warm:
            self.warm = True
            return self.step()
        if self.graph is None:
            self.graph = torch.cuda.CUDAGraph()
            try:
                # Other threads, such as one that pins frames, may go on calling CUDA meanwhile.
                with torch.cuda.graph(self.graph, capture_error_mode="thread_local"):
                    self.output = self.step()
            except torch.OutOfMemoryError:  # a RuntimeError, too, which the run explains by itself
                raise
            except RuntimeError as error:
                reason = str(error).strip().splitlines()[0]
                raise SaviError(
                    f"model.base.cuda_graphs: the step of this model can't be recorded ({reason}); set it to false"
                ) from error
        self.graph.replay()
        return self.output
