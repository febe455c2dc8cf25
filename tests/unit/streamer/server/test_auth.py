"""Who may ask, and how often: tokens, the second that a wrong one costs, visitors, TLS."""

from __future__ import annotations

import asyncio
import hmac
import json
import shutil
import ssl
import subprocess
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from emostream.streamer.client.connection import connect as connect_client
from emostream.streamer.config import ServerSettings
from emostream.streamer.errors import (
    ConfigError,
    ConnectError,
    TooManyAttemptsError,
    UnauthorizedError,
)
from emostream.streamer.protocol import messages
from emostream.streamer.server.app import check_credentials
from emostream.streamer.server.auth import TokenAuthenticator, bearer, read_tokens
from emostream.streamer.server.listen import bind
from emostream.streamer.server.rate_limit import RateLimiter, client_address
from tests.integration.test_resume import ready
from tests.support.fakes import FakeTranscriber, ManualClock
from tests.support.programs import run
from tests.support.serving import SPEECH, START, errors, get, rest, serving, socket_url, stream

RIGHT = "the-right-token-of-anna"
OTHER = "another-token-for-bert"


@pytest.fixture
def token_file(tmp_path: Path) -> str:
    path = tmp_path / "tokens.txt"
    path.write_text(f"# Anna's\n{RIGHT}\n\n  {OTHER}  \n")
    return str(path)


async def test_one_guess_a_second_from_an_address_however_many_come_at_once() -> None:
    clock = ManualClock()
    tokens = TokenAuthenticator([RIGHT], clock)
    told: list[tuple[float, int]] = []

    async def guess(number: int) -> None:
        with pytest.raises(UnauthorizedError, match="got another"):
            await tokens.check(f"wrong {number}", "here")
        told.append((clock.now(), number))

    guesses = [asyncio.create_task(guess(number)) for number in range(4)]
    for second in (1.0, 2.0, 3.0, 4.0):
        await settle()
        clock.advance_to(second)
        await settle()
    await asyncio.gather(*guesses)
    # The first is looked at, and the others wait; each of them costs the next one a second more.
    assert [moment for moment, _ in told] == sorted(moment for moment, _ in told)
    assert told[0][0] >= 1.0
    assert told[-1][0] >= 4.0


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
    refused = [one for one in waiting if one.done()]
    assert len(refused) == 12
    assert all(isinstance(one.exception(), TooManyAttemptsError) for one in refused)
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
    ("text", "told"),
    [
        ("", "at least one token"),
        ("# nothing\n\n", "at least one token"),
        ("short\n", "16 characters or more"),
        (None, "expected tokens in"),
    ],
)
def test_a_file_without_good_tokens_is_refused(text: str | None, told: str, tmp_path: Path) -> None:
    path = tmp_path / "tokens.txt"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ConfigError, match=told):
        check_credentials(ServerSettings(token_file=str(path)))


def test_comments_and_blanks_are_no_tokens(token_file: str) -> None:
    assert read_tokens(Path(token_file)) == [RIGHT, OTHER]


@pytest.mark.parametrize(
    ("header", "token"),
    [("Bearer abc", "abc"), ("bearer  abc ", "abc"), ("Basic abc", None), ("Bearer ", None), (None, None)],
)
def test_the_header(header: str | None, token: str | None) -> None:
    assert bearer(header) == token


@pytest.mark.parametrize("way", ["header", "start"])
async def test_a_session_with_a_token(way: str, token_file: str) -> None:
    headers = {"Authorization": f"Bearer {RIGHT}"} if way == "header" else {}
    start = START | ({"token": RIGHT} if way == "start" else {})
    async with (
        serving(token_file=token_file) as server,
        connect(socket_url(server), additional_headers=headers) as socket,
    ):
        await socket.send(json.dumps(start))
        assert not (await ready(socket)).resumed


@pytest.mark.parametrize("token", [None, "wrong"])
async def test_a_session_without_one_is_refused(token: str | None, token_file: str) -> None:
    async with serving(token_file=token_file) as server, connect(socket_url(server)) as socket:
        await socket.send(json.dumps(START | {"token": token}))
        seen, code = await rest(socket)
        assert (errors(seen), code) == ([("unauthorized", True)], 4401)
        # Our client hears the same, and does not come again and again.
        with pytest.raises(ConnectError, match=r"refused \(unauthorized\): expected a token"):
            async with connect_client(
                socket_url(server), messages.Start(encoding="pcm_s16le", sample_rate=16_000, channels=1)
            ):
                pass


async def test_a_session_is_the_tokens_that_opened_it(token_file: str) -> None:
    async with serving(token_file=token_file) as server, connect(socket_url(server)) as socket:
        await socket.send(json.dumps(START | {"token": RIGHT}))
        first = await ready(socket)
        resume = {"session": first.session, "resume_token": first.resume_token, "last_seq": 0}
        for token, resumed in ((OTHER, False), (RIGHT, True)):
            async with connect(socket_url(server)) as again:
                await again.send(json.dumps(START | {"token": token, "resume": resume}))
                assert (await ready(again)).resumed is resumed


