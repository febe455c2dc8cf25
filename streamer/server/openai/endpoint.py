"""`POST /v1/audio/transcriptions`: a recording in, its words and emotions out, under the server's limits."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

import msgspec
from websockets.http11 import Request

from ...clock import Clock
from ...config import Settings
from ...errors import AnalysisError, EmostreamError, SourceError
from ...inference.backend import InferenceBackend
from ...plurals import counted
from ...protocol import messages
from ..http_exchange import ClientGoneError, HttpExchange, RequestError
from ..multipart import OVERHEAD_BYTES, FormReader, boundary_of, too_large
from ..origin import single
from ..responses import http_response
from ..session_factory import language_remark
from .errors import error_body, error_response
from .recording import RecordingTooLongError, analyse_recording
from .transcription_answer import Transcription, delta_event, done_event, rendered, warnings_header
from .transcription_request import TranscriptionRequest, parse_request

log = logging.getLogger(__name__)

_PING_S: Final = 15.0
"""A stream says something at least so often: proxies cut connections on which nothing comes."""

_RETRY_S: Final = 5


@dataclass(frozen=True, slots=True)
class Gate:
    """What a request has to pass before its body is read. check: host, origin, limits of connections and the
    token; admit: whether the models have time. Both raise EmostreamError or RequestError.
    """

    check: Callable[[HttpExchange, Request], Awaitable[None]]
    admit: Callable[[], None]


class TranscriptionEndpoint:
    def __init__(self, gate: Gate, engine: InferenceBackend, settings: Settings, clock: Clock) -> None:
        self._gate = gate
        self._engine = engine
        self._settings = settings
        self._clock = clock
        self._active = 0
        self._closing = asyncio.Event()
        engine.metrics.open_transcriptions.set_function(lambda: self._active)

    def begin_shutdown(self) -> None:
        """End the requests in progress, and refuse new ones."""
        self._closing.set()

    async def serve(self, exchange: HttpExchange, request: Request) -> None:
        """Raises ClientGoneError."""
        status = "gone"
        try:
            status = str(await self._serve(exchange, request))
        finally:
            self._engine.metrics.transcriptions.labels(status).inc()

    async def _serve(self, exchange: HttpExchange, request: Request) -> int:
        try:
            await self._gate.check(exchange, request)
            async with self._place():
                wanted = await self._receive(exchange, request)
                await self._until_gone(exchange, self._answer(exchange, wanted))
                return HTTPStatus.OK
        except (EmostreamError, RequestError) as error:
            failure: EmostreamError | RequestError = error
        except ClientGoneError:
            raise
        except Exception:
            log.exception("a transcription failed")
            failure = RequestError(HTTPStatus.INTERNAL_SERVER_ERROR, "the server failed; see its log")
        if isinstance(failure, EmostreamError):
            self._engine.metrics.rejected.labels(failure.code).inc()
        response = error_response(failure)
        if exchange.answered:  # a stream has begun: its client reads the error as an event
            status = HTTPStatus(response.status_code)
            await exchange.send(_event(error_body(status, str(failure))))
            await exchange.finish()
        else:
            await exchange.respond(response)
        return response.status_code

    @asynccontextmanager
    async def _place(self) -> AsyncIterator[None]:
        """One of `server.uploads`. Raises RequestError and OverloadedError."""
        most = self._settings.server.uploads
        if not most:
            raise RequestError(
                HTTPStatus.NOT_FOUND,
                "expected a server that takes recordings, got server.uploads = 0; raise it",
            )
        self._refuse_while_closing()
        if self._active >= most:
            text = (
                f"expected at most {counted(most, 'recording')} at once, got more; try again in {_RETRY_S} s"
            )
            raise RequestError(HTTPStatus.TOO_MANY_REQUESTS, text, _RETRY_S)
        self._gate.admit()
        self._active += 1
        try:
            yield
        finally:
            self._active -= 1

    def _refuse_while_closing(self) -> None:
        if self._closing.is_set():
            text = f"expected a server, got one that shuts down; try again in {_RETRY_S} s"
            raise RequestError(HTTPStatus.SERVICE_UNAVAILABLE, text, _RETRY_S)

    async def _receive(self, exchange: HttpExchange, request: Request) -> TranscriptionRequest:
        """Raises RequestError and ClientGoneError."""
        limits = self._settings.server
        reader = FormReader(boundary_of(single(request.headers, "Content-Type")), limits.upload_bytes)
        announced = single(request.headers, "Content-Length")
        if announced is not None and int(announced) > limits.upload_bytes + OVERHEAD_BYTES:
            raise too_large(limits.upload_bytes)
        timeout_s = limits.upload_timeout_ms / 1_000
        try:
            async with asyncio.timeout(timeout_s):
                form = await reader.read(exchange.body())
        except TimeoutError:
            raise RequestError(
                HTTPStatus.REQUEST_TIMEOUT,
                f"expected the recording within {timeout_s:g} s, got a part of it; compress it (flac, ogg, "
                "mp3)",
            ) from None
        return parse_request(form)

    async def _until_gone(self, exchange: HttpExchange, work: Coroutine[Any, Any, None]) -> None:
        """The work ends with its client, and with the server."""
        working = asyncio.create_task(work, name="transcribe")
        gone = asyncio.create_task(exchange.gone(), name="client")
        closing = asyncio.create_task(self._closing.wait(), name="closing")
        tasks = {working, gone, closing}
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if working.done():
                return await working
            if gone.done():
                raise ClientGoneError
            self._refuse_while_closing()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _answer(self, exchange: HttpExchange, request: TranscriptionRequest) -> None:
        result = Transcription(self._engine.model_info.labels, warnings=self._remarks(request))
        if request.stream:
            await self._stream(exchange, request, result)
            return
        await self._analyse(request, result, _ignore)
        content_type, body = await rendered(result, request)
        response = http_response(HTTPStatus.OK, content_type, body)
        if result.warnings:
            response.headers["Emostream-Warnings"] = warnings_header(result.warnings)
        await exchange.respond(response)

    def _remarks(self, request: TranscriptionRequest) -> list[str]:
        found = [
            f"expected a field that has an effect, got {name}: it is ignored" for name in request.ignored
        ]
        remark = language_remark("language", request.language, self._engine.model_info)
        return found if remark is None else [*found, remark]

    async def _analyse(
        self,
        request: TranscriptionRequest,
        result: Transcription,
        on_final: Callable[[messages.Emotion], Awaitable[None]],
    ) -> None:
        """Collect what the recording holds. on_final: called before the result has the event. Raises
        SourceError where nothing of it can be read, and AnalysisError where the models failed.
        """

        async def on_event(event: messages.ServerEvent) -> None:
            match event:
                case messages.Emotion(final=True):
                    await on_final(event)
                    result.finals.append(event)
                case messages.Error(code=AnalysisError.code, message=message):
                    raise AnalysisError(message)
                case messages.Error(fatal=False, message=message):
                    result.warnings.append(message)
                case messages.Closed(totals=totals):
                    result.duration_ms = totals.audio_ms

        try:
            await analyse_recording(request, self._engine, self._settings, self._clock, on_event)
        except SourceError as error:
            if not result.finals or isinstance(error, RecordingTooLongError):
                raise
            result.warnings.append(str(error))

    async def _stream(
        self, exchange: HttpExchange, request: TranscriptionRequest, result: Transcription
    ) -> None:
        """Server-sent events: one for each utterance as soon as it is known, then the whole."""
        response = http_response(HTTPStatus.OK, "text/event-stream; charset=utf-8", b"")
        del response.headers["Content-Length"]
        began = asyncio.Event()

        async def begin() -> None:
            if not began.is_set():
                began.set()
                await exchange.begin(response)

        async def on_final(event: messages.Emotion) -> None:
            await begin()
            await exchange.send(_event(delta_event(result, event)))

        async def ping() -> None:
            while True:
                await self._clock.sleep_until(self._clock.now() + _PING_S)
                await begin()
                await exchange.send(b":\n\n")

        pinging = asyncio.create_task(ping(), name="ping")
        try:
            await self._analyse(request, result, on_final)
        finally:
            pinging.cancel()
            await asyncio.gather(pinging, return_exceptions=True)
        await begin()
        await exchange.send(_event(done_event(result, request)) + b"data: [DONE]\n\n")
        await exchange.finish()


async def _ignore(event: messages.Emotion) -> None:
    pass


def _event(content: object) -> bytes:
    return b"data: " + msgspec.json.encode(content) + b"\n\n"
