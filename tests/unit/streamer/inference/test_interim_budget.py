"""Words while somebody speaks get a share of the idle time. Time and work are the test's."""

from __future__ import annotations

import pytest

from emostream.streamer.inference.capacity import Capacity
from emostream.streamer.inference.interim_budget import BURST_S, RESERVE_S, SHARE, InterimBudget
from tests.support.fakes import ManualClock


class SimulatedModels:
    """busy: what two models have worked, interim words left out. spent: what those have cost."""

    def __init__(self, replicas: int = 1) -> None:
        self.clock, self.busy, self.spent = ManualClock(), [0.0, 0.0], 0.0
        capacity = Capacity([lambda: self.busy[0], lambda: self.busy[1]], replica_count=lambda: replicas)
        self.budget = InterimBudget(lambda: capacity, lambda: self.spent, self.clock)

    def run(self, seconds: float, load: float, cost: float, step: float = 0.1) -> int:
        """So long at this load: how many analyses of this cost were started."""
        started = 0
        for _ in range(round(seconds / step)):
            self.clock.advance_to(self.clock.now() + step)
            self.busy[1] += load * step
            if self.budget.take():
                started += 1
                self.spent += cost
                self.budget.give_back()
        return started


@pytest.mark.parametrize("load", [0.0, 0.5, 0.9])
def test_the_long_term_cost_is_their_share_of_the_idle_time(load: float) -> None:
    models = SimulatedModels()
    models.run(20.0, load, 0.2)  # what was saved up is used
    assert models.run(400.0, load, 0.2) * 0.2 == pytest.approx(SHARE * (1 - load) * 400.0, rel=0.05)


def test_without_idle_time_there_are_none() -> None:
    models = SimulatedModels()
    models.run(20.0, 1.0, 0.2)
    assert models.run(100.0, 1.0, 0.2) == 0
    models.clock.advance_to(models.clock.now() + 60)
    assert models.budget.take()


def test_the_budget_saved_in_silence_is_bounded() -> None:
    models = SimulatedModels()
    models.clock.advance_to(1_000.0)
    assert models.run(1.0, 0.0, 0.25) <= (BURST_S + SHARE) / 0.25 + 1


def test_a_reserve_is_left_for_calls_that_may_use_it_up() -> None:
    models = SimulatedModels()
    models.spent = BURST_S - RESERVE_S
    assert not models.budget.take(RESERVE_S)
    assert models.budget.take()


def test_one_runs_at_a_time() -> None:
    budget = SimulatedModels().budget
    assert budget.take()
    assert not budget.take()
    budget.give_back()
    assert budget.take()


def test_one_runs_at_a_time_per_replica() -> None:
    budget = SimulatedModels(replicas=3).budget
    assert [budget.take() for _ in range(4)] == [True, True, True, False]
