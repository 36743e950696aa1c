"""What the policy gave to each pair of a round, at the optimizer step that learned from the pair."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, pairwise, repeat
from typing import Any, cast

import numpy as np
import torch
from lightning import Callback, LightningModule, Trainer
from torch import Tensor
from torch.utils.data import DataLoader

from savi.critique.pairs import json_line
from savi.critique.round_files import policy_logps_path
from savi.data.batches import StepDataset
from savi.distributed.collectives import all_gather
from savi.files import replacing
from savi.training.parts import aligned
from savi.training.run_folder import run_folder
from savi.training.self_critique import SelfCritique


class PolicyLogps(Callback):
    """Writes `logps/round_NN.jsonl`: the policy's log-probabilities of the round's pairs, in the order of their file.

    They stay on the device until the round ends, so that no step waits for them. The file is there before the round's
    checkpoint. A round that was killed is trained again from its start, and writes the same file.
    """

    def __init__(self, critic: SelfCritique) -> None:
        self.critic = critic
        self._steps: list[tuple[int, int]] = []
        self._logps: list[Tensor] = []

    def keep(self, batch: int, step: int, logps: Tensor) -> None:
        """Take in a step. batch: its number in the round. step: optimizer steps before it. logps: as `take_step`."""
        self._steps.append((batch, step))
        self._logps.append(logps)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._steps, self._logps = [], []
        if trainer.is_global_zero:
            # Of a kill before the round's checkpoint, or of pairs that were removed and built anew.
            policy_logps_path(run_folder(trainer), self.critic.built.round).unlink(missing_ok=True)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not self._steps:
            return
        own = torch.cat(self._logps).cpu()
        self._logps = []
        shares = all_gather(lambda: own, "training")
        if not trainer.is_global_zero:
            return
        built = self.critic.built
        dataset = cast(StepDataset, cast(DataLoader[Any], trainer.train_dataloader).dataset)
        records = pair_records(dataset, self._steps, shares, built.by_clip, aligned(pl_module).loss.beta)
        with (
            replacing(policy_logps_path(run_folder(trainer), built.round)) as unfinished,
            unfinished.open("wb") as file,
        ):
            file.writelines(map(json_line, records))


def pair_records(
    dataset: StepDataset,
    steps: Sequence[tuple[int, int]],
    shares: Sequence[Tensor],
    by_clip: Mapping[str, int],
    beta: float,
) -> Iterator[dict[str, Any]]:
    """A record of each pair of a round, in the order of the round's file.

    steps: (number in the round, optimizer steps before it). shares: each process's log-probabilities of chosen and
    rejected response in these steps, float32 (pairs, 2). by_clip: how many pairs each clip has. A pair that the round
    goes through several times has several values, one that it was stopped before has none. `rejected_logps` is absent
    where the loss doesn't need the rejected responses: they are NaN in `shares`.
    """
    taken = [
        (number, step)
        for rank in range(len(shares))
        for batch, step in steps
        for number in dataset.pair_numbers(batch, rank)
    ]
    numbers, at = np.array(taken, dtype=np.int64).reshape(-1, 2).T
    order = np.lexsort((at, numbers))
    logps, at = torch.cat(list(shares)).numpy()[order], at[order]
    alone = bool(np.isnan(logps[:, 1]).all())
    clips = chain.from_iterable(repeat(clip, count) for clip, count in by_clip.items())
    bounds = np.searchsorted(numbers[order], np.arange(sum(by_clip.values()) + 1)).tolist()
    for clip, (start, end) in zip(clips, pairwise(bounds), strict=True):
        record = {
            "clip": clip,
            "steps": at[start:end].tolist(),
            "chosen_logps": logps[start:end, 0].tolist(),
            "beta": beta,
        }
        yield record if alone else {**record, "rejected_logps": logps[start:end, 1].tolist()}
