"""Audio files of any format and rate to the input of the models: mono float32 at 16 kHz."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import av
import av.error
import numpy as np
import numpy.typing as npt
import soundfile
import soxr

from emostream.models import SAMPLE_RATE_HZ, Samples

from ..corpora.example import CorpusError, Example

_WORKERS: Final = 4
"""Reading waits for the disk, and libsndfile and soxr release the GIL: on two cores four threads read FLAC
files twice as fast as one."""

_SHORTFALL_S: Final = 0.1
"""Some writers round the length in a header; a file that lacks more than this was cut short."""

_FFMPEG_SHORTFALL_S: Final = 0.5
"""A video's audio track is declared to end with the picture, and edit lists cut its start."""

_BARE_STREAMS: Final = ("aac", "mp3")
"""Packets without a header: FFmpeg estimates the length from the bit rate."""

_UNKNOWN_SIZE: Final = 0x7FFF_0000
"""Programs that write a WAV into a pipe put this or more where its length should be."""

_MAX_LISTED: Final = 10


class AudioFileError(CorpusError):
    """An audio file cannot be used. reason: `is missing`, `holds NaN`, for a list of such files."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"expected an audio file at {path}, but it {reason}: fix it or leave it out")
        self.path = path
        self.reason = reason


def read_clip(path: Path) -> Samples:
    """Any audio file, or a video's first audio track, to (N,) float32, mono, 16 kHz.

    Channels are averaged. A 16 kHz file keeps its samples, any other rate is resampled by soxr's VHQ. Raises
    AudioFileError: missing, unreadable, cut short, without samples, NaN or infinity in it.
    """
    samples, rate_hz = _read(path)
    if not len(samples):
        raise AudioFileError(path, "holds no samples")
    if not np.isfinite(samples).all():
        raise AudioFileError(path, "holds NaN" if np.isnan(samples).any() else "holds infinite samples")
    mono: Samples = samples.mean(axis=1, dtype=np.float32)  # (N, C) -> (N,)
    if rate_hz == SAMPLE_RATE_HZ:
        return mono
    if not 1_000 <= rate_hz <= 768_000:
        raise AudioFileError(path, f"declares {rate_hz} Hz, which is no audio rate")
    resampled: Samples = soxr.resample(mono, rate_hz, SAMPLE_RATE_HZ, quality="VHQ")
    return resampled


def decode_examples(examples: Sequence[Example]) -> Iterator[tuple[Example, Samples]]:
    """Every example with its decoded audio, in order, some files read ahead in threads.

    All files are read: after the last one a single CorpusError lists those that cannot be used, digitally
    silent ones included. Raises CorpusError at once for an example without audio.
    """
    paths = [example.audio_path for example in examples]
    unusable: list[AudioFileError] = []
    for example, reading in zip(examples, _read_ahead(paths), strict=True):
        try:
            samples = reading.result()
        except AudioFileError as error:
            unusable.append(error)
        else:
            yield example, samples
    if unusable:
        listed = [f"{error.path} ({error.reason})" for error in unusable[:_MAX_LISTED]]
        more = [f"{len(unusable) - _MAX_LISTED} more"] if len(unusable) > _MAX_LISTED else []
        raise CorpusError(
            f"{len(unusable)} of {len(examples)} audio files cannot be used: {', '.join(listed + more)}: "
            "fix or leave them out"
        )


def _read_ahead(paths: Sequence[Path]) -> Iterator[Future[Samples]]:
    with ThreadPoolExecutor(_WORKERS, thread_name_prefix="audio") as pool:
        pending: deque[Future[Samples]] = deque()
        try:
            for path in paths:
                pending.append(pool.submit(_read_non_silent, path))
                if len(pending) > 2 * _WORKERS:  # no more in memory than the threads need
                    yield pending.popleft()
            while pending:
                yield pending.popleft()
        finally:
            for reading in pending:
                reading.cancel()


def _read_non_silent(path: Path) -> Samples:
    samples = read_clip(path)
    if np.ptp(samples) < 1 / 32768:  # less than one step of 16 bits, whatever the offset
        raise AudioFileError(path, "is digitally silent")
    return samples


def _read(path: Path) -> tuple[npt.NDArray[np.float32], int]:
    """(N, C) float32 and its rate; read by libsndfile if it knows the format, otherwise by FFmpeg."""
    if not path.is_file():
        raise AudioFileError(path, "is a folder" if path.is_dir() else "is missing")
    if not path.stat().st_size:
        raise AudioFileError(path, "is empty")
    try:
        with soundfile.SoundFile(path) as file:
            declared, rate_hz = file.frames, file.samplerate
            samples: npt.NDArray[np.float32] = file.read(dtype="float32", always_2d=True)
    except (OSError, soundfile.LibsndfileError):
        return _read_with_ffmpeg(path)
    missing_s = max((declared - len(samples)) / rate_hz, _missing_from_wav_s(path))
    if missing_s > _SHORTFALL_S:
        raise AudioFileError(path, f"is cut short by {missing_s:.1f} s")
    return samples, rate_hz


def _missing_from_wav_s(path: Path) -> float:
    """Seconds that a WAV file lacks of what its header declares, which libsndfile ignores; 0 for others."""
    with path.open("rb") as file:
        if file.read(4) != b"RIFF":
            return 0.0
        file.seek(12)
        bytes_a_second = 0
        while len(head := file.read(8)) == 8:
            size = int.from_bytes(head[4:], "little")
            if head[:4] == b"fmt ":
                bytes_a_second = int.from_bytes(file.read(12)[8:], "little")
                file.seek(-12, 1)
            elif head[:4] == b"data":
                missing = file.tell() + size - path.stat().st_size
                return 0.0 if size >= _UNKNOWN_SIZE else missing / max(1, bytes_a_second)
            file.seek(size + size % 2, 1)
    return 0.0


def _read_with_ffmpeg(path: Path) -> tuple[npt.NDArray[np.float32], int]:
    try:
        with av.open(f"file:{path}") as container:  # a colon in a name is a protocol to FFmpeg
            samples, rate_hz, missing_s = _first_track(container)
    except (OSError, av.error.FFmpegError, ValueError) as error:
        # OSError, FFmpegError: the file; ValueError: its audio changes format midway.
        raise AudioFileError(path, f"cannot be read ({getattr(error, 'strerror', None) or error})") from error
    if len(samples) and missing_s > _FFMPEG_SHORTFALL_S:
        raise AudioFileError(path, f"is cut short by {missing_s:.1f} s")
    return samples, rate_hz


def _first_track(container: Any) -> tuple[npt.NDArray[np.float32], int, float]:
    """(N, C) samples, their rate, and the seconds that they lack of what the headers declare. A pause without
    packets, of a recorder or a codec, is no sound that is missing.
    """
    if not container.streams.audio:
        raise ValueError("no audio track")
    track = container.streams.audio[0]
    to_float = av.AudioResampler("fltp", track.layout.name, track.rate)
    blocks, end_s = [], 0.0
    for frame in container.decode(track):
        blocks += [part.to_ndarray().T for part in to_float.resample(frame)]
        if frame.time is not None:
            end_s = frame.time + frame.samples / frame.sample_rate
    empty = np.zeros((0, 1), np.float32)
    samples: npt.NDArray[np.float32] = np.concatenate(blocks, dtype=np.float32) if blocks else empty
    heard_s = max(len(samples) / track.rate, end_s)
    return samples, int(track.rate), _declared_s(container, track) - heard_s


def _declared_s(container: Any, track: Any) -> float:
    if container.format.name in _BARE_STREAMS:
        return 0.0
    if track.duration is not None:
        return float(track.duration * track.time_base)
    if container.duration is not None and len(container.streams) == 1:
        return float(container.duration / av.time_base)
    return 0.0
