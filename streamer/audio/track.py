"""A sound track: one container opened by FFmpeg, its packets decoded, its time stamps and its damage."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

import av
import av.error

from ..errors import SourceError
from ..plurals import counted
from .file_signatures import file_kind
from .joined import Part, PartFile
from .memory_file import MemoryFile, Recording, size_of
from .pipes import Pipe, decodable

_TIMED: Final = frozenset(
    {"matroska,webm", "mov,mp4,m4a,3gp,3g2,mj2", "mpegts", "mpeg", "ogg", "asf", "flv", "nut", "mxf"}
)
"""Containers with a time stamp for each block. For the others FFmpeg counts what it has read."""

_ANY_ORIGIN: Final = frozenset({"mpegts", "mpeg", "ogg", "flv"})
"""Cut from a broadcast, whose clock began at some other time: players count from the beginning."""

_SHORTFALL_S: Final = 0.5
"""A header's duration is rounded and may leave out encoder padding; past this the file is cut short."""


_LONGEST_BYTES: Final = 0x7FF0_0000
"""Declared by programs that do not know how long the sound will be."""

_ADDRESS: Final = re.compile(r"[a-z][a-z0-9+.-]+:/", re.IGNORECASE)

_UNTRUSTED: Final = {"protocol_whitelist": "none"}
"""For what a client has sent: a playlist would have FFmpeg open files and addresses of its choice."""

_WAV: Final = {"probesize": "32768"}
"""Bytes in which FFmpeg looks for other codecs than PCM. In its usual five million that takes seconds where a
pipe is written in real time, and longer than decoding where packets are large.
"""

_LARGE_PACKETS: Final = {"max_size": "65536"}
"""Bytes: seconds of speech, where FFmpeg's own choice are 64 ms, each of which is passed through Python."""

_KIND_BYTES: Final = 12
"""At the beginning of a WAV: they say that it is one."""

_TAGGED: Final = frozenset({"mp3", "aac"})
"""Formats whose frames follow each other without a container."""

_SEVENS: Final = (21, 14, 7, 0)
"""An ID3v2 tag has its size in bytes of seven bits."""


@dataclass(frozen=True, slots=True)
class Lost:
    """A packet that could not be decoded. samples: how many it held, 0 where the next time stamp tells."""

    samples: int


@dataclass(frozen=True, slots=True)
class Decoded:
    """frame: of FFmpeg. at: where it belongs by its time stamp, in samples at the file's rate; None where the
    file has none.
    """

    frame: Any
    at: int | None


