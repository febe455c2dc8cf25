"""The file's own clock, from time stamps that jump, are rounded, missing or wrong."""

from __future__ import annotations

import pytest

from emostream.streamer.audio.timestamps import FileClock

RATE_HZ = 48_000
PACKET = 960  # 20 ms


def placed(*stamps_ms: float | None) -> list[tuple[float, int]]:
    """Packets of 20 ms with these time stamps -> where each begins, in ms, and what was dropped of it."""
    clock = FileClock(RATE_HZ)
    found = []
    for ms in stamps_ms:
        placement = clock.place(None if ms is None else round(ms * RATE_HZ / 1_000), PACKET)
        begin = clock.position - (PACKET - placement.drop)
        found.append((begin * 1_000 / RATE_HZ, placement.drop))
    return found


def begins(*stamps_ms: float | None) -> list[float]:
    return [begin for begin, _ in placed(*stamps_ms)]


@pytest.mark.parametrize(
    ("what", "stamps_ms", "expected_ms"),
    [
        ("in order", [0, 20, 40], [0, 20, 40]),
        ("rounded to a millisecond, or a frame", [0.4, 19.6, 66, 60], [0, 20, 40, 60]),
        ("a pause", [0, 20, 10_040, 10_060], [0, 20, 10_040, 10_060]),
        ("a late beginning", [3_600_000, 3_600_020], [3_600_000, 3_600_020]),
        ("none", [None, None, None], [0, 20, 40]),
        ("some", [0, None, 1_040, None], [0, 20, 1_040, 1_060]),
        ("of another stream", [0, 20, 10_000, 0, 20, 1_040], [0, 20, 10_000, 10_020, 10_040, 11_060]),
        ("that overlap", [0, 20, 30, 50, 500], [0, 20, 40, 60, 500]),
        ("a second before zero", [-1_000, -980, 40], [0, 20, 1_040]),
        ("years away, and back", [0, 20, 10**10, 60, 80], [0, 20, 40, 60, 80]),
    ],
)
def test_time_stamps(what: str, stamps_ms: list[float | None], expected_ms: list[float]) -> None:
    assert begins(*stamps_ms) == pytest.approx(expected_ms, abs=0.05), what


def test_an_encoders_priming_before_zero_is_no_part_of_the_sound() -> None:
    assert placed(-26, -6, 14) == [(0, 960), (0, 288), (14, 0)]


def test_drift_does_not_add_up_to_a_gap_before_it_is_one() -> None:
    """A recorder's clock that is 0.1 % fast: corrected by the tolerance, not by a millisecond a second."""
    clock = FileClock(RATE_HZ)
    gaps = [clock.place(round(i * PACKET * 1.001), PACKET).gap for i in range(10_000)]
    corrections = [gap for gap in gaps if gap]
    assert len(corrections) == 3
    assert sum(corrections) / RATE_HZ == pytest.approx(0.15, abs=0.01)


def test_after_a_damaged_packet_its_time_is_kept() -> None:
    clock = FileClock(RATE_HZ)
    clock.place(0, PACKET)
    clock.expect_loss()
    assert clock.place(2 * PACKET, PACKET).gap == PACKET
    assert clock.place(4 * PACKET, PACKET).gap == 0  # no damage: a time stamp that is a little late


def test_a_part_that_follows_counts_from_its_own_zero() -> None:
    clock = FileClock(RATE_HZ)
    clock.place(0, RATE_HZ)
    clock.begin_part()
    assert clock.place(-312, PACKET).drop == 312
    assert clock.place(PACKET - 312 + RATE_HZ, PACKET).gap == RATE_HZ
