"""Transcriptions in OpenAI's shape: the real `openai` client, curl and raw sockets against a server."""

from __future__ import annotations

import asyncio
import io
import json
import re
import shutil
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import openai
import pysrt
import pytest

from emostream.models import Clip, EncodedAudio, Prediction
from emostream.streamer.errors import OverloadedError
from emostream.streamer.server.app import Server
from tests.support.fakes import FakeRecognizer, FakeTranscriber
from tests.support.serving import SPEECH, get, serving, started, stream
from tests.support.streams import finals
from tests.support.waiting import until
from tests.support.wav_file import wav_bytes

WAV = wav_bytes(SPEECH)
TOKEN = "the-right-token-of-anna"
PATH = "/v1/audio/transcriptions"
WARM_UP_CLIPS = 2
"""A little noise, then speech; see `streamer.server.warm_up`."""


@asynccontextmanager
async def client(server: Server, key: str = "none") -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=f"{server.url}/v1", api_key=key, max_retries=0) as made:
        yield made


def upload() -> tuple[str, io.BytesIO]:
    return "speech.wav", io.BytesIO(WAV)


async def post(server: Server, *, path: str = PATH, **request: Any) -> httpx.Response:
    async with httpx.AsyncClient(base_url=server.url, timeout=30) as raw:
        return await raw.post(path, **request)


def error_of(response: httpx.Response) -> dict[str, str]:
    error: dict[str, str] = response.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert "\n" not in error["message"]
    return error


async def test_the_client_gets_what_a_websocket_client_gets() -> None:
    async with serving(transcriber=FakeTranscriber()) as server, client(server) as made:
        wanted = finals(await stream(server, SPEECH))
        got = await made.audio.transcriptions.create(
            file=upload(),
            model="emostream",
            language="en",
            response_format="verbose_json",
            timestamp_granularities=["segment", "word"],
        )
    assert got.segments is not None
    assert got.words is not None
    assert len(wanted) == 2
    assert [(one.start, one.end, one.text) for one in got.segments] == [
        (event.start_ms / 1_000, event.end_ms / 1_000, event.text) for event in wanted
    ]
    emotions = [one.emotion["label"] for one in got.segments]  # type: ignore[attr-defined]
    assert emotions == [event.label for event in wanted]
    assert [one.word for one in got.words] == [word.text for event in wanted for word in event.words]
    assert (got.text, got.language) == (" ".join(event.text for event in wanted), "en")
    assert got.duration == pytest.approx(len(SPEECH) / 16_000, abs=0.001)


async def test_the_other_formats() -> None:
    async with serving(transcriber=FakeTranscriber()) as server, client(server) as made:
        create = made.audio.transcriptions.create
        answers: dict[str, Any] = {}
        for form in ("json", "text", "srt", "vtt"):
            answers[form] = await create(file=upload(), model="whisper-1", response_format=form)
    text = answers["json"].text
    assert re.fullmatch(r"\d+ milliseconds \d+ milliseconds", text)
    assert answers["text"] == f"{text}\n"
    assert [one.text.partition("] ")[2] for one in pysrt.from_string(answers["srt"])] == re.findall(
        r"\d+ milliseconds", text
    )
    assert answers["vtt"].startswith("WEBVTT\n\n")


async def test_utterances_are_streamed() -> None:
    async with serving(transcriber=FakeTranscriber()) as server, client(server) as made:
        events = [
            event
            async for event in await made.audio.transcriptions.create(
                file=upload(), model="emostream", stream=True
            )
        ]
    assert [event.type for event in events] == [
        "transcript.text.delta",
        "transcript.text.delta",
        "transcript.text.done",
    ]
    deltas = [event.delta for event in events if event.type == "transcript.text.delta"]
    assert "".join(deltas) == events[-1].text  # type: ignore[union-attr]


async def test_the_first_utterance_is_streamed_before_the_last_is_known() -> None:
    """Of a recording in which the models do not get past the second utterance."""
    recognizer = BlockedRecognizer(free=WARM_UP_CLIPS + 1)
    async with serving(recognizer=recognizer) as server, client(server) as made:
        await until(lambda: recognizer.free == 1)
        streaming = await made.audio.transcriptions.create(file=upload(), model="emostream", stream=True)
        first = await anext(aiter(streaming))
        assert first.type == "transcript.text.delta"
        recognizer.unblock.set()
        await streaming.close()


