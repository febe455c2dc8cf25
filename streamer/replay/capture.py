"""A live session in a folder: its sound as it came, what happened beside it, and its events. Played again, it
is cut and judged the same: the way to show somebody else what went wrong.

    audio.wav      what the source gave, 32-bit float
    session.jsonl  settings and models, and where sound was lost
    events.jsonl   what the session said
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
from ..clock import Clock
from ..config import SegmenterSettings, Settings, VadSettings
from ..display_paths import shown
from ..errors import ConfigError, SourceError
from ..output.sinks import JsonLinesSink
from ..protocol import messages

_AUDIO: Final = "audio.wav"
_SESSION: Final = "session.jsonl"
_EVENTS: Final = "events.jsonl"
_LAYOUTS: Final = {1: "mono", 2: "stereo"}


class SessionHeader(msgspec.Struct, frozen=True, kw_only=True, tag="session"):
    """The first line. began: UTC. sample_rate, channels: of the sound."""

    format: int = 1
    emostream: str
    began: str
    source: str
    sample_rate: int
    channels: int
    vad: VadSettings
    segmenter: SegmenterSettings
    models: messages.Models


class _Lost(msgspec.Struct, frozen=True, tag="lost"):
    at_samples: int
    ms: int
    reason: str


class _Flush(msgspec.Struct, frozen=True, tag="flush"):
    at_samples: int


class _Mishap(msgspec.Struct, frozen=True, tag="mishap"):
    at_samples: int
    code: str
    message: str


_Mark = _Lost | _Flush | _Mishap


class SessionRecorder:
    """Writes as it comes, so that a session that is killed is whole up to there. `take` is a tap of the
    source, the recorder itself a sink of the events. Raises ConfigError where the folder cannot be made, and
    SourceError, which ends the session, where it cannot be written to.
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
        )
        self._samples = 0

    def __enter__(self) -> SessionRecorder:
        create_session_folder(self._folder)
        try:
            for name in (_SESSION, _EVENTS, _AUDIO):
                (self._folder / name).touch(mode=0o600)
            self._marks: IO[bytes] = (self._folder / _SESSION).open("wb", buffering=0)
            self._events = (self._folder / _EVENTS).open("w", encoding="utf-8", newline="")
            # Sizes beyond 4 GiB, and every block on its way to the disk at once.
            options = {"rf64": "auto", "flush_packets": "1"}
            self._sound = av.open(str(self._folder / _AUDIO), "w", options=options)
        except OSError as error:
            raise self._unwritable(error) from error
        rate, layout = self._header.sample_rate, _LAYOUTS[self._header.channels]
        self._track = self._sound.add_stream("pcm_f32le", rate=rate, layout=layout)
        self._sink = JsonLinesSink(self._events)
        self._write(self._header)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._events.close()
        self._marks.close()
        try:
            self._sound.close()
        except OSError as failure:
            if error is None:
                raise self._unwritable(failure) from failure

    def take(self, item: Item) -> None:
        """A tap."""
        match item:
            case Pcm(block):
                self._keep(block)
            case AudioGap(lost_ms, reason):
                self._write(_Lost(self._samples, lost_ms, reason))
            case Flush():
                self._write(_Flush(self._samples))
            case SourceWarning(code, message):
                self._write(_Mishap(self._samples, code, message))

    async def send(self, event: messages.ServerEvent) -> None:
        """A sink."""
        try:
            await self._sink.send(event)
        except OSError as error:
            raise self._unwritable(error) from error

    def _keep(self, block: Samples) -> None:
        if not len(block):
            return
        layout = _LAYOUTS[self._header.channels]
        frame = av.AudioFrame.from_ndarray(block.reshape(1, -1), format="flt", layout=layout)
        frame.sample_rate = self._header.sample_rate
        frame.pts = self._samples
        try:
            self._sound.mux(self._track.encode(frame))
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
            f"expected to write the session to {shown(self._folder)}, got: {error.strerror}; "
            "what was written up to there stands"
        )


def create_session_folder(folder: Path) -> None:
    """For nobody else's eyes. Raises ConfigError."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        full = any(folder.iterdir())
    except OSError as error:
        raise ConfigError(
            f"expected a folder at {shown(folder)}, got: {error.strerror}; choose another"
        ) from error
    if full:
        raise ConfigError(f"expected an empty folder, got files in {shown(folder)}; choose another")


def is_session_folder(folder: Path) -> bool:
    """Whether a session was kept there."""
    return (folder / _SESSION).is_file()


def session_audio(folder: Path) -> Path:
    """The recording itself."""
    return folder / _AUDIO


def read_session_header(folder: Path) -> SessionHeader:
    """Raises SourceError."""
    with _opened(folder) as file:
        try:
            return msgspec.json.decode(file.readline(), type=SessionHeader)
        except (msgspec.DecodeError, ConfigError) as error:
            raise _unreadable(folder, 1, error) from error


class RecordedSource:
    """A kept session again, with its losses where they were. pace: see FileSource; what was lost takes no
    time. Raises SourceError.
    """

    def __init__(self, folder: Path, *, pace: Clock | None = None) -> None:
        self._folder = folder
        self._sound = FileSource(folder / _AUDIO, pace=pace)

    @property
    def sample_rate_hz(self) -> int:
        return self._sound.sample_rate_hz

    @property
    def channels(self) -> int:
        return self._sound.channels

    def stop(self) -> None:
        self._sound.stop()

    async def items(self) -> AsyncIterator[Item]:
        marks = _marks(self._folder)
        mark = next(marks, None)
        position = 0
        async for item in self._sound.items():
            assert isinstance(item, Pcm)
            block = item.block
            while mark is not None and mark.at_samples < position + len(block):
                head = mark.at_samples - position
                if head:
                    yield Pcm(block[:head])
                yield _item(mark)
                block, position = block[head:], mark.at_samples
                mark = next(marks, None)
            yield Pcm(block)
            position += len(block)
        while mark is not None and mark.at_samples <= position:
            yield _item(mark)
            mark = next(marks, None)


def _item(mark: _Mark) -> Item:
    match mark:
        case _Lost():
            return AudioGap(mark.ms, mark.reason)
        case _Flush():
            return Flush()
        case _Mishap():
            return SourceWarning(mark.code, mark.message)


def _marks(folder: Path) -> Iterator[_Mark]:
    """In their order. A last line that was cut by a kill is none."""
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
            f"expected a kept session in {shown(folder)}, but {_SESSION} cannot be read: {error.strerror}"
        ) from error


def _unreadable(folder: Path, line: int, error: Exception) -> SourceError:
    return SourceError(
        f"expected a session that this version can read at {shown(folder / _SESSION)}:{line}, got: {error}; "
        f"replay {_AUDIO} alone, or with the version that kept it"
    )