class SoundTrack:
    """number: of the sound tracks, from 1. part: None for the whole file. pipe: where the bytes come from, if
    not from the file. Raises SourceError.
    """

    def __init__(
        self, path: Recording, number: int = 1, part: Part | None = None, pipe: Pipe | None = None
    ) -> None:
        self._path = path
        self._number = number
        self._part = part
        self._is_pipe = pipe is not None
        self._container = _open(path, part) if pipe is None else _open_pipe(path, pipe)
        try:
            self._stream = self._chosen()
            self._check()
        except SourceError:
            self._container.close()
            raise
        self.sample_rate_hz: int = self._stream.rate
        self.channels: int = self._stream.layout.nb_channels
        self._damaged = 0
        self._tag_end = 0  # in the file
        self._intact_bytes = self._intact_ticks = 0  # of the packets

    @property
    def has_float_samples(self) -> bool:
        """Whether the samples are stored as floats, which may be beyond full scale."""
        return bool(self._stream.codec_context.name.startswith(("pcm_f32", "pcm_f64")))

    @property
    def others(self) -> list[int]:
        """The numbers of the other sound tracks."""
        count = len(self._container.streams.audio)
        return [number for number in range(1, count + 1) if number != self._number]

    def close(self) -> None:
        self._container.close()

    def _chosen(self) -> Any:
        streams = self._container.streams.audio
        if not streams:
            raise SourceError(
                f"expected a file with sound, but {self._path} has no sound track; choose another file"
            )
        if not 1 <= self._number <= len(streams):
            tracks = "one sound track" if len(streams) == 1 else f"{len(streams)} sound tracks"
            raise SourceError(
                f"expected --track of 1 to {len(streams)} for {self._path}, which has {tracks}, got "
                f"{self._number}; choose another"
            )
        return streams[self._number - 1]

    def _check(self) -> None:
        stream, path = self._stream, self._path
        if stream.codec_context is None or not stream.rate:
            raise SourceError(
                f"expected a sound track that FFmpeg has a decoder for in {path}, got one without; "
                "convert the file"
            )
        if not 1_000 <= stream.rate <= 768_000:
            raise SourceError(
                f"expected a sample rate of 1 to 768 kHz in {path}, got {stream.rate} Hz; convert the file"
            )

    @property
    def declared_duration_s(self) -> float | None:
        """From the first sound to the end, by the headers; None where they do not say."""
        return self._declared_s(0.0)

    def _declared_s(self, first_s: float) -> float | None:
        """first_s: where the sound begins, which some containers count in."""
        container, stream, form = self._container, self._stream, self._container.format.name
        if form == "aac" or (form == "mp3" and (self._is_pipe or not _counts_frames(self._path))):
            return None  # FFmpeg estimates from the bit rate; wrong for variable rates
        if form == "ogg" and stream.duration is not None:  # the last time stamp
            return float((stream.duration - (stream.start_time or 0)) * stream.time_base)
        if stream.duration is not None and form != "matroska,webm":  # there it is that of all tracks
            declared_s = float(stream.duration * stream.time_base)
            return None if self._is_pipe and self._is_placeholder(declared_s) else declared_s
        if container.duration is not None and len(container.streams) == 1:
            return float(container.duration) / av.time_base - first_s
        return None

    def _is_placeholder(self, seconds: float) -> bool:
        """Whether a length stands for none: a program cannot go back in a pipe, and puts the longest."""
        width = self._stream.codec_context.format.bytes
        return bool(seconds * self.sample_rate_hz * self.channels * width >= _LONGEST_BYTES)

    def decoded(self, rate_hz: int) -> Iterator[Decoded | Lost]:
        """Raises SourceError where the file can be read no further. rate_hz: of the positions."""
        timed = self._container.format.name in _TIMED
        for packet in self._packets():
            try:
                frames = self._decode(packet)
            except av.error.FFmpegError:
                self._damaged += 1
                yield Lost(0 if timed else self._lost(packet, rate_hz))
                continue
            self._intact_bytes += packet.size
            self._intact_ticks += packet.duration or 0
            for frame in frames:
                at = frame.pts if timed else None
                yield Decoded(frame, None if at is None else self._position(at, frame, rate_hz))

    def _lost(self, packet: Any, rate_hz: int) -> int:
        """A packet without a header is all that was found up to the next one: it is as long as so many bytes
        are elsewhere.
        """
        ticks = packet.duration or 0
        if self._intact_bytes:
            ticks = max(ticks, packet.size * self._intact_ticks // self._intact_bytes)
        return self._samples(ticks, packet.time_base, rate_hz)

    def _position(self, pts: int, frame: Any, rate_hz: int) -> int:
        at = self._samples(pts, frame.time_base or self._stream.time_base, rate_hz)
        if self._container.format.name in _ANY_ORIGIN and self._container.start_time is not None:
            at -= self._container.start_time * rate_hz // av.time_base
        return at

    def _samples(self, ticks: int, time_base: Any, rate_hz: int) -> int:
        base = time_base or self._stream.time_base
        return cast(int, ticks * base.numerator * rate_hz // base.denominator)

    def _packets(self) -> Iterator[Any]:
        try:
            yield from self._container.demux(self._stream)
        except av.error.FFmpegError as error:
            raise SourceError(
                f"expected {self._path} to be readable to its end, got: {error.strerror}; "
                "the results up to there stand, get a whole copy for the rest"
            ) from error

    def _decode(self, packet: Any) -> list[Any]:
        """Without the tags that files have in the middle when they were joined."""
        if not packet.size and packet.pts is not None:  # it tells of new parameters only
            return []
        if self._container.format.name not in _TAGGED or not packet.size:
            return cast(list[Any], packet.decode())
        if packet.pos is not None and packet.pos < self._tag_end:
            return []
        data = bytes(packet)
        length = _tags_length(data)
        if length >= len(data) or not any(data):
            self._tag_end = (packet.pos or 0) + length
            return []
        if not length:
            return cast(list[Any], packet.decode())
        behind = av.Packet(data[length:])
        behind.pts, behind.time_base = packet.pts, packet.time_base
        return cast(list[Any], self._stream.codec_context.decode(behind))

    def check_complete(self, first_s: float, end_s: float, *, right_stamps: bool) -> None:
        """first_s, end_s: where the decoded sound begins and ends on the track's clock. right_stamps: whether
        the time stamps are right, and so the duration that is computed from them.

        Raises SourceError.
        """
        declared_s = self._declared_s(first_s) if right_stamps else None
        if self._part is not None and self._part.declared_s is not None:
            declared_s = self._part.declared_s
        heard_s = end_s - first_s
        if declared_s is not None and declared_s - heard_s > _SHORTFALL_S:
            raise SourceError(
                f"expected {declared_s:.1f} s of sound in {self._path}, got {heard_s:.1f} s: the file is cut "
                "short; the results up to there stand, get a whole copy for the rest"
            )
        if self._damaged:
            raise SourceError(
                f"expected intact sound in {self._path}, got {counted(self._damaged, 'damaged packet')}; "
                "the results leave them out, get an intact copy for the whole"
            )


def _open(path: Recording, part: Part | None) -> Any:
    what = f"expected a recording (wav, flac, mp3, m4a, ogg, webm, a video, ...) at {path}"
    try:
        if size_of(path) == 0:
            raise SourceError(f"{what}, but the file is empty; choose another file")
        options = _UNTRUSTED if isinstance(path, MemoryFile) else {}
        if _is_wav(path, part):
            options = {**options, **_WAV, **_LARGE_PACKETS}
        # Titles may be in any encoding; they are not used.
        return av.open(_openable(path, part), metadata_errors="replace", options=options)
    except (av.error.FileNotFoundError, FileNotFoundError) as error:
        if _ADDRESS.match(str(path)):
            raise SourceError(
                f"expected a recording on this machine, got the address {path}; download it, or pipe it: "
                "curl -L ADDRESS | emostream replay -"
            ) from error
        raise SourceError(f"{what}, but there is no such file; check the path") from error
    except (av.error.IsADirectoryError, IsADirectoryError) as error:
        raise SourceError(f"{what}, but it is a folder; name files") from error
    except av.error.InvalidDataError as error:
        raise SourceError(f"{what}, but it is no sound file that FFmpeg knows, or it is damaged") from error
    except (av.error.FFmpegError, OSError) as error:
        raise SourceError(f"{what}, but it cannot be read: {error.strerror}; check the file") from error


def _is_wav(path: Recording, part: Part | None) -> bool:
    if not isinstance(path, MemoryFile) and not path.is_file():
        return False
    with path.open("rb") as file:
        file.seek(0 if part is None else part.begin)
        return file_kind(file.read(_KIND_BYTES)) == "WAV"


def _openable(path: Recording, part: Part | None) -> Any:
    if part is not None:
        return PartFile(path, part)
    return path.open("rb") if isinstance(path, MemoryFile) else ffmpeg_url(path)


def _open_pipe(path: Recording, pipe: Pipe) -> Any:
    what = "expected a recording (wav, flac, mp3, m4a, ogg, webm, a video, ...)"
    if not pipe.head:
        raise SourceError(f"{what} from {path}, but nothing came; check the program that writes it")
    options = _WAV if file_kind(pipe.head) == "WAV" else {}
    try:
        return av.open(decodable(pipe), metadata_errors="replace", options=options)
    except (av.error.FFmpegError, OSError) as error:
        raise SourceError(
            f"{what} from {path}, but it is no sound file that FFmpeg knows, or it is damaged"
        ) from error


def ffmpeg_url(path: Path) -> str:
    """A path as FFmpeg takes it, for which `12:30.flac` alone is a protocol and its address."""
    return f"file:{path}"


def _tags_length(data: bytes) -> int:
    """Of the ID3 and APE tags that the data begins with, of which it may hold the beginning only."""
    length = 0
    while tag := data[length : length + 32]:
        if tag.startswith(b"TAG"):
            length += 128
        elif tag.startswith(b"ID3") and len(tag) >= 10:
            footer = 10 if tag[5] & 0x10 else 0
            length += (
                10
                + footer
                + sum((byte & 0x7F) << shift for byte, shift in zip(tag[6:10], _SEVENS, strict=True))
            )
        elif tag.startswith(b"APETAGEX") and len(tag) == 32:
            length += 32 + int.from_bytes(tag[12:16], "little")
        else:
            break
    return length


def _counts_frames(path: Recording) -> bool:
    """Whether an MP3 begins with a header that counts its frames (Xing, Info or VBRI), and is about as long
    as that says: otherwise another file was joined to it.
    """
    with path.open("rb") as file:
        head = file.read(1 << 16)
    at = max(head.find(tag) for tag in (b"Xing", b"Info", b"VBRI"))
    if at < 0:
        return False
    if head[at : at + 4] == b"VBRI":
        length = int.from_bytes(head[at + 10 : at + 14], "big")
    else:
        flags = int.from_bytes(head[at + 4 : at + 8], "big")
        field = at + (12 if flags & 1 else 8)  # behind the number of frames
        length = int.from_bytes(head[field : field + 4], "big") if flags & 2 else 0
    return not length or size_of(path) - at <= 1.1 * length
