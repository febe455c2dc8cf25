"""The simulation of the live path compared with queueing theory, the real batcher and hand counts."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from simpy import Environment

from benchmarks.fleet import simulate, streams_carried
from benchmarks.fleet_plan import ReplicaFailure, SimulationPlan
from benchmarks.queueing import SHEDDABLE, CallQueue, Cost, SimulatedRequest, Steps, Worker
from benchmarks.replica import Models
from emostream.streamer.clock import WallClock
from emostream.streamer.inference import request
from emostream.streamer.inference.batcher import Batcher
from emostream.streamer.inference.model_worker import ModelWorker
from emostream.streamer.inference.request import Priority

MODELS = Models(encode=Cost(0.015, 0.002), fuse=Cost(0.0035, 0.0))
WORDS = replace(MODELS, words=Cost(0.0, 0.09, spread=0.6), ahead=Cost(0.0, 0.2))
RNG = np.random.default_rng(0)


@pytest.mark.parametrize(
    "load", [pytest.param(0.3, marks=pytest.mark.long), 0.5, pytest.param(0.8, marks=pytest.mark.long)]
)
def test_one_at_a_time_the_mean_wait_is_that_of_m_d_1(load: float) -> None:
    service_s, calls = 0.01, 60_000
    env = Environment()
    queue = CallQueue(Cost(service_s, 0.0), budget_s=0.0)
    worker = Worker(env, [queue], RNG)
    waits_s: list[float] = []

    def call(stream: int) -> Steps:
        requested = env.now
        yield worker.submit(queue, SimulatedRequest(env, stream, Priority.FINAL, 1.0))
        waits_s.append(env.now - requested - service_s)

    def arrive() -> Steps:
        for stream, gap_s in enumerate(np.random.default_rng(1).exponential(service_s / load, calls)):
            yield env.timeout(gap_s)
            env.process(call(stream))

    env.process(arrive())
    env.run()
    assert len(waits_s) == calls
    assert np.mean(waits_s) == pytest.approx(load * service_s / (2 * (1 - load)), rel=0.06)
    assert worker.busy_s == pytest.approx(calls * service_s)


Item = tuple[int, Priority, float]
"""Stream, priority, seconds of audio."""


async def real_batches(items: Sequence[Item], budget: float) -> list[list[Item]]:
    """The batches of the real batcher, if all items arrive before its worker is free."""
    seen: list[list[Item]] = []

    def call(batch: Sequence[Item]) -> list[None]:
        seen.append(list(batch))
        return [None] * len(batch)

    thread = ModelWorker("test")
    batcher = Batcher[Item, None](call, thread, WallClock(), cost=lambda item: item[2], budget=budget)
    streams = [object() for _ in items]
    waiting = [
        asyncio.create_task(batcher.submit(item, request.RequestContext(item[1], stream=streams[item[0]])))
        for item in items
    ]
    await asyncio.sleep(0)
    serving = asyncio.create_task(thread.serve())
    await asyncio.gather(*waiting, return_exceptions=True)
    serving.cancel()
    await asyncio.gather(serving, return_exceptions=True)
    thread.close()
    return seen


def simulated_batches(items: Sequence[Item], budget_s: float) -> list[list[Item]]:
    env = Environment()
    queue = CallQueue(Cost(0.01, 0.001), budget_s)
    worker = Worker(env, [queue], RNG)
    for stream, priority, seconds in items:
        worker.submit(queue, SimulatedRequest(env, stream, priority, seconds))
    env.run()
    return [
        [(call.request.stream, call.request.priority, call.request.seconds) for call in batch]
        for batch in worker.batches
    ]


@pytest.mark.parametrize("seed", range(8))
async def test_batches_are_those_of_the_real_batcher(seed: int) -> None:
    rng = np.random.default_rng(seed)
    items = [
        (int(rng.integers(30)), Priority(int(rng.integers(3))), float(rng.integers(1, 20)))
        for _ in range(100)  # more than may wait, so that some are shed
    ]
    assert simulated_batches(items, 64.0) == await real_batches(items, 64.0)


def test_a_batch_has_one_priority_and_the_highest_goes_first() -> None:
    priorities = [Priority.INTERIM, Priority.CANDIDATE, Priority.FINAL, Priority.INTERIM, Priority.FINAL]
    batches = simulated_batches([(stream, priority, 2.0) for stream, priority in enumerate(priorities)], 64.0)
    assert [[stream for stream, _, _ in batch] for batch in batches] == [[2, 4], [1], [0, 3]]


def test_candidates_are_shed_if_too_many_wait_and_finals_never() -> None:
    candidates = [(stream, Priority.CANDIDATE, 2.0) for stream in range(SHEDDABLE + 5)]
    finals = [(100 + stream, Priority.FINAL, 2.0) for stream in range(SHEDDABLE + 5)]
    ran = [item for batch in simulated_batches(candidates + finals, 64.0) for item in batch]
    assert sorted(ran) == sorted(candidates[:SHEDDABLE] + finals)


LOSS = ReplicaFailure(at_s=10.0, detect_s=1.0, restart_s=5.0)


@pytest.mark.parametrize(
    "plan",
    [
        SimulationPlan(1, MODELS, seconds=30),
        SimulationPlan(12, MODELS, replicas=3, seconds=30, hop_s=0.002),
        SimulationPlan(3, WORDS, seconds=30),
        SimulationPlan(600, MODELS, seconds=12),  # overload: candidates are shed
        SimulationPlan(40, MODELS, replicas=2, seconds=30, hop_s=0.05, loss=LOSS),
        SimulationPlan(20, WORDS, replicas=2, seconds=30, loss=LOSS),
        SimulationPlan(20, MODELS, seconds=30, loss=LOSS),  # no replica for a while
    ],
    ids=["one", "three replicas", "words", "too many", "one of two lost", "words lost", "the only one lost"],
)
def test_every_utterance_has_one_final(plan: SimulationPlan) -> None:
    result = simulate(plan)
    finals = Counter((final.stream, final.utterance) for final in result.finals)
    per_stream = Counter(stream for stream, _ in finals)
    assert result.utterances > plan.streams
    assert len(finals) == len(result.finals) == result.utterances
    assert all((stream, number) in finals for stream, count in per_stream.items() for number in range(count))
    assert all(final.sent_s >= final.decided_s > final.requested_s for final in result.finals)
    assert all(final.sent_s >= final.answered_s > final.requested_s for final in result.finals)


@pytest.mark.long
def test_too_many_streams_have_candidates_shed_and_few_have_none() -> None:
    assert simulate(SimulationPlan(20, MODELS, seconds=20)).shed == 0
    assert simulate(SimulationPlan(600, MODELS, seconds=20)).shed > 0


def test_requests_of_a_lost_replica_are_late_by_its_detection_time() -> None:
    plan = SimulationPlan(60, MODELS, replicas=2, seconds=20)
    intact, lossy = simulate(plan), simulate(replace(plan, loss=LOSS))
    assert intact.percentile_ms(100) < 300
    assert 600 < lossy.percentile_ms(100) < 1_500  # a second, of which the candidate had 300 ms to spare
    assert np.mean(lossy.after_end_s > 0.3) < 0.2


def test_the_result_depends_on_the_seed_alone() -> None:
    plan = SimulationPlan(5, WORDS, replicas=2, seconds=20)
    assert simulate(plan) == simulate(plan)
    assert simulate(plan).finals != simulate(replace(plan, seed=1)).finals


def test_one_stream_costs_what_its_calls_cost() -> None:
    """With one stream nothing is batched or waits: the compute is that of the calls, counted by hand."""
    encode_s, fuse_s = 0.02, 0.01
    result = simulate(SimulationPlan(1, Models(Cost(encode_s, 0.0), Cost(fuse_s, 0.0)), seconds=2_000))
    calls = result.compute_s / (encode_s + fuse_s)
    assert calls == pytest.approx(round(calls))
    # A candidate each, those in pauses that ended, and an interim result for each speech over two seconds.
    assert 1.3 < calls / result.utterances < 1.5
    assert result.busiest == pytest.approx(result.compute_s / 2_000)
    assert result.utterances == pytest.approx(2_000 / (1.95 + 1.4), rel=0.03)


def test_a_final_is_delayed_by_what_its_lead_does_not_cover() -> None:
    result = simulate(SimulationPlan(1, Models(Cost(0.4, 0.0), Cost(0.05, 0.0)), seconds=60, hop_s=0.02))
    usual = np.median(result.after_end_s)
    assert usual == pytest.approx(0.4 + 0.05 + 0.02 - 0.3)


def test_more_replicas_carry_more_streams_and_the_bound_holds_there() -> None:
    slow = Models(Cost(0.1, 0.05), Cost(0.0, 0.0))
    one = streams_carried(SimulationPlan(2, slow, seconds=20))
    two = streams_carried(SimulationPlan(2, slow, replicas=2, seconds=20))
    assert 0 < one < two
    assert simulate(SimulationPlan(one, slow, seconds=20)).percentile_ms(95) < 300
    assert streams_carried(SimulationPlan(2, Models(Cost(2.0, 0.0), Cost(0.0, 0.0)), seconds=20)) == 0
