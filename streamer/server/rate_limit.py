"""The rate limit of new connections: a token bucket for every address."""

from __future__ import annotations

import ipaddress
from typing import Final

from ..clock import Clock

_MAX_ADDRESSES: Final = 10_000


class RateLimiter:
    """per_minute: connections of each address; its bucket holds those of half a minute."""

    def __init__(self, clock: Clock, per_minute: int) -> None:
        self._clock = clock
        self._rate = per_minute / 60.0
        self._capacity = max(1.0, per_minute / 2.0)
        self._buckets: dict[str, tuple[float, float]] = {}  # address -> (tokens left, at this moment)

    def retry_after_s(self, address: str) -> float:
        """0 where one more connection is allowed now, which is then counted."""
        now = self._clock.now()
        left, then = self._buckets.get(address, (self._capacity, now))
        left = min(self._capacity, left + (now - then) * self._rate)
        wait_s = 0.0 if left >= 1.0 else (1.0 - left) / self._rate
        if len(self._buckets) >= _MAX_ADDRESSES:
            self._forget_full_buckets(now)
        self._buckets[address] = (left - 1.0 if not wait_s else left, now)
        return wait_s

    def _forget_full_buckets(self, now: float) -> None:
        self._buckets = {
            address: (left, then)
            for address, (left, then) in self._buckets.items()
            if left + (now - then) * self._rate < self._capacity
        }


def client_address(peer: object) -> str:
    """The address that limits count by, of a `remote_address`. A household has a /64 of IPv6: it is one
    address.
    """
    host = str(peer[0]) if isinstance(peer, tuple) and peer else "?"
    if host.startswith("["):  # as proxies write it: [::1]:80, 127.0.0.1:80
        host = host[1:].partition("]")[0]
    elif host.count(":") == 1:
        host = host.partition(":")[0]
    try:
        found = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is not None:
            return str(found.ipv4_mapped)
        return str(ipaddress.ip_network((found, 64), strict=False))
    return str(found)
