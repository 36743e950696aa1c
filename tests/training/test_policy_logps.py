"""The policy's log-probabilities of a round's pairs, put into the order of their file."""

from __future__ import annotations

from collections import Counter

import torch

from savi.data.batches import StepDataset, plan_steps
from savi.training.policy_logps import pair_records
from tests.data.test_batches import READS_NOTHING, make_groups


def test_pairs_of_two_passes_and_two_processes_get_their_own_values_in_the_order_of_the_file() -> None:
    groups = make_groups([2, 1, 3])
    steps = plan_steps(groups, pairs_per_step=3, epochs=2, seed=0)
    taken = len(steps) - 1  # the round is stopped before its last step
    datasets = [StepDataset(steps, 2, READS_NOTHING, rank, processes=2) for rank in range(2)]
    # The value of a pair says which pair it is, and in which step.
    shares = [
        torch.tensor(
            [[-10 * number - step, -step] for step in range(taken) for number in dataset.pair_numbers(step, rank)],
            dtype=torch.float32,
        ).reshape(-1, 2)
        for rank, dataset in enumerate(datasets)
    ]
    sizes = {group.clip.id: len(group.pairs) for group in groups}
    found = list(pair_records(datasets[0], [(step, 7 + step) for step in range(taken)], shares, sizes, beta=0.5))
    assert [record["clip"] for record in found] == ["c0", "c0", "c1", "c2", "c2", "c2"]
    for number, record in enumerate(found):
        own = [step - 7 for step in record["steps"]]
        assert own == sorted(own)
        assert (record["chosen_logps"], record["rejected_logps"]) == (
            [-10 * number - s for s in own],
            [-s for s in own],
        )
        assert record["beta"] == 0.5
    assert Counter(len(record["steps"]) for record in found) == {
        2: 6 - len(steps[-1][0].pairs),
        1: len(steps[-1][0].pairs),
    }


def test_rejected_responses_that_the_loss_does_not_need_have_no_values() -> None:
    groups = make_groups([2])
    dataset = StepDataset(plan_steps(groups, 2, epochs=1, seed=0), 2, READS_NOTHING)
    shares = [torch.tensor([[-1.0, torch.nan], [-2.0, torch.nan]])]
    found = list(pair_records(dataset, [(0, 0)], shares, {"c0": 2}, beta=1.0))
    assert [record["chosen_logps"] for record in found] == [[-1.0], [-2.0]]
    assert not any("rejected_logps" in record for record in found)
