"""A recorded session: a folder with a live session's audio, its gaps and its events.

Replayed with the same models it gives the same utterances and labels: a way to report a bug.

    audio.wav      the source's audio, 32-bit float
    session.jsonl  settings and models, then one line for each gap, flush and warning of the source
    events.jsonl   the session's events
"""

from __future__ import annotations

import datetime
from collections.abc import AsyncIterator, Iterator
from importlib.metadata import version
from pathlib import Path
from types import TracebackType
from typing import IO, Final

import av
import msgspec

from ..audio.frontend import Samples
from ..audio.sources import AudioGap, FileSource, Flush, Item, Pcm, SourceWarning
from ..audio.track import ffmpeg_url
from ..clock import Clock
from ..config import AudioSettings, SegmenterSettings, Settings, SpeakerSettings, VadSettings
from ..display_paths import printable
from ..errors import ConfigError, SourceError
from ..output.sinks import JsonLinesSink
from ..protocol import messages

_AUDIO: Final = "audio.wav"
_SESSION: Final = "session.jsonl"
_EVENTS: Final = "events.jsonl"
_LAYOUTS: Final = {1: "mono", 2: "stereo"}


class SessionHeader(msgspec.Struct, frozen=True, kw_only=True, tag="session"):
    """The first line of session.jsonl. began: UTC, ISO 8601. sample_rate (Hz), channels: of the audio."""

    format: int = 1
    emostream: str
    began: str
    source: str
    sample_rate: int
    channels: int
    vad: VadSettings
    segmenter: SegmenterSettings
    models: messages.Models
    speaker: SpeakerSettings = SpeakerSettings()
    audio: AudioSettings = AudioSettings()


class _Gap(msgspec.Struct, frozen=True, tag="gap"):
    at_samples: int
    ms: int
    reason: str
    frequent: bool = False


class _Flush(msgspec.Struct, frozen=True, tag="flush"):
    at_samples: int


class _Warning(msgspec.Struct, frozen=True, tag="warning"):
    at_samples: int
    code: str
    message: str


_Mark = _Gap | _Flush | _Warning


class SessionRecorder:
    """Records a session as it runs; what a killed process leaves can be replayed up to that point.

    `take` is a tap of the source, the recorder itself a sink of the events. Raises ConfigError if the folder
    cannot be created, and SourceError, which ends the session, if it cannot be written to.
    """

    def __init__(
        self,
        folder: Path,
        source: str,
        sample_rate_hz: int,
        channels: int,
        settings: Settings,
        models: messages.Models,
    ) -> None:
        self._folder = folder
        self._header = SessionHeader(
            emostream=version("emostream"),
            began=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            source=source,
            sample_rate=sample_rate_hz,
            channels=channels,
            vad=settings.vad,
            segmenter=settings.segmenter,
            models=models,
            speaker=settings.speaker,
            audio=settings.audio,
        )
        self._samples = 0

    def __enter__(self) -> SessionRecorder:
        create_session_folder(self._folder)
        try:
            for name in (_SESSION, _EVENTS, _AUDIO):
                (self._folder / name).touch(mode=0o600)
            self._marks: IO[bytes] = (self._folder / _SESSION).open("wb", buffering=0)
            self._events = (self._folder / _EVENTS).open("w", encoding="utf-8", newline="")
            # RF64 for files over 4 GiB; every block is written at once.
            options = {"rf64": "auto", "flush_packets": "1"}
            self._audio = av.open(ffmpeg_url(self._folder / _AUDIO), "w", options=options)
        except OSError as error:
            raise self._unwritable(error) from error
        rate, layout = self._header.sample_rate, _LAYOUTS[self._header.channels]
        self._track = self._audio.add_stream("pcm_f32le", rate=rate, layout=layout)
        self._sink = JsonLinesSink(self._events, interim=True)
        self._write(self._header)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._events.close()
        self._marks.close()
        try:
            self._audio.close()
        except OSError as failure:
            if error is None:
                raise self._unwritable(failure) from failure

    def take(self, item: Item) -> None:
        """A tap of the source."""
        match item:
            case Pcm(block):
                self._write_audio(block)
            case AudioGap(gap_ms, reason, frequent):
                self._write(_Gap(self._samples, gap_ms, reason, frequent))
            case Flush():
                self._write(_Flush(self._samples))
            case SourceWarning(code, message):
                self._write(_Warning(self._samples, code, message))

    async def send(self, event: messages.ServerEvent) -> None:
        """A sink of the events."""
        try:
            await self._sink.send(event)
        except OSError as error:
            raise self._unwritable(error) from error

    def _write_audio(self, block: Samples) -> None:
        if not len(block):
            return
        layout = _LAYOUTS[self._header.channels]
        frame = av.AudioFrame.from_ndarray(block.reshape(1, -1), format="flt", layout=layout)
        frame.sample_rate = self._header.sample_rate
        frame.pts = self._samples
        try:
            self._audio.mux(self._track.encode(frame))
        except OSError as error:
            raise self._unwritable(error) from error
        self._samples += len(block)

    def _write(self, line: SessionHeader | _Mark) -> None:
        try:
            self._marks.write(msgspec.json.encode(line) + b"\n")
        except OSError as error:
            raise self._unwritable(error) from error

    def _unwritable(self, error: OSError) -> SourceError:
        return SourceError(
            f"expected to write the session to {printable(self._folder)}, got: {error.strerror}; "
            "what was written before is intact"
        )


