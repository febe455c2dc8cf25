"""Who may still come in, from what the models were seen to do. Time is the test's."""

from __future__ import annotations

import pytest

from emostream.streamer.client import connect
from emostream.streamer.errors import ConnectError, OverloadedError
from emostream.streamer.inference.admission import WINDOW_S, AdmissionController
from emostream.streamer.inference.backend import Capacity
from emostream.streamer.protocol import messages
from emostream.streamer.server.app import Server
from tests.support.fakes import ManualClock
from tests.support.serving import SPEECH, get, serving, socket_url, stream


class House:
    """Two models that work for a given share of the time."""

    def __init__(self, limit: float = 0.7) -> None:
        self.clock = ManualClock()
        self.worked = [0.0, 0.0]
        self.door = AdmissionController(
            Capacity([lambda: self.worked[0], lambda: self.worked[1]]), self.clock, limit
        )

    def work(self, seconds: float, *shares: float) -> None:
        for _ in range(int(seconds)):
            self.clock.advance_to(self.clock.now() + 1.0)
            self.worked = [was + share for was, share in zip(self.worked, shares, strict=True)]
            self.door.sample()

    def lets_in(self, inside: int) -> bool:
        try:
            self.door.admit(inside)
        except OverloadedError:
            return False
        return True


def test_the_load_is_the_busiest_model_s_of_the_last_window() -> None:
    house = House()
    assert house.door.load == 0.0
    house.work(30, 0.9, 0.1)
    assert house.door.load == pytest.approx(0.9)
    house.work(WINDOW_S + 1, 0.2, 0.4)
    assert house.door.load == pytest.approx(0.4)


def test_one_more_must_fit_beside_those_inside() -> None:
    house = House(limit=0.7)
    house.work(20, 0.6, 0.0)
    assert house.lets_in(inside=6)  # a tenth each: 0.7 with it
    house = House(limit=0.7)
    house.work(20, 0.6, 0.0)
    assert not house.lets_in(inside=4)  # 0.15 each


def shared_house(theirs: float, ours: float) -> House:
    """One model that other houses ask as well, for a while at these shares of its time."""
    house = House()
    for_us = [0.0]
    house.door = AdmissionController(
        Capacity([lambda: house.worked[0]], [lambda: for_us[0]]), house.clock, 0.7
    )
    for _ in range(20):
        for_us[0] += ours
        house.work(1, theirs + ours, 0.0)
    return house


def test_of_shared_models_a_stream_costs_what_its_own_house_asks() -> None:
    assert shared_house(theirs=0.5, ours=0.1).lets_in(inside=1)  # a tenth each: 0.7 with it
    assert not shared_house(theirs=0.55, ours=0.1).lets_in(inside=1)


def test_the_first_is_refused_where_others_have_filled_the_models() -> None:
    assert shared_house(theirs=0.69, ours=0.0).lets_in(inside=0)
    full = shared_house(theirs=0.75, ours=0.0)
    assert not full.lets_in(inside=0)
    full.work(20, 0.1, 0.0)
    assert full.lets_in(inside=0)


def test_the_first_is_always_let_in() -> None:
    house = House()
    house.door.expect(5.0)
    house.work(20, 1.0, 0.0)
    assert house.lets_in(inside=0)


def test_many_at_once_are_counted_before_they_have_cost_anything() -> None:
    house = House(limit=0.7)
    house.door.expect(0.125)
    assert [house.lets_in(inside) for inside in range(7)] == [True] * 5 + [False] * 2


def test_what_was_expected_gives_way_to_what_is_seen() -> None:
    """Only upwards: who costs less than expected may be about to speak."""
    house = House(limit=0.7)
    house.door.expect(0.01)
    house.work(20, 0.5, 0.0)
    assert not house.lets_in(inside=2)


def test_the_refusal_says_when_to_come_again() -> None:
    house = House()
    house.work(20, 1.0, 0.0)
    with pytest.raises(OverloadedError, match=r"got 3 that .* \(133 % of it with this one, 70 % at most\)"):
        house.door.admit(3)
    assert OverloadedError.retry_after_ms == 5_000


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: AdmissionController, active: int) -> None:
        if active:
            raise OverloadedError("expected room, got none")

    monkeypatch.setattr(AdmissionController, "admit", refuse)


async def _refused(server: Server) -> str:
    start = messages.Start(encoding="pcm_s16le", sample_rate=16_000, channels=1)
    with pytest.raises(ConnectError) as caught:
        async with connect(socket_url(server), start):
            pass
    return str(caught.value)


@pytest.mark.usefixtures("full")
async def test_a_server_that_is_full_says_so_and_goes_on_with_those_inside() -> None:
    start = messages.Start(encoding="pcm_s16le", sample_rate=16_000, channels=1)
    async with serving() as server:
        async with connect(socket_url(server), start) as first:
            said = await _refused(server)
            await first.stop()
            assert [type(event) async for event in first] == [messages.Closed]
        seen = await stream(server, SPEECH)  # there is room again
        _, _, counters = await get(server, "/metrics")
    assert "overloaded" in said
    assert sum(isinstance(event, messages.Emotion) and event.final for event in seen) == 2
    assert b'emostream_rejected_connections_total{code="overloaded"} 1.0' in counters
