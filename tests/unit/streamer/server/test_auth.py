"""Bearer tokens: how they are compared, and the second that a wrong one costs."""

from __future__ import annotations

import asyncio
import hmac
from pathlib import Path
from typing import Any

import pytest

from emostream.streamer.config import ServerSettings
from emostream.streamer.errors import (
    ConfigError,
    TooManyAttemptsError,
    UnauthorizedError,
)
from emostream.streamer.server.auth import TokenAuthenticator, bearer, read_tokens
from emostream.streamer.server.listen import check_credentials
from tests.support.fakes import ManualClock

RIGHT = "the-right-token-of-anna"
OTHER = "another-token-for-bert"


@pytest.fixture
def token_file(tmp_path: Path) -> str:
    path = tmp_path / "tokens.txt"
    path.write_text(f"# Anna's\n{RIGHT}\n\n  {OTHER}  \n")
    return str(path)


async def test_one_guess_a_second_from_an_address_however_many_arrive_at_once() -> None:
    clock = ManualClock()
    tokens = TokenAuthenticator([RIGHT], clock)
    rejected: list[tuple[float, int]] = []

    async def guess(number: int) -> None:
        with pytest.raises(UnauthorizedError, match="got another"):
            await tokens.check(f"wrong {number}", "here")
        rejected.append((clock.now(), number))

    guesses = [asyncio.create_task(guess(number)) for number in range(4)]
    for second in (1.0, 2.0, 3.0, 4.0):
        await settle()
        clock.advance_to(second)
        await settle()
    await asyncio.gather(*guesses)
    # The first is checked while the others wait; each of them costs the next one a second more.
    assert [moment for moment, _ in rejected] == sorted(moment for moment, _ in rejected)
    assert rejected[0][0] >= 1.0
    assert rejected[-1][0] >= 4.0


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_the_right_token_waits_behind_a_wrong_one_of_its_address_only() -> None:
    clock = ManualClock()
    tokens = TokenAuthenticator([RIGHT], clock)
    wrong = asyncio.create_task(tokens.check("wrong", "here"))
    await settle()
    right = asyncio.create_task(tokens.check(RIGHT, "here"))
    elsewhere = await tokens.check(RIGHT, "elsewhere")
    await settle()
    assert not wrong.done()
    assert not right.done()
    clock.advance_to(1.0)
    await settle()
    assert isinstance(wrong.exception(), UnauthorizedError)
    assert right.result() == elsewhere


async def test_a_missing_token_is_no_guess() -> None:
    tokens = TokenAuthenticator([RIGHT], ManualClock())
    for _ in range(50):
        with pytest.raises(UnauthorizedError, match="got none"):
            await tokens.check(None, "here")
    assert await tokens.check(RIGHT, "here")


async def test_no_more_than_a_few_wait() -> None:
    clock = ManualClock()
    tokens = TokenAuthenticator([RIGHT], clock)
    waiting = [asyncio.create_task(tokens.check(f"wrong {number}", "here")) for number in range(20)]
    await settle()
    rejected = [check for check in waiting if check.done()]
    assert len(rejected) == 12
    assert all(isinstance(check.exception(), TooManyAttemptsError) for check in rejected)
    for one in waiting:
        one.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


async def test_every_token_is_compared_whichever_is_right(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[bytes] = []

    def compare(one: Any, other: Any) -> bool:
        compared.append(other)
        return original(one, other)

    original = hmac.compare_digest
    monkeypatch.setattr(hmac, "compare_digest", compare)
    tokens = TokenAuthenticator([RIGHT, OTHER, "a third one, long enough"], ManualClock())
    owners = {await tokens.check(token, "here") for token in (RIGHT, OTHER)}
    assert len(compared) == 6
    assert len(owners) == 2
    assert not any(RIGHT in str(owner) for owner in owners)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "at least one token"),
        ("# nothing\n\n", "at least one token"),
        ("short\n", "16 characters or more"),
        (None, "expected tokens in"),
    ],
)
def test_a_file_without_good_tokens_is_rejected(text: str | None, message: str, tmp_path: Path) -> None:
    path = tmp_path / "tokens.txt"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        check_credentials(ServerSettings(token_file=str(path)))


def test_comments_and_blanks_are_no_tokens(token_file: str) -> None:
    assert read_tokens(Path(token_file)) == [RIGHT, OTHER]


@pytest.mark.parametrize(
    ("header", "token"),
    [("Bearer abc", "abc"), ("bearer  abc ", "abc"), ("Basic abc", None), ("Bearer ", None), (None, None)],
)
def test_the_authorization_header(header: str | None, token: str | None) -> None:
    assert bearer(header) == token