def create_session_folder(folder: Path) -> None:
    """Accessible to the user alone. Raises ConfigError where it has files or cannot be created."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        has_files = any(folder.iterdir())
    except OSError as error:
        raise ConfigError(
            f"expected a folder at {printable(folder)}, got: {error.strerror}; choose another"
        ) from error
    if has_files:
        raise ConfigError(f"expected an empty folder, got files in {printable(folder)}; choose another")


def is_session_folder(folder: Path) -> bool:
    """Whether a session was recorded to this folder."""
    return (folder / _SESSION).is_file()


def session_audio(folder: Path) -> Path:
    """The audio file of a recorded session."""
    return folder / _AUDIO


def read_session_header(folder: Path) -> SessionHeader:
    """Raises SourceError."""
    with _opened(folder) as file:
        try:
            return msgspec.json.decode(file.readline(), type=SessionHeader)
        except (msgspec.DecodeError, ConfigError) as error:
            raise _unreadable(folder, 1, error) from error


class RecordedSource:
    """The source of a recorded session: its audio, with gaps, flushes and warnings where they were.

    pace: see FileSource; a gap takes no time. Raises SourceError.
    """

    def __init__(self, folder: Path, *, pace: Clock | None = None) -> None:
        self._folder = folder
        self._audio = FileSource(folder / _AUDIO, pace=pace, as_recorded=True)

    @property
    def sample_rate_hz(self) -> int:
        return self._audio.sample_rate_hz

    @property
    def channels(self) -> int:
        return self._audio.channels

    def stop(self) -> None:
        self._audio.stop()

    async def items(self) -> AsyncIterator[Item]:
        marks = _marks(self._folder)
        mark = next(marks, None)
        position = 0
        async for item in self._audio.items():
            if not isinstance(item, Pcm):
                yield item
                continue
            block = item.block
            while mark is not None and mark.at_samples < position + len(block):
                head = mark.at_samples - position
                if head:
                    yield Pcm(block[:head])
                yield _to_item(mark)
                block, position = block[head:], mark.at_samples
                mark = next(marks, None)
            yield Pcm(block)
            position += len(block)
        while mark is not None and mark.at_samples <= position:
            yield _to_item(mark)
            mark = next(marks, None)


def _to_item(mark: _Mark) -> Item:
    match mark:
        case _Gap():
            return AudioGap(mark.ms, mark.reason, mark.frequent)
        case _Flush():
            return Flush()
        case _Warning():
            return SourceWarning(mark.code, mark.message)


def _marks(folder: Path) -> Iterator[_Mark]:
    """In file order. An incomplete last line, which a killed process leaves, is ignored."""
    with _opened(folder) as file:
        for number, line in enumerate(file, 1):
            if number == 1 or not line.endswith(b"\n"):
                continue
            try:
                yield msgspec.json.decode(line, type=_Mark)
            except msgspec.DecodeError as error:
                raise _unreadable(folder, number, error) from error


def _opened(folder: Path) -> IO[bytes]:
    try:
        return (folder / _SESSION).open("rb")
    except OSError as error:
        raise SourceError(
            f"expected a recorded session in {printable(folder)}, but {_SESSION} cannot be read: "
            f"{error.strerror}"
        ) from error


def _unreadable(folder: Path, line: int, error: Exception) -> SourceError:
    return SourceError(
        f"expected a session that this version can read at {printable(folder / _SESSION)}:{line}, "
        f"got: {error}; replay {_AUDIO} alone, or with the version that recorded it"
    )
