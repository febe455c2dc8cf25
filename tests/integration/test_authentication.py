"""Authentication, rate limits and TLS of a server, over real sockets."""

from __future__ import annotations

import asyncio
import json
import shutil
import ssl
import subprocess
import urllib.request
from pathlib import Path

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from emostream.streamer.client import connect as connect_client
from emostream.streamer.errors import (
    ConnectError,
)
from emostream.streamer.protocol import messages
from tests.support.fakes import FakeTranscriber
from tests.support.programs import SMALL_MODEL, run
from tests.support.serving import SPEECH, START, errors, get, ready, rest, serving, socket_url, stream
from tests.support.wav_file import wav_bytes

RIGHT = "the-right-token-of-anna"


OTHER = "another-token-for-bert"


@pytest.fixture
def token_file(tmp_path: Path) -> str:
    path = tmp_path / "tokens.txt"
    path.write_text(f"# Anna's\n{RIGHT}\n\n  {OTHER}  \n")
    return str(path)


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
async def test_a_session_without_a_token_is_rejected(token: str | None, token_file: str) -> None:
    async with serving(token_file=token_file) as server, connect(socket_url(server)) as socket:
        await socket.send(json.dumps(START | {"token": token}))
        seen, code = await rest(socket)
        assert (errors(seen), code) == ([("unauthorized", True)], 4401)
        # The client raises the same, and does not try again.
        with pytest.raises(ConnectError, match=r"rejected the connection \(unauthorized\): expected a token"):
            async with connect_client(
                socket_url(server), messages.Start(encoding="pcm_s16le", sample_rate=16_000, channels=1)
            ):
                pass


async def test_a_session_belongs_to_the_token_that_opened_it(token_file: str) -> None:
    async with serving(token_file=token_file) as server, connect(socket_url(server)) as socket:
        await socket.send(json.dumps(START | {"token": RIGHT}))
        first = await ready(socket)
        resume = {"session": first.session, "resume_token": first.resume_token, "last_seq": 0}
        for token, resumed in ((OTHER, False), (RIGHT, True)):
            async with connect(socket_url(server)) as again:
                await again.send(json.dumps(START | {"token": token, "resume": resume}))
                assert (await ready(again)).resumed is resumed


async def test_metrics_and_streams_need_the_token_and_health_does_not(token_file: str) -> None:
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


async def test_an_address_that_connects_too_often_waits() -> None:
    async with serving(connections_per_minute=4) as server:
        seen = []
        for _ in range(4):
            try:
                async with connect(socket_url(server)):
                    seen.append(101)
            except InvalidStatus as refused:
                seen.append(refused.response.status_code)
        assert seen == [101, 101, 429, 429]
        assert (await get(server, "/v1/streams"))[0] == 200  # plain HTTP does not count


async def test_a_full_server_rejects_connections_and_still_answers_http() -> None:
    async with serving(connections=2) as server, connect(socket_url(server)), connect(socket_url(server)):
        with pytest.raises(InvalidStatus) as refused:
            await connect(socket_url(server))
        assert refused.value.response.status_code == 503
        assert int(refused.value.response.headers["Retry-After"]) >= 1
        assert (await get(server, "/healthz"))[0] in (200, 503)
        assert b"emostream_connections 2.0" in (await get(server, "/metrics"))[2]


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[str, str]:
    """Self-signed, for 127.0.0.1: the chain and its key."""
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
        async with connect_client(url, start, ssl=tls) as client:
            await client.stop()
            seen = [event async for event in client]
        assert isinstance(seen[-1], messages.Closed)
        async with httpx.AsyncClient(base_url=server.url, verify=tls) as poster:
            answer = await poster.post("/v1/audio/transcriptions", files={"file": wav_bytes(SPEECH)})
        assert answer.status_code == 200
        # A client that does not know the signer, or connects without TLS, fails.
        for address in (url, url.replace("wss", "ws")):
            with pytest.raises(ConnectError):
                async with connect_client(address, start):
                    pass


async def test_the_transcript_can_be_left_out_of_the_events() -> None:
    """The prediction is the same: the model reads the words, and the events do not carry them."""
    seen = []
    for text in (True, False):
        async with serving(transcriber=FakeTranscriber(), transcript=text) as server:
            seen.append(
                [event for event in await stream(server, SPEECH) if isinstance(event, messages.Emotion)]
            )
    with_text, without_text = ([event for event in run if event.final] for run in seen)
    assert all(event.text and event.words for event in with_text)
    assert all(not event.text and not event.words for event in without_text)
    assert [event.probabilities for event in with_text] == [event.probabilities for event in without_text]
    assert [event.text_only for event in with_text] == [event.text_only for event in without_text]


def test_serve_does_not_listen_beyond_this_machine_by_accident() -> None:
    done = run("serve", "--host", "0.0.0.0", "--port", "0", *SMALL_MODEL)
    assert done.returncode == 2
    assert "--no-auth" in done.stderr
