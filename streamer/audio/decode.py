"""Any file that FFmpeg decodes -> blocks of float32 PCM at the file's own rate and channels."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import av
import av.error
import numpy as np

from ..errors import SourceError
from .frontend import AudioFrontend, Samples

_AUDIO: Final = ".aac .aif .aiff .flac .m4a .mp3 .oga .ogg .opus .wav .weba .wma"
_VIDEO: Final = ".avi .mkv .mov .mp4 .webm"
MEDIA_SUFFIXES: Final = frozenset(f"{_AUDIO} {_VIDEO}".split())
"""Of the audio and video files that are read from a folder; a file given by name is tried in any case."""

# A header's duration is rounded and may leave out encoder padding; past this the file is truncated.
_SHORTFALL_S: Final = 0.5


class AudioFile:
    """The first audio track of a file. Opening it reads the headers only.

    Raises SourceError when it is opened, and from `blocks` when the file turns out to be damaged or
    truncated: after the last block that could be decoded, so nothing that is there is lost.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._container = _open(path)
        if not self._container.streams.audio:
            self._container.close()
            raise SourceError(
                f"expected a file with sound, but {path} has no sound track; choose another file"
            )
        self._stream = self._container.streams.audio[0]
        if self._stream.codec_context is None or not self._stream.rate:
            self._container.close()
            raise SourceError(
                f"expected a sound track that FFmpeg has a decoder for in {path}, got one without; "
                "convert the file"
            )
        self.sample_rate_hz: int = self._stream.rate
        self.channels: int = self._stream.layout.nb_channels
        if not 1_000 <= self.sample_rate_hz <= 768_000:
            self._container.close()
            raise SourceError(
                f"expected a sample rate of 1 to 768 kHz in {path}, got {self.sample_rate_hz} Hz; "
                "convert the file"
            )

    @property
    def declared_duration_s(self) -> float | None:
        """The duration in the headers, None where they have none."""
        if self._container.format.name == "mp3" and not _counts_frames(self.path):
            return None  # FFmpeg estimates from the bit rate; wrong for variable rates
        if self._stream.duration is not None:
            return float(self._stream.duration * self._stream.time_base)
        if self._container.duration is not None and len(self._container.streams) == 1:
            return float(self._container.duration) / av.time_base
        return None

    def blocks(self, at_least_s: float = 0.0) -> Iterator[Samples]:
        """Blocks of (n, channels) float32: the codec's packets, joined to so many seconds each.

        What was read before a failure is yielded before it is raised.
        """
        pending: list[Samples] = []
        length = 0
        failure: SourceError | None = None
        try:
            for block in self._decoded():
                pending.append(block)
                length += len(block)
                if length >= at_least_s * self.sample_rate_hz:
                    yield np.concatenate(pending)
                    pending, length = [], 0
        except SourceError as error:
            failure = error
        if pending:
            yield np.concatenate(pending)
        if failure is not None:
            raise failure

    def _decoded(self) -> Iterator[Samples]:
        layout = self._stream.layout.name
        shape, to_float = None, None
        samples, damaged = 0, 0
        for packet in self._packets():
            try:
                frames = packet.decode()
            except av.error.FFmpegError:
                damaged += 1
                continue
            for frame in frames:
                if to_float is None or shape != (frame.layout.name, frame.sample_rate):
                    # Files that were joined end to end may change their format: convert to the first one.
                    shape = (frame.layout.name, frame.sample_rate)
                    to_float = self._resampler(layout, frame)
                for part in self._resampled(to_float, frame):
                    block = part.to_ndarray().reshape(-1, self.channels).astype(np.float32, copy=False)
                    samples += len(block)
                    yield block
        self._check_complete(samples / self.sample_rate_hz, damaged)

    def _resampler(self, layout: str, frame: Any) -> av.AudioResampler:
        try:
            return av.AudioResampler(format="flt", layout=layout, rate=self.sample_rate_hz)
        except (av.error.FFmpegError, ValueError) as error:
            raise self._not_convertible(frame, error) from error

    def _resampled(self, to_float: av.AudioResampler, frame: Any) -> list[Any]:
        try:
            return to_float.resample(frame)
        except (av.error.FFmpegError, ValueError) as error:
            raise self._not_convertible(frame, error) from error

    def _not_convertible(self, frame: Any, error: Exception) -> SourceError:
        return SourceError(
            f"expected sound that FFmpeg can convert in {self.path}, got {frame.layout.nb_channels} channels "
            f"({frame.layout.name}) at {frame.sample_rate} Hz: {error}; convert the file"
        )

    def close(self) -> None:
        self._container.close()

    def _packets(self) -> Iterator[Any]:
        try:
            yield from self._container.demux(self._stream)
        except av.error.FFmpegError as error:
            raise SourceError(
                f"expected {self.path} to be readable to its end, got: {error.strerror}; "
                "the results up to there stand, get a whole copy for the rest"
            ) from error

    def _check_complete(self, seconds: float, damaged: int) -> None:
        if seconds == 0:
            raise SourceError(f"expected sound in {self.path}, but it holds no samples; choose another file")
        declared = self.declared_duration_s
        if declared is not None and declared - seconds > _SHORTFALL_S:
            raise SourceError(
                f"expected {declared:.1f} s of sound in {self.path}, got {seconds:.1f} s: the file is cut "
                "short; the results up to there stand, get a whole copy for the rest"
            )
        if damaged:
            raise SourceError(
                f"expected intact sound in {self.path}, got {damaged} damaged packets; "
                "the results leave them out, get an intact copy for the whole"
            )


def decode_file(path: Path) -> Samples:
    """All of a short recording: (N,) float32, mono, 16 kHz, through the same front end as every stream.

    Raises SourceError.
    """
    file = AudioFile(path)
    try:
        frontend = AudioFrontend(file.sample_rate_hz, file.channels)
        frames = [*(frontend.push(block) for block in file.blocks()), frontend.finish()]
    finally:
        file.close()
    return np.concatenate(frames).ravel()


def _open(path: Path) -> Any:
    what = f"expected a recording (wav, flac, mp3, m4a, ogg, webm, a video, ...) at {path}"
    try:
        if path.stat().st_size == 0:
            raise SourceError(f"{what}, but the file is empty; choose another file")
        # Titles may be in any encoding; they are not used.
        return av.open(str(path), metadata_errors="replace")
    except (av.error.FileNotFoundError, FileNotFoundError) as error:
        raise SourceError(f"{what}, but there is no such file; check the path") from error
    except (av.error.IsADirectoryError, IsADirectoryError) as error:
        raise SourceError(f"{what}, but it is a folder; name files") from error
    except av.error.InvalidDataError as error:
        raise SourceError(f"{what}, but it is no sound file that FFmpeg knows, or it is damaged") from error
    except (av.error.FFmpegError, OSError) as error:
        raise SourceError(f"{what}, but it cannot be read: {error.strerror}; check the file") from error


def _counts_frames(path: Path) -> bool:
    """Whether an MP3 begins with a header that counts its frames (Xing, Info or VBRI)."""
    with path.open("rb") as file:
        head = file.read(1 << 16)
    return any(tag in head for tag in (b"Xing", b"Info", b"VBRI"))
