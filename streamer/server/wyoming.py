"""A Wyoming server: speech to text for Home Assistant and other Wyoming clients, with the emotion of each
utterance in the transcript's context.

A request is `transcribe`, `audio-start`, `audio-chunk`s and `audio-stop`; the answer is one `transcript` for
all of it. Utterances are analysed while the audio arrives, so that after `audio-stop` only the last one is
waited for. Protocol: the package `wyoming`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from socket import socket as Socket
from typing import Any, Final

import numpy as np
from wyoming.asr import Transcribe, Transcript
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.error import Error
from wyoming.event import Event, Eventable
from wyoming.info import AsrModel, AsrProgram, Attribution, Describe, Info
from wyoming.ping import Ping, Pong
from wyoming.server import AsyncEventHandler

from ..audio.frontend import Samples
from ..audio.samples import as_float
from ..audio.sources import Item, Pcm
from ..clock import Clock
from ..config import Settings
from ..errors import EmostreamError, ProtocolError
from ..inference.backend import InferenceBackend, ModelInfo
from ..output.emotion_context import emotion_context
from ..pipeline.event_log import EventLog
from ..pipeline.running_baseline import SpeakerOptions
from ..pipeline.session import Session
from ..pipeline.session_settings import SessionSettings
from ..pipeline.vad import make_vad
from ..plurals import counted
from ..protocol import messages

log = logging.getLogger(__name__)

_ATTRIBUTION: Final = Attribution(name="emostream", url="")
_QUEUE_BLOCKS: Final = 64
"""Chunks that wait for the segmenter; the socket is read no further while so many wait."""
_DTYPES: Final[dict[int, np.dtype[Any]]] = {2: np.dtype("<i2"), 4: np.dtype("<i4")}
"""By bytes per sample."""


class ChunkSource:
    """The audio of one request, as it arrives."""

    def __init__(self, start: AudioStart) -> None:
        """Raises ProtocolError for a format that is not taken."""
        if start.width not in _DTYPES or not 1 <= start.channels <= 8:
            raise ProtocolError(
                f"expected audio of 2 or 4 bytes a sample in 1 to 8 channels, got {start.width} bytes in "
                f"{start.channels}; convert it"
            )
        if not 8_000 <= start.rate <= 96_000:
            raise ProtocolError(f"expected a rate of 8000 to 96000 Hz, got {start.rate}; resample the audio")
        self.sample_rate_hz = start.rate
        self.channels = start.channels
        self._dtype = _DTYPES[start.width]
        self._blocks: asyncio.Queue[Samples | None] = asyncio.Queue(_QUEUE_BLOCKS)

    async def feed(self, chunk: AudioChunk) -> None:
        """Raises ProtocolError for a chunk of another format than the start, or of half a frame."""
        if (chunk.rate, chunk.width, chunk.channels) != (
            self.sample_rate_hz,
            self._dtype.itemsize,
            self.channels,
        ):
            raise ProtocolError(
                f"expected chunks as audio-start announced them, got {chunk.rate} Hz, "
                f"{counted(chunk.width, 'byte')}, {counted(chunk.channels, 'channel')}; send audio-start "
                "again"
            )
        frame = self._dtype.itemsize * self.channels
        if len(chunk.audio) % frame:
            raise ProtocolError(
                f"expected chunks of whole frames of {frame} bytes, got {len(chunk.audio)} bytes"
            )
        samples = np.frombuffer(chunk.audio, self._dtype).reshape(-1, self.channels)
        if len(samples):
            await self._blocks.put(as_float(samples))

    async def end(self) -> None:
        await self._blocks.put(None)

    def stop(self) -> None:
        """A request ends with its connection: nothing is to be done here."""

    async def items(self) -> AsyncIterator[Item]:
        while (block := await self._blocks.get()) is not None:
            yield Pcm(block)


class _FinalsSink:
    """Collects the finals of a request, and the first failure."""

    def __init__(self) -> None:
        self.finals: list[messages.Emotion] = []
        self.failure: messages.Error | None = None

    async def send(self, event: messages.ServerEvent) -> None:
        match event:
            case messages.Emotion(final=True):
                self.finals.append(event)
            case messages.Error():
                self.failure = self.failure or event


class _Request:
    """One piece of audio on its way to its transcript."""

    def __init__(self, start: AudioStart, language: str | None, server: WyomingServer) -> None:
        self.source = ChunkSource(start)
        self._sink = _FinalsSink()
        settings = server.settings
        session = Session(
            self.source,
            partial(make_vad, settings.vad),
            server.engine,
            EventLog("wyoming"),
            [self._sink],
            replace(
                _without_interim_results(settings),
                language=language,
                speaker=SpeakerOptions(adapt=settings.speaker.adapt != "off"),
            ),
            server.clock,
        )
        self._running = asyncio.create_task(session.run(), name="wyoming session")

    async def transcript(self) -> Transcript:
        """After the last chunk. Raises EmostreamError where the models failed."""
        await self.source.end()
        await self._running
        if self._sink.failure is not None and not self._sink.finals:
            raise EmostreamError(self._sink.failure.message)
        return transcript_of(self._sink.finals)

    async def cancel(self) -> None:
        self._running.cancel()
        await asyncio.gather(self._running, return_exceptions=True)


def _without_interim_results(settings: Settings) -> SessionSettings:
    """As for live audio, but without interim results, for which the protocol has no place."""
    paced = SessionSettings.paced(settings.segmenter, settings.live)
    return replace(paced, interim_interval_ms=0, interim_words_interval_ms=0, words=False)


def transcript_of(finals: list[messages.Emotion]) -> Transcript:
    """All words, and in the context under `emostream` the emotion."""
    languages = [one.language for one in finals if one.language is not None]
    return Transcript(
        text=" ".join(one.text for one in finals if one.text),
        language=languages[0] if languages else None,
        context={"emostream": emotion_context(finals)},
    )


def describe(models: ModelInfo) -> Info:
    """The answer to `describe`: one program with one model."""
    program = AsrProgram(
        name="emostream",
        description="Words and speech emotion",
        attribution=_ATTRIBUTION,
        installed=True,
        version=version("emostream"),
        models=[
            AsrModel(
                name=models.asr or "none",
                description=f"{models.asr or 'no transcription'}; {models.emotion}",
                attribution=_ATTRIBUTION,
                installed=True,
                version=None,
                languages=sorted(models.asr_languages),
            )
        ],
    )
    return Info(asr=[program])


class _Connection(AsyncEventHandler):
    """One client: any number of requests, one after the other."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, server: WyomingServer
    ) -> None:
        super().__init__(reader, writer)
        self._server = server
        self._language: str | None = None
        self._request: _Request | None = None

    async def handle_event(self, event: Event) -> bool:
        """What the client sends is answered by an `error` where it cannot be used; the connection goes on."""
        try:
            answer = await self._answer(event)
        except EmostreamError as error:
            await self._drop_request()
            answer = Error(text=str(error), code=error.code)
        except (KeyError, TypeError, ValueError) as error:
            answer = Error(
                text=f"expected {event.type} as Wyoming has it, got {type(error).__name__}: {error}",
                code="bad_message",
            )
        if answer is not None:
            await self.write_event(answer.event())
        return True

    async def _answer(self, event: Event) -> Eventable | None:
        if Describe.is_type(event.type):
            return self._server.info
        if Ping.is_type(event.type):
            return Pong(text=Ping.from_event(event).text)
        if Transcribe.is_type(event.type):
            self._language = Transcribe.from_event(event).language
        elif AudioStart.is_type(event.type):
            await self._drop_request()
            self._request = _Request(AudioStart.from_event(event), self._language, self._server)
        elif AudioChunk.is_type(event.type):
            if self._request is None:
                raise ProtocolError("expected audio-start before audio-chunk, got none; send it first")
            await self._request.source.feed(AudioChunk.from_event(event))
        elif AudioStop.is_type(event.type):
            if self._request is None:
                raise ProtocolError("expected audio-start before audio-stop, got none; send it first")
            request, self._request, self._language = self._request, None, None
            return await request.transcript()
        return None  # events of other services are none of ours

    async def _drop_request(self) -> None:
        if self._request is not None:
            await self._request.cancel()
            self._request = None

    async def disconnect(self) -> None:
        await self._drop_request()


class WyomingServer:
    """Serves Wyoming clients on a bound socket while it is entered."""

    def __init__(self, bound: Socket, engine: InferenceBackend, settings: Settings, clock: Clock) -> None:
        self.engine = engine
        self.settings = settings
        self.clock = clock
        self.info = describe(engine.model_info)
        self._bound = bound
        self._server: asyncio.Server | None = None
        self._handlers: set[asyncio.Task[None]] = set()

    @property
    def uri(self) -> str:
        host, port = self._bound.getsockname()[:2]
        return f"tcp://{host}:{port}"

    async def __aenter__(self) -> WyomingServer:
        self._server = await asyncio.start_server(self._accept, sock=self._bound)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in list(self._handlers):
            task.cancel()
        await asyncio.gather(*self._handlers, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        full = len(self._handlers) >= self.settings.server.connections
        self._handlers.add(task)
        try:
            if not full:
                await _Connection(reader, writer, self).run()
        except (ConnectionError, asyncio.IncompleteReadError, ValueError) as error:
            log.info("A Wyoming client is gone: %s", error)  # it has closed, or speaks another protocol
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()
            self._handlers.discard(task)
