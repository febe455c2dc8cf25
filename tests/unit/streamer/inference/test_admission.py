"""Who may still come in, from what the models were seen to do. Time is the test's."""

from __future__ import annotations

from contextlib import AsyncExitStack

import pytest
from msgspec import structs

from emostream.streamer.client import connect
from emostream.streamer.errors import ConnectError, OverloadedError
from emostream.streamer.inference.admission import WINDOW_S, AdmissionController
from emostream.streamer.inference.capacity import Capacity
from emostream.streamer.protocol import messages
from emostream.streamer.server.app import Server
from tests.support.fakes import ManualClock
from tests.support.serving import SPEECH, get, serving, socket_url, stream


class SimulatedServer:
    """Two models that work for a given share of the time."""

    def __init__(self, limit: float = 0.7) -> None:
        self.clock = ManualClock()
        self.worked = [0.0, 0.0]
        self.admission = AdmissionController(
            Capacity([lambda: self.worked[0], lambda: self.worked[1]]), self.clock, limit
        )

    def work(self, seconds: float, *shares: float) -> None:
        for _ in range(int(seconds)):
            self.clock.advance_to(self.clock.now() + 1.0)
            self.worked = [was + share for was, share in zip(self.worked, shares, strict=True)]
            self.admission.sample()

    def admits(self, active: int, channels: int = 1) -> bool:
        try:
            self.admission.admit(active, channels)
        except OverloadedError:
            return False
        return True


def test_the_load_is_the_busiest_model_s_of_the_last_window() -> None:
    server = SimulatedServer()
    assert server.admission.load == 0.0
    server.work(30, 0.9, 0.1)
    assert server.admission.load == pytest.approx(0.9)
    server.work(WINDOW_S + 1, 0.2, 0.4)
    assert server.admission.load == pytest.approx(0.4)


def test_the_work_of_a_warm_up_is_no_load() -> None:
    server = SimulatedServer(limit=0.7)
    server.admission.begin_warm_up()
    server.work(3, 1.0, 0.0)
    assert server.admits(active=1)
    server.admission.expect(0.1)
    server.admission.end_warm_up()
    assert server.admission.load == 0.0
    assert server.admits(active=5)
    assert not server.admits(active=7)
    server.work(3, 0.9, 0.0)
    assert server.admission.load == pytest.approx(0.9)


def test_one_more_must_fit_beside_the_active_streams() -> None:
    server = SimulatedServer(limit=0.7)
    server.work(20, 0.6, 0.0)
    assert server.admits(active=6)  # a tenth each: 0.7 with it
    server = SimulatedServer(limit=0.7)
    server.work(20, 0.6, 0.0)
    assert not server.admits(active=4)  # 0.15 each


def test_a_stream_costs_as_much_as_its_channels() -> None:
    """Six channels take a tenth each; the seventh fits, two more do not."""
    for channels, admitted in ((1, True), (2, False)):
        server = SimulatedServer(limit=0.7)
        server.work(20, 0.6, 0.0)
        assert server.admits(active=6, channels=channels) is admitted


def test_channels_admitted_at_once_count_before_they_have_cost_anything() -> None:
    server = SimulatedServer(limit=0.7)
    server.admission.expect(0.125)
    assert server.admits(active=0, channels=3)
    assert not server.admits(active=3, channels=3)
    assert server.admits(active=3, channels=2)
    assert not server.admits(active=5)


def shared_models(others: float, own: float) -> SimulatedServer:
    """One model that other servers use as well, for a while at these shares of its time."""
    server = SimulatedServer()
    own_s = [0.0]
    server.admission = AdmissionController(
        Capacity([lambda: server.worked[0]], [lambda: own_s[0]]), server.clock, 0.7
    )
    for _ in range(20):
        own_s[0] += own
        server.work(1, others + own, 0.0)
    return server


def test_with_shared_models_the_cost_of_a_stream_is_that_of_the_own_server() -> None:
    assert shared_models(others=0.5, own=0.1).admits(active=1)  # a tenth each: 0.7 with it
    assert not shared_models(others=0.55, own=0.1).admits(active=1)


def test_the_first_is_rejected_where_other_servers_have_filled_the_models() -> None:
    assert shared_models(others=0.69, own=0.0).admits(active=0)
    full = shared_models(others=0.75, own=0.0)
    assert not full.admits(active=0)
    full.work(20, 0.1, 0.0)
    assert full.admits(active=0)


def test_the_first_is_always_admitted() -> None:
    server = SimulatedServer()
    server.admission.expect(5.0)
    server.work(20, 1.0, 0.0)
    assert server.admits(active=0)


def test_streams_admitted_at_once_count_before_they_have_cost_anything() -> None:
    server = SimulatedServer(limit=0.7)
    server.admission.expect(0.125)
    assert [server.admits(active) for active in range(7)] == [True] * 5 + [False] * 2


def test_the_measured_cost_replaces_the_expected_one() -> None:
    """Only upwards: a stream that costs less than expected may just be silent."""
    server = SimulatedServer(limit=0.7)
    server.admission.expect(0.01)
    server.work(20, 0.5, 0.0)
    assert not server.admits(active=2)


def test_the_error_gives_the_time_of_the_next_attempt() -> None:
    server = SimulatedServer()
    server.work(20, 1.0, 0.0)
    with pytest.raises(OverloadedError, match=r"got 3 that .* \(133 % of it with this one, 70 % at most\)"):
        server.admission.admit(3)
    assert OverloadedError.retry_after_ms == 5_000


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch) -> None:
    def reject(self: AdmissionController, active: int, channels: int) -> None:
        if active:
            raise OverloadedError("expected capacity, got none")

    monkeypatch.setattr(AdmissionController, "admit", reject)


async def _rejection(server: Server) -> str:
    start = messages.Start(encoding="pcm_s16le", sample_rate=16_000, channels=1)
    with pytest.raises(ConnectError) as caught:
        async with connect(socket_url(server), start):
            pass
    return str(caught.value)


async def test_channels_that_are_heard_on_their_own_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, int]] = []
    monkeypatch.setattr(AdmissionController, "admit", lambda _, *counts: asked.append(counts))
    start = messages.Start(encoding="pcm_s16le", sample_rate=16_000, channels=2)
    split = structs.replace(start, options=messages.Options(channels="split"))
    async with serving() as server, AsyncExitStack() as clients:
        for each in (start, split, start):
            await clients.enter_async_context(connect(socket_url(server), each))
    assert asked == [(0, 1), (1, 2), (3, 1)]


@pytest.mark.usefixtures("full")
async def test_an_overloaded_server_rejects_a_stream_and_serves_the_active_ones() -> None:
    start = messages.Start(encoding="pcm_s16le", sample_rate=16_000, channels=1)
    async with serving() as server:
        async with connect(socket_url(server), start) as first:
            rejection = await _rejection(server)
            await first.stop()
            assert [type(event) async for event in first] == [messages.Closed]
        events = await stream(server, SPEECH)  # there is capacity again
        _, _, counters = await get(server, "/metrics")
    assert "overloaded" in rejection
    assert sum(isinstance(event, messages.Emotion) and event.final for event in events) == 2
    assert b'emostream_rejected_connections_total{code="overloaded"} 1.0' in counters