async def test_counters_and_streams_want_the_token_and_health_does_not(token_file: str) -> None:
    def status(url: str, token: str | None) -> tuple[int, str | None]:
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        try:
            with urllib.request.urlopen(urllib.request.Request(url, headers=headers)) as answer:
                return answer.status, None
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.headers["WWW-Authenticate"]

    async with serving(token_file=token_file) as server:
        for path in ("/metrics", "/v1/streams"):
            url = server.url + path
            assert await asyncio.to_thread(status, url, None) == (401, "Bearer")
            assert await asyncio.to_thread(status, url, "wrong") == (401, "Bearer")
            assert await asyncio.to_thread(status, url, RIGHT) == (200, None)
        for path in ("/", "/v1/schema.json", "/v1/asyncapi.json"):
            assert (await get(server, path))[0] == 200
        assert (await get(server, "/healthz"))[0] in (200, 503)


async def test_an_address_that_comes_too_often_waits() -> None:
    async with serving(connections_per_minute=4) as server:
        seen = []
        for _ in range(4):
            try:
                async with connect(socket_url(server)):
                    seen.append(101)
            except InvalidStatus as refused:
                seen.append(refused.response.status_code)
        assert seen == [101, 101, 429, 429]
        assert (await get(server, "/v1/streams"))[0] == 200  # pages are no streams


async def test_a_full_house_says_so_and_stays_visible() -> None:
    async with serving(connections=2) as server, connect(socket_url(server)), connect(socket_url(server)):
        with pytest.raises(InvalidStatus) as refused:
            await connect(socket_url(server))
        assert refused.value.response.status_code == 503
        assert int(refused.value.response.headers["Retry-After"]) >= 1
        assert (await get(server, "/healthz"))[0] in (200, 503)
        assert b"emostream_connections 2.0" in (await get(server, "/metrics"))[2]


def test_visitors_are_given_back_what_they_used_up() -> None:
    clock = ManualClock()
    visitors = RateLimiter(clock, per_minute=60)
    assert [visitors.retry_after_s("a") for _ in range(30)] == [0.0] * 30
    assert visitors.retry_after_s("a") == pytest.approx(1.0)
    assert visitors.retry_after_s("b") == 0.0
    clock.advance_to(2.5)
    assert [visitors.retry_after_s("a") == 0.0 for _ in range(3)] == [True, True, False]


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
def test_a_household_is_one_visitor(peer: object, address: str) -> None:
    assert client_address(peer) == address


def test_nobody_listens_beyond_this_machine_by_accident(token_file: str) -> None:
    with pytest.raises(ConfigError, match="--token-file for a server that other machines reach"):
        bind(ServerSettings(host="0.0.0.0", port=0))
    bind(ServerSettings(host="0.0.0.0", port=0, no_auth=True)).close()
    bind(ServerSettings(host="0.0.0.0", port=0, token_file=token_file)).close()
    done = run("serve", "--host", "0.0.0.0", "--port", "0", "--asr", "none")
    assert done.returncode == 2
    assert "--no-auth" in done.stderr


def test_a_certificate_wants_its_key(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="both or neither"):
        ServerSettings(ssl_certfile="chain.pem")
    (tmp_path / "x.pem").write_text("no certificate")
    with pytest.raises(ConfigError, match="as PEM files"):
        check_credentials(
            ServerSettings(ssl_certfile=str(tmp_path / "x.pem"), ssl_keyfile=str(tmp_path / "x.pem"))
        )


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[str, str]:
    """Signed by itself, for 127.0.0.1: the chain and its key."""
    if shutil.which("openssl") is None:
        pytest.skip("expected openssl on the path, found none")
    chain, key = str(tmp_path / "chain.pem"), str(tmp_path / "key.pem")
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "2",
        "-subj",
        "/CN=localhost",
    ]
    command += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", chain]
    subprocess.run(command, check=True, capture_output=True)
    return chain, key


async def test_tls(certificate: tuple[str, str]) -> None:
    chain, key = certificate
    start = messages.Start(encoding="pcm_s16le", sample_rate=16_000, channels=1)
    async with serving(ssl_certfile=chain, ssl_keyfile=key) as server:
        assert server.url.startswith("https://127.0.0.1:")
        url = server.url.replace("https", "wss") + "/v1/stream"
        tls = ssl.create_default_context(cafile=chain)
        async with connect_client(url, start, tls=tls) as client:
            await client.stop()
            seen = [event async for event in client]
        assert isinstance(seen[-1], messages.Closed)
        # Whoever does not know the signer, or speaks without TLS, does not get in.
        for address in (url, url.replace("wss", "ws")):
            with pytest.raises(ConnectError):
                async with connect_client(address, start):
                    pass


async def test_words_can_be_kept_out_of_the_events() -> None:
    """The judgement is the same: the words are read, and not told."""
    seen = []
    for text in (True, False):
        async with serving(transcriber=FakeTranscriber(), transcript=text) as server:
            seen.append(
                [event for event in await stream(server, SPEECH) if isinstance(event, messages.Emotion)]
            )
    told, kept = ([event for event in run if event.final] for run in seen)
    assert all(event.text and event.words for event in told)
    assert all(not event.text and not event.words for event in kept)
    assert [event.probabilities for event in told] == [event.probabilities for event in kept]
    assert [event.text_only for event in told] == [event.text_only for event in kept]
