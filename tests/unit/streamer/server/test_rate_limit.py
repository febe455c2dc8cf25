"""The rate limit of new connections, and what counts as one address."""

from __future__ import annotations

import pytest

from emostream.streamer.server.rate_limit import RateLimiter, client_address
from tests.support.fakes import ManualClock


def test_the_buckets_of_the_rate_limit_fill_again() -> None:
    clock = ManualClock()
    limiter = RateLimiter(clock, per_minute=60)
    assert [limiter.retry_after_s("a") for _ in range(30)] == [0.0] * 30
    assert limiter.retry_after_s("a") == pytest.approx(1.0)
    assert limiter.retry_after_s("b") == 0.0
    clock.advance_to(2.5)
    assert [limiter.retry_after_s("a") == 0.0 for _ in range(3)] == [True, True, False]


@pytest.mark.parametrize(
    ("peer", "address"),
    [
        (("203.0.113.5", 80), "203.0.113.5"),
        (("::ffff:203.0.113.5", 80, 0, 0), "203.0.113.5"),
        (("2001:db8:1:2:3::4", 80, 0, 0), "2001:db8:1:2::/64"),
        (("2001:db8:1:2:ffff::1", 80, 0, 0), "2001:db8:1:2::/64"),
        (("fe80::1%eth0", 80, 0, 2), "fe80::/64"),
        (("203.0.113.5:4711",), "203.0.113.5"),
        (("[2001:db8:1:2::9]:4711",), "2001:db8:1:2::/64"),
        (None, "?"),
    ],
)
def test_an_ipv6_network_is_one_address(peer: object, address: str) -> None:
    assert client_address(peer) == address
