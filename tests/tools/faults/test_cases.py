"""What is done to runs is drawn from a seed, and reaches every kind of run and every phase."""

from __future__ import annotations

from collections import Counter

from tools.faults.cases import DELAYS, KINDS, PHASES, VARIANTS, draw_case

CASES = [draw_case(0, index) for index in range(400)]


def test_cases_repeat_and_depend_on_the_seed() -> None:
    assert [draw_case(0, index) for index in range(400)] == CASES
    assert draw_case(1, 0).kills != draw_case(0, 0).kills


def test_every_kind_is_killed_in_every_phase() -> None:
    for kind in KINDS:
        phases = Counter(kill.phase for case in CASES if case.kind == kind for kill in case.kills)
        assert set(phases) == (set(PHASES) if kind != "validate" else {"any moment", "results"}), kind


def test_of_two_processes_either_is_killed_or_both() -> None:
    killed = {kill.ranks for case in CASES if case.kind == "two processes" for kill in case.kills}
    assert killed == {(0,), (1,), (0, 1)}
    assert {kill.ranks for case in CASES if case.processes == 1 for kill in case.kills} == {(0,)}


def test_every_kind_runs_with_every_variant() -> None:
    for kind in KINDS:
        assert {case.options for case in CASES if case.kind == kind} == set(VARIANTS), kind


def test_kills_wait_no_longer_than_their_phase_lasts() -> None:
    for case in CASES:
        for kill in case.kills:
            assert 0 <= kill.delay <= DELAYS.get(kill.phase, 1)
            assert kill.occurrence >= 1


def test_nothing_is_killed_after_the_closing() -> None:
    for case in CASES:
        phases = [kill.phase for kill in case.kills]
        assert "closing" not in phases[: len(phases) - phases.count("closing")]
