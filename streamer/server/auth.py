"""Authentication: bearer tokens from a file, compared in constant time.

Only the SHA-256 of a token is kept. A wrong one costs its address a second, in which no other is checked, so
that a thousand guesses at once are no faster than one after the other.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from ..clock import Clock
from ..errors import ConfigError, TooManyAttemptsError, UnauthorizedError
from ..text_encoding import decode_text

_MIN_CHARACTERS: Final = 16
_PENALTY_S: Final = 1.0
_MAX_WAITING: Final = 8
_MAX_ADDRESSES: Final = 10_000


class TokenAuthenticator:
    """tokens: none at all lets every client in."""

    def __init__(self, tokens: Iterable[str], clock: Clock) -> None:
        self._digests = [_digest(token) for token in tokens]
        self._clock = clock
        self._free_at: dict[str, float] = {}
        self._waiting: dict[str, int] = {}

    @classmethod
    def from_file(cls, path: str | None, clock: Clock) -> TokenAuthenticator:
        """One token a line; empty lines and those that begin with # are comments. Raises ConfigError."""
        return cls([] if path is None else read_tokens(Path(path)), clock)

    @property
    def needed(self) -> bool:
        return bool(self._digests)

    async def check(self, token: str | None, address: str) -> str | None:
        """The owner: a name for the token from which it cannot be derived; None where no token is needed.

        Raises UnauthorizedError after a second's wait, and TooManyAttemptsError where many from this address
        wait already.
        """
        if not self.needed:
            return None
        if token is None:  # not a guess
            raise _unauthorized("none")
        await self._wait(address)
        owner = self._owner(token)
        if owner is None:
            self._charge(address)
            await self._wait(address)
            raise _unauthorized("another")
        return owner

    def _owner(self, token: str) -> str | None:
        given = _digest(token)
        found = None
        for digest in self._digests:  # all of them, whichever matches
            if hmac.compare_digest(given, digest):
                found = digest
        return None if found is None else found.hex()

    async def _wait(self, address: str) -> None:
        waiting = self._waiting.get(address, 0)
        if waiting >= _MAX_WAITING:
            raise TooManyAttemptsError(
                f"expected at most {_MAX_WAITING} at once from an address that gave a wrong token, got more; "
                "try again later"
            )
        self._waiting[address] = waiting + 1
        try:
            # Meanwhile another guess may have been wrong: then wait again.
            while (free_at := self._free_at.get(address, 0.0)) > self._clock.now():
                await self._clock.sleep_until(free_at)
        finally:
            self._waiting[address] -= 1
            if not self._waiting[address]:
                del self._waiting[address]

    def _charge(self, address: str) -> None:
        now = self._clock.now()
        if len(self._free_at) >= _MAX_ADDRESSES:
            self._free_at = {held: free_at for held, free_at in self._free_at.items() if free_at > now}
        self._free_at[address] = now + _PENALTY_S


def read_tokens(path: Path) -> list[str]:
    """Raises ConfigError."""
    try:
        lines = decode_text(path.read_bytes()).splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"expected tokens in {path}, one a line, got: {error}; check the file") from error
    tokens = [line.strip() for line in lines if line.strip() and not line.strip().startswith("#")]
    if not tokens:
        raise ConfigError(
            f"expected at least one token in {path}, got none; make one with `openssl rand -hex 24`"
        )
    if short := [number for number, token in enumerate(tokens, 1) if len(token) < _MIN_CHARACTERS]:
        raise ConfigError(
            f"expected tokens of {_MIN_CHARACTERS} characters or more in {path}, got a shorter one (token "
            f"{short[0]}); "
            "make one with `openssl rand -hex 24`"
        )
    return tokens


def _unauthorized(got: str) -> UnauthorizedError:
    return UnauthorizedError(
        f"expected a token of this server (Authorization: Bearer, or start.token), got {got}; "
        "ask its operator"
    )


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def bearer(header: str | None) -> str | None:
    """`Bearer abc` -> `abc`."""
    kind, _, token = (header or "").partition(" ")
    return token.strip() or None if kind.casefold() == "bearer" else None
