"""The origin policy: host names and web origins, checked before the first message is read.

A web page from elsewhere must not reach a loopback server. DNS rebinding, a name of an attacker that resolves
to 127.0.0.1, is such a page's way around the origin: so both `Host` and `Origin` must be on the list.
"""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit

from websockets.datastructures import Headers

from ..config import ServerSettings
from ..errors import OriginNotAllowedError

LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")
WILDCARDS = ("0.0.0.0", "::", "")


class OriginPolicy:
    def __init__(self, settings: ServerSettings) -> None:
        listening = () if settings.host in WILDCARDS else (settings.host,)
        names = (*LOOPBACK_NAMES, *listening, *settings.allowed_hosts)
        self._names = frozenset(name.casefold().strip("[]") for name in names)
        self._origins = frozenset(origin.casefold().rstrip("/") for origin in settings.allow_origins)

    def check_host(self, host: str | None) -> None:
        """host: the Host header. Raises OriginNotAllowedError."""
        if _host_name(f"//{host or ''}") not in self._names:
            raise OriginNotAllowedError(
                f"expected a host name of this server, got {host!r}; start it with --allowed-host to add one"
            )

    def check_origin(self, origins: Sequence[str], host: str | None) -> None:
        """origins: all Origin headers; only browsers send them. host: the Host header: a page from another
        port of this machine is not allowed either. Raises OriginNotAllowedError.
        """
        for origin in origins:
            own = host is not None and _address(origin) == host.casefold()
            if not own and origin.casefold().rstrip("/") not in self._origins:
                raise OriginNotAllowedError(
                    f"expected a page of this server, got one from {origin}; "
                    "start the server with --allow-origin to allow it"
                )


def single(headers: Headers, name: str) -> str | None:
    """The value of a header that may occur once; None where it is missing or occurs more often."""
    values = headers.get_all(name)
    return values[0] if len(values) == 1 else None


def _address(origin: str) -> str | None:
    """`https://Example.org:80` -> `example.org:80`."""
    try:
        return urlsplit(origin).netloc.casefold()
    except ValueError:
        return None


def _host_name(address: str) -> str | None:
    """`//Example.org:80` -> `example.org`; None where the address has none."""
    try:
        return urlsplit(address).hostname
    except ValueError:
        return None