async def test_an_error_in_the_middle_of_a_stream() -> None:
    recognizer = FailsSecond()
    async with serving(recognizer=recognizer) as server, client(server) as made:
        await until(lambda: recognizer.calls == WARM_UP_CLIPS)
        streaming = await made.audio.transcriptions.create(file=upload(), model="emostream", stream=True)
        events = aiter(streaming)
        assert (await anext(events)).type == "transcript.text.delta"
        with pytest.raises(openai.APIError, match="the emotion model failed"):
            await anext(events)


async def test_the_models_that_a_server_has() -> None:
    async with serving() as server, client(server) as made:
        assert [model.id async for model in made.models.list()] == ["emostream", "whisper-1"]
        assert (await made.models.retrieve("emostream")).owned_by == "emostream"
        with pytest.raises(openai.NotFoundError, match="expected a model of this server"):
            await made.models.retrieve("gpt-4o")


async def test_a_token_is_needed_where_the_server_has_some(tmp_path: Path) -> None:
    tokens = tmp_path / "tokens.txt"
    tokens.write_text(f"{TOKEN}\n")
    async with serving(token_file=str(tokens)) as server:
        async with client(server, TOKEN) as made:
            await made.audio.transcriptions.create(file=upload(), model="emostream")
            await made.models.list()
        async with client(server, "another-token-of-anna") as made:
            with pytest.raises(openai.AuthenticationError, match="expected a token of this server"):
                await made.audio.transcriptions.create(file=upload(), model="emostream")
            with pytest.raises(openai.AuthenticationError):
                await made.models.list()


@pytest.mark.parametrize(
    ("request_", "status", "message"),
    [
        ({"files": {"file": ("a.wav", b"no sound at all")}}, 400, "no sound file that FFmpeg knows"),
        ({"files": {"file": ("a.wav", b"")}}, 400, "the file is empty"),
        ({"files": {"other": ("a.wav", WAV)}}, 400, "expected a recording in the field file"),
        ({"files": {"file": WAV}, "data": {"model": "gpt-4o-transcribe"}}, 404, "expected a model of this"),
        ({"files": {"file": WAV}, "data": {"channels": "3"}}, 400, "expected a channel of 1 to 1"),
        ({"json": {"file": "a.wav"}}, 415, "multipart/form-data"),
        ({"files": {"file": WAV}, "headers": {"Host": "evil.example"}}, 403, "expected a host name"),
        ({"files": {"file": WAV}, "headers": {"Origin": "https://evil.example"}}, 403, "expected a page of"),
        ({"files": {"file": bytes(160_000)}}, 413, "at most 150000 bytes"),
        ({"files": {"file": bytes(1_600_000)}}, 413, "at most 150000 bytes"),
        ({"files": {"file": wav_bytes(SPEECH, 1_000)[:50_000]}}, 400, "at most 10 s"),
    ],
)
async def test_what_cannot_be_served_is_one_line(request_: dict[str, Any], status: int, message: str) -> None:
    async with serving(upload_bytes=150_000, recording_ms=10_000) as server:
        response = await post(server, **request_)
        assert response.status_code == status
        assert message in error_of(response)["message"]
        _, _, text = await get(server, "/metrics")
        assert f'emostream_transcriptions_total{{status="{status}"}} 1.0'.encode() in text


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "OPTIONS"])
async def test_other_methods_are_told_the_right_one(method: str) -> None:
    async with serving() as server, httpx.AsyncClient(base_url=server.url) as raw:
        response = await raw.request(method, PATH, content=b"x" * 10 if method == "PUT" else None)
        assert (response.status_code, response.headers["Allow"]) == (405, "POST")
        assert error_of(response)["message"] == f"expected POST, got {method}"
        assert (await raw.post("/v1/models")).headers["Allow"] == "GET, HEAD"


