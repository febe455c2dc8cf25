"""Any file that FFmpeg decodes -> blocks of float32 PCM at the file's own rate and channels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from ..errors import SourceError
from ..protocol.error_codes import ErrorCode
from .conversion import BlockConverter
from .frontend import AudioFrontend, Samples
from .full_scale import peak_beyond_scale
from .joined import Part, parts_of
from .memory_file import Recording
from .pipes import STDIN, is_pipe, open_pipe
from .timestamps import FileClock
from .track import Decoded, Lost, SoundTrack

_SILENT: Final = 10 ** (-60 / 20)
"""The peak below which a whole track is silent, of full scale; ten times that is sound."""

_LONGEST_SILENCE_S: Final = 600
"""In `decode_file`, which holds all of a recording in memory."""


@dataclass(frozen=True, slots=True)
class Gap:
    """So many samples of time without sound: the file has none there."""

    samples: int


@dataclass(frozen=True, slots=True)
class FileNote:
    """Something unusual about a file, of which all that there is was heard. code: see `ErrorCode`."""

    code: str
    message: str


class AudioFile:
    """A sound track of a file. Opening it reads the headers only. track: from 1.

    Its clock is the file's own, see `FileClock`: where the file has no sound, `blocks` yields a gap. Files
    that were joined byte by byte are one; what follows takes the rate and channels of the first.

    Raises SourceError when it is opened, and from `blocks` when the file turns out to be damaged or
    truncated: after the last block that could be decoded, so nothing that is there is lost.
    """

    def __init__(self, path: Recording, *, track: int = 1) -> None:
        self._pipe = open_pipe(path) if isinstance(path, Path) and is_pipe(path) else None
        self.path = Path("standard input") if path == STDIN else path
        self._number = track
        try:
            self._track = SoundTrack(self.path, track, pipe=self._pipe)
        except SourceError:
            if self._pipe is not None:
                self._pipe.close()
            raise
        self.sample_rate_hz = self._track.sample_rate_hz
        self.channels = self._track.channels
        self._converter = BlockConverter(self.path, self.sample_rate_hz, self.channels)
        self._peak = 0.0
        self._notes: list[FileNote] = []

    @property
    def declared_duration_s(self) -> float | None:
        """The duration in the headers, None where they have none."""
        return self._track.declared_duration_s

    @property
    def has_float_samples(self) -> bool:
        """Whether the samples are stored as floats, which may be beyond full scale."""
        return self._track.has_float_samples

    @property
    def is_pipe(self) -> bool:
        """Whether it comes once, and as it is written."""
        return self._pipe is not None

    def interrupt(self) -> None:
        """End a read that waits in another thread: the pipe ends here."""
        if self._pipe is not None:
            self._pipe.interrupt()

    def close(self) -> None:
        self._track.close()
        if self._pipe is not None:
            self._pipe.close()

    def take_notes(self) -> list[FileNote]:
        """What `blocks` has found since the last call."""
        notes, self._notes = self._notes, []
        return notes

    def blocks(self, at_least_s: float = 0.0) -> Iterator[Samples | Gap]:
        """Blocks of (n, channels) float32: the codec's packets, joined to so many seconds each.

        What was read before a failure is yielded before it is raised.
        """
        pending: list[Samples] = []
        length = 0
        failure: SourceError | None = None
        try:
            for block in self._all_parts():
                if not isinstance(block, Gap):
                    pending.append(block)
                    length += len(block)
                    if length < at_least_s * self.sample_rate_hz:
                        continue
                if pending:
                    yield self._joined(pending)
                pending, length = [], 0
                if isinstance(block, Gap):
                    yield block
        except SourceError as error:
            failure = error
        if pending:
            yield self._joined(pending)
        if failure is not None:
            raise failure
        self._note_silence()

    def _joined(self, blocks: list[Samples]) -> Samples:
        block = np.concatenate(blocks)
        self._peak = max(self._peak, float(np.abs(block).max(initial=0.0)))
        return block

    def _all_parts(self) -> Iterator[Samples | Gap]:
        """Also those after a part that fails."""
        clock = FileClock(self.sample_rate_hz)
        failure: SourceError | None = None
        for part in _parts(self.path):
            try:
                if part is not None:
                    if part.note:
                        self._note(ErrorCode.UNUSUAL_RECORDING, part.note)
                    self._track.close()
                    self._track = SoundTrack(self.path, self._number, part)
                    clock.begin_part()
                yield from self._decode_part(clock)
            except SourceError as error:
                failure = failure or error
        if failure is None and clock.position == 0:
            failure = SourceError(
                f"expected sound in {self.path}, but it holds no samples; choose another file"
            )
        if failure is not None:
            raise failure

    def _decode_part(self, clock: FileClock) -> Iterator[Samples | Gap]:
        began, first = clock.position, clock.position
        for decoded in self._track.decoded(self.sample_rate_hz):
            match decoded:
                case Lost(samples):
                    clock.expect_loss()
                    clock.skip(samples)
                    if samples:
                        yield Gap(samples)
                case Decoded(frame, at):
                    block = self._converter.push(frame)
                    placement = clock.place(at, len(block))
                    if placement.gap:
                        if first == began and clock.position == began + placement.gap + len(block):
                            first += placement.gap
                        yield Gap(placement.gap)
                    yield block[placement.drop :]
        rest = self._converter.finish()
        clock.place(None, len(rest))
        yield rest
        self._note_time_stamps(clock)
        rate, right = self.sample_rate_hz, not clock.wrong_stamps
        self._track.check_complete(
            (first - began) / rate, (clock.position - began) / rate, right_stamps=right
        )

    def _note_time_stamps(self, clock: FileClock) -> None:
        if clock.before_zero:
            self._note(
                ErrorCode.UNUSUAL_RECORDING,
                f"expected time stamps from 0 on, got {clock.before_zero / self.sample_rate_hz:.1f} s before "
                "it: times count from the first sound",
            )
        if clock.wrong_stamps:
            self._note(
                ErrorCode.UNUSUAL_RECORDING,
                f"expected time stamps in order, got {clock.wrong_stamps} that jump by more than a day: the "
                "sound after them follows at once",
            )

    def _note_silence(self) -> None:
        """Silence where another track has sound is a wrong choice, most of the time."""
        if self._peak >= _SILENT or self.is_pipe:
            return
        for number in self._track.others:
            if _has_sound(self.path, number):
                self._note(
                    ErrorCode.SILENT_TRACK,
                    f"expected sound in track {self._number}, got silence; track {number} has sound, "
                    f"choose it with --track {number}",
                )
                return

    def _note(self, code: ErrorCode, text: str) -> None:
        self._notes.append(FileNote(code, f"{self.path}: {text}"))


def decode_file(path: Path) -> Samples:
    """All of a short recording: (N,) float32, mono, 16 kHz, through the same front end as every stream; gaps
    are silence. Raises SourceError.
    """
    file = AudioFile(path)
    try:
        frontend = AudioFrontend(file.sample_rate_hz, file.channels)
        blocks = [_silence(file, block) if isinstance(block, Gap) else block for block in file.blocks()]
        peak = peak_beyond_scale(blocks, file.sample_rate_hz) if file.has_float_samples else None
        frames = [frontend.push(block if peak is None else block / np.float32(peak)) for block in blocks]
        frames.append(frontend.finish())
    finally:
        file.close()
    return np.concatenate(frames).ravel()


def _silence(file: AudioFile, gap: Gap) -> Samples:
    seconds = gap.samples / file.sample_rate_hz
    if seconds > _LONGEST_SILENCE_S:
        raise SourceError(
            f"expected a short recording, got {file.path} with {seconds:.0f} s without sound; cut it"
        )
    return np.zeros((gap.samples, file.channels), np.float32)


def _parts(path: Recording) -> Sequence[Part | None]:
    """None is the whole file: as nearly always, and for a pipe, which is read once, as it comes."""
    if isinstance(path, Path) and not path.is_file():
        return [None]
    parts = parts_of(path)
    return [None] if parts == [Part(0, parts[0].end)] else parts


def _has_sound(path: Recording, number: int) -> bool:
    track = SoundTrack(path, number)
    try:
        converter = BlockConverter(path, track.sample_rate_hz, track.channels)
        for decoded in track.decoded(track.sample_rate_hz):
            if isinstance(decoded, Decoded):
                block = converter.push(decoded.frame)
                if np.abs(block).max(initial=0.0) >= 10 * _SILENT:
                    return True
    except SourceError:
        return False
    finally:
        track.close()
    return False