async def test_a_damaged_recording_gives_what_could_be_read_and_a_warning() -> None:
    cut = WAV[: len(WAV) * 2 // 3]
    async with serving(transcriber=FakeTranscriber()) as server:
        response = await post(server, files={"file": ("cut.wav", cut)}, data={"prompt": "x"})
        text = await post(server, files={"file": ("cut.wav", cut)}, data={"response_format": "text"})
    assert response.status_code == 200
    assert response.json()["text"] == text.text.strip() != ""
    ignored, damage = response.json()["warnings"]
    assert "got prompt: it is ignored" in ignored
    assert "cut.wav" in damage
    assert "the file is cut short" in text.headers["Emostream-Warnings"]


async def test_without_words() -> None:
    async with serving(transcriber=FakeTranscriber(), transcript=False) as server:
        response = await post(server, files={"file": WAV}, data={"response_format": "verbose_json"})
    assert response.json()["text"] == ""
    assert all(one["emotion"]["label"] for one in response.json()["segments"])


class BlockedRecognizer(FakeRecognizer):
    """Gets no further than `free` utterances until the test sets `unblock`."""

    def __init__(self, free: int = 0) -> None:
        super().__init__()
        self.unblock = threading.Event()
        self.free = free

    def fuse(self, codes: Sequence[EncodedAudio], *more: Any) -> list[Prediction]:
        if self.free >= len(codes):
            self.free -= len(codes)
        else:
            assert self.unblock.wait(30)
        return super().fuse(codes, *more)


class FailsSecond(FakeRecognizer):
    """The second call after the warm-up."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def encode(self, clips: Sequence[Clip]) -> list[EncodedAudio]:
        self.calls += 1
        if self.calls > WARM_UP_CLIPS + 1:
            raise RuntimeError("no more")
        return super().encode(clips)


async def test_a_client_that_goes_away_ends_its_work() -> None:
    recognizer = BlockedRecognizer()
    async with serving(recognizer=recognizer) as server:
        posting = asyncio.create_task(post(server, files={"file": WAV}))
        await until(lambda: server._transcriptions._active == 1)
        await until(lambda: server._engine.metrics.audio._value.get() > 0)
        posting.cancel()
        await until(lambda: server._transcriptions._active == 0)
        await until(lambda: server._incoming.count == 0)
        recognizer.unblock.set()
        _, _, text = await get(server, "/metrics")
        assert b'emostream_transcriptions_total{status="gone"} 1.0' in text


async def test_a_place_is_needed_and_a_shutdown_frees_it() -> None:
    recognizer = BlockedRecognizer()
    async with serving(recognizer=recognizer, uploads=1) as server, client(server) as made:
        posting = asyncio.create_task(post(server, files={"file": WAV}))
        await until(lambda: server._transcriptions._active == 1)
        with pytest.raises(openai.RateLimitError, match="at most 1 recording at once") as refused:
            await made.audio.transcriptions.create(file=upload(), model="emostream")
        assert refused.value.response.headers["Retry-After"] == "5"
        async with started(server):  # a stream is admitted all the same
            server.begin_shutdown()
            response = await posting
        assert (response.status_code, response.headers["Retry-After"]) == (503, "5")
        assert "one that shuts down" in error_of(response)["message"]
        recognizer.unblock.set()


async def test_models_without_time_refuse_a_recording(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OverloadedError("expected capacity for one more stream, got none; try again in 5 s")

    async with serving() as server:
        monkeypatch.setattr(server._connections._admission, "admit", refuse)
        response = await post(server, files={"file": WAV})
        assert (response.status_code, response.headers["Retry-After"]) == (503, "5")
        assert error_of(response)["code"] == "overloaded"


@pytest.mark.parametrize("path", ["/v1/audio/translations", "/v1/chat/completions"])
async def test_what_else_openai_has_is_not_here(path: str) -> None:
    async with serving() as server:
        response = await post(server, path=path, files={"file": WAV})
        assert response.status_code == 404
        assert error_of(response)["message"] == f"expected POST for {PATH} alone, got {path}"


async def test_a_server_that_takes_no_recordings() -> None:
    async with serving(uploads=0) as server:
        response = await post(server, files={"file": WAV})
        assert (response.status_code, error_of(response)["type"]) == (404, "invalid_request_error")


async def test_an_upload_that_stops_counts_until_its_time_is_over() -> None:
    async with serving(upload_timeout_ms=1_000) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(
            f"POST {PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 5000\r\n"
            "Content-Type: multipart/form-data; boundary=b\r\n\r\n--b\r\n".encode()
        )
        await until(lambda: server._transcriptions._active == 1)
        assert server._incoming.count == 1
        answer = await reader.read()
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["message"].startswith(
            "expected the recording within 1 s"
        )
        writer.close()
        await until(lambda: server._incoming.count == 0)


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
@pytest.mark.parametrize(
    "more", [(), ("-H", "Transfer-Encoding: chunked"), ("-H", "Expect: 100-continue"), ("--http1.0",)]
)
async def test_curl(more: tuple[str, ...], tmp_path: Path) -> None:
    recording = tmp_path / "speech.wav"
    recording.write_bytes(WAV)
    async with serving(transcriber=FakeTranscriber()) as server:
        process = await asyncio.create_subprocess_exec(
            *("curl", "-sS", "--fail-with-body", *more, f"{server.url}{PATH}"),
            *("-F", f"file=@{recording}", "-F", "model=emostream", "-F", "response_format=text"),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await process.communicate()
    assert (process.returncode, err) == (0, b"")
    assert re.fullmatch(rb"\d+ milliseconds \d+ milliseconds\n", out)
