"""A websocket client's audio as a source: positions, credit and acknowledgements.

The socket is always read; flow control by credit holds a fast client back. The receiver calls `feed` and
`handle`, the session iterates `items`; an item counts as received once the session asks for the next.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import numpy as np

from ..audio.channels import heard_channels
from ..audio.file_signatures import HEAD_BYTES, file_kind
from ..audio.frontend import PcmDecoder, Samples
from ..audio.sources import AudioGap, Flush, Item, Pcm, SourceWarning
from ..config import Channels
from ..errors import (
    BadStartError,
    EmostreamError,
    FlowControlError,
    NotPcmError,
    ProtocolError,
    SourceError,
)
from ..protocol import messages
from ..protocol.error_codes import ErrorCode
from .quiet_audio import LONGEST_MS, QuietAudio

_ACK_EVERY_MS = 1_000
_MAX_PENDING = 64  # items that are not audio: more of them in one credit is a flood


@dataclass(frozen=True, slots=True)
class _Stop:
    pass


class WebSocketSource:
    """acknowledge: called with the samples that the session has taken, for every second of audio (a fifth of
    the credit, where that is less), when `waiting_samples` changes, and at the end.
    """

    def __init__(
        self, start: messages.Start, max_unacked_ms: int, acknowledge: Callable[[int], None]
    ) -> None:
        self.sample_rate_hz = start.sample_rate
        self.channels = start.channels
        self._decoder = PcmDecoder(start.encoding, start.channels)
        self._encoding = start.encoding
        self._head = b""  # of the stream, until it is long enough to tell a file from samples
        self._ahead = max_unacked_ms * start.sample_rate // 1_000
        self._ack_every = min(_ACK_EVERY_MS * start.sample_rate // 1_000, self._ahead // 5)
        self._acknowledge = acknowledge
        self._most_at_once = min(LONGEST_MS * start.sample_rate // 1_000, self._ack_every)
        self._quiet = QuietAudio(self._decoder, self._most_at_once)
        self._is_idle: Callable[[], bool] = lambda: False

        # What the session has not taken yet: audio is bounded by the credit, the rest by _MAX_PENDING.
        self._queue: deque[Item | _Stop] = deque()
        self._others = 0
        self._arrived = asyncio.Event()
        self._stopped = False
        self._failure: EmostreamError | None = None

        self.received_gap_ms = 0

        # Positions in sample frames at the client's rate.
        self._fed = 0
        self._taken = 0
        self._consumed = 0
        self._acked = 0
        self._marks: list[tuple[int, Flush | _Stop]] = []  # announced ahead of the audio, in order
        # Positions of flushes: the last one that the session has passed, and those that it has not.
        self._flushed_to = -1
        self._flushes: set[int] = set()

    def hold_quiet_audio(self, is_idle: Callable[[], bool]) -> None:
        """Let quiet audio wait for what follows it. is_idle: see `QuietAudio.begin`."""
        self._is_idle = is_idle

    def release(self) -> None:
        """Let nothing wait any longer. To be called where no audio has come for a while."""
        if self._quiet.waiting:
            self._queue_audio(self._decoder.push(self._quiet.take()))

    @property
    def received_samples(self) -> int:
        """Sample frames that have come, taken by the session or not."""
        return self._fed + self._quiet.waiting

    @property
    def acknowledged_samples(self) -> int:
        """Sample frames that the session has taken, as of the last call of `acknowledge`."""
        return self._acked

    @property
    def waiting_samples(self) -> int | None:
        """The first position beyond the audio so far where a flush or the stop waits."""
        return self._marks[0][0] if self._marks and not self._stopped else None

    @property
    def awaits_audio(self) -> bool:
        """Whether the session has taken all audio so far but what waits, and the stream is not over."""
        return not self._stopped and self._consumed == self._fed

    @property
    def stop_waits(self) -> bool:
        """Whether the stop has been announced for a position that the audio has not reached."""
        return not self._stopped and any(isinstance(mark, _Stop) for _, mark in self._marks)

    def stop_without_the_rest(self) -> None:
        """The audio before the announced stop does not come: report it, and end after what has."""
        at = next(at for at, mark in self._marks if isinstance(mark, _Stop))
        self.warn(
            ErrorCode.BAD_MESSAGE,
            f"expected audio up to stop.at_samples {at}, got {self._fed} samples and then none; ended there: "
            "count sample frames, or leave at_samples out",
        )
        self.stop()

    def discard_partial_frame(self) -> None:
        """Drop half a frame: the socket broke in it, and the next socket sends it from its beginning."""
        self._decoder.drop_partial_frame()

    def stop(self) -> None:
        """End the stream: what has arrived is still analysed."""
        self._put(_Stop())

    def fail(self, error: EmostreamError) -> None:
        """End with this error, after what has arrived; unless the stream has ended."""
        if self._stopped:
            return
        self._failure = error
        self._put(_Stop())

    def feed(self, data: bytes) -> None:
        """A binary message. What is a file instead of samples ends the stream. Raises FlowControlError."""
        if self._stopped:
            return
        if self.received_samples - self._acked > self._ahead:
            max_unacked_ms = (self.received_samples - self._acked) * 1_000 // self.sample_rate_hz
            limit_ms = self._ahead * 1_000 // self.sample_rate_hz
            raise FlowControlError(
                f"expected at most {limit_ms} ms of audio ahead of the last ack, got {max_unacked_ms} ms "
                "and more; wait for acks before sending on"
            )
        if len(self._head) < HEAD_BYTES:
            self._head += data[: HEAD_BYTES - len(self._head)]
            kind = file_kind(self._head)
            if kind is not None:
                self.fail(_not_pcm(kind, self._encoding))
                return
        session_waits = not (self._marks or self._arrived.is_set())
        if session_waits and self._quiet.add(data):
            return
        self.release()
        block = self._decoder.push(data)
        if len(block):
            self._accept(block)

    def handle(self, message: messages.Gap | messages.Flush | messages.Stop) -> None:
        """A text message. Raises ProtocolError; the session goes on."""
        if self._stopped:
            return  # messages after `stop`, or sent again, change nothing
        self.release()
        match message:
            case messages.Gap(ms=ms, reason=reason):
                if not 0 < ms <= messages.MAX_GAP_MS:
                    raise ProtocolError(
                        f"expected gap.ms of 1 to {messages.MAX_GAP_MS}, got {ms}; send several gaps"
                    )
                least, most = messages.GAP_REASON_CHARACTERS
                if reason is not None and not least <= len(reason) <= most:
                    raise ProtocolError(
                        f"expected gap.reason of {least} to {most} characters, got {len(reason)}; shorten it"
                    )
                self._add_gap(ms, reason or "the client dropped it")
                self.received_gap_ms += ms
            case messages.Flush():
                at = self._position_of("flush", message.at_samples)
                if self._is_new(at):
                    self._flushes.add(at)
                    self._place(at, Flush())
            case messages.Stop():
                self._place(self._position_of("stop", message.at_samples), _Stop())

    def warn(self, code: str, message: str) -> None:
        """Have the session report an error that does not end it, in its place among the events."""
        self._put(SourceWarning(code, message))

    async def items(self) -> AsyncIterator[Item]:
        while True:
            if not self._queue:
                self._arrived.clear()
                self._quiet.begin(idle=self._is_idle())
                await self._arrived.wait()
            item = self._queue.popleft()
            if isinstance(item, _Stop):
                break
            if isinstance(item, Pcm):
                item = self._with_next(item)
                self._taken += len(item.block)
            else:
                self._others -= 1
            yield item
            self._consumed = self._taken
            if self._consumed - self._acked >= self._ack_every or isinstance(item, Flush):
                self._ack()
        self._consumed = self._taken
        self._ack()
        if self._failure is not None:
            raise self._failure

    def _with_next(self, first: Pcm) -> Pcm:
        """This audio and what has come behind it: a few large blocks cost less than many small ones."""
        blocks, samples = [first.block], len(first.block)
        while self._queue and isinstance(following := self._queue[0], Pcm):
            samples += len(following.block)
            if samples > self._most_at_once:
                break
            blocks.append(following.block)
            self._queue.popleft()
        return first if len(blocks) == 1 else Pcm(np.concatenate(blocks))

    def _ack(self) -> None:
        if self._acked != self._consumed:
            self._acked = self._consumed
            self._acknowledge(self._acked)

    def _accept(self, block: Samples) -> None:
        """Queue the audio, cut where a flush or the stop has been announced."""
        while self._marks and self._marks[0][0] <= self._fed + len(block):
            at, mark = self._marks.pop(0)
            self._acknowledge(self._acked)
            cut = at - self._fed
            self._queue_audio(block[:cut])
            block = block[cut:]
            self._put(mark)
            if self._stopped:
                return
        self._queue_audio(block)

    def _queue_audio(self, block: Samples) -> None:
        if len(block):
            self._fed += len(block)
            self._queue.append(Pcm(block))
            self._arrived.set()

    def _is_new(self, at: int) -> bool:
        """A flush that is sent again, or at a position before a flush that is done, changes nothing. What the
        session has passed is kept as one number: a long stream may flush any number of times.
        """
        passed = {mark for mark in self._flushes if mark <= self._consumed}
        self._flushes -= passed
        self._flushed_to = max(self._flushed_to, *passed, -1)
        return at > self._flushed_to and at not in self._flushes

    def _place(self, at: int, mark: Flush | _Stop) -> None:
        """Queue a mark at its position: before its audio has come it waits, inside queued audio it splits a
        block, and at a position that the session has passed it means now. So the result does not depend on
        how the audio was cut into messages.
        """
        if at > self._fed:
            if len(self._marks) >= _MAX_PENDING:
                raise _flood()
            self._marks.append((at, mark))
            self._marks.sort(key=lambda announced: announced[0])
            self._acknowledge(self._acked)
            return
        self._check_pending()
        before: list[Item | _Stop] = []
        position = self._taken
        # Earlier items at the same position stay before it.
        while self._queue and (position < at or not isinstance(self._queue[0], Pcm)):
            item = self._queue.popleft()
            if isinstance(item, Pcm) and position + len(item.block) > at:
                before.append(Pcm(item.block[: at - position]))
                self._queue.appendleft(Pcm(item.block[at - position :]))
                position = at
            else:
                before.append(item)
                position += len(item.block) if isinstance(item, Pcm) else 0
        if isinstance(mark, _Stop):
            self._queue.clear()
        self._queue.appendleft(mark)
        self._queue.extendleft(reversed(before))
        self._count(mark)

    def _put(self, item: Item | _Stop) -> None:
        if self._stopped:
            return
        self.release()
        if not isinstance(item, _Stop):
            self._check_pending()
        self._queue.append(item)
        self._count(item)

    def _add_gap(self, ms: int, reason: str) -> None:
        """Adjacent gaps are one gap: a client that reports every block it drops is no flood."""
        last = self._queue[-1] if self._queue else None
        if isinstance(last, AudioGap) and last.reason == reason:
            self._queue[-1] = AudioGap(last.ms + ms, reason)
        else:
            self._put(AudioGap(ms, reason))

    def _count(self, item: Item | _Stop) -> None:
        if isinstance(item, _Stop):
            self._stopped = True
        else:
            self._others += 1
        self._arrived.set()

    def _check_pending(self) -> None:
        if self._others >= _MAX_PENDING:
            raise _flood()

    def _position_of(self, kind: str, at: int | None) -> int:
        if at is None:
            return self._fed
        if at < 0:
            raise ProtocolError(f"expected {kind}.at_samples of 0 or more, got {at}; correct the client")
        return at


def _flood() -> FlowControlError:
    return FlowControlError(
        f"expected at most {_MAX_PENDING} messages beside audio ahead of the session, got more; slow down"
    )


def _not_pcm(kind: str, encoding: messages.Encoding) -> NotPcmError:
    what = "text, such as base64 or JSON" if kind == "text" else f"the bytes of a file ({kind})"
    todo = {
        "WAV": "send its samples without the header, as start announces them",
        "text": "send the bytes themselves in binary messages",
    }.get(kind, "decode it before sending, as emostream client FILE does")
    return NotPcmError(f"expected {encoding} samples, got {what}; {todo}")


def validate_start(start: messages.Start, channels: Channels) -> None:
    """Check the ranges that the types cannot express. channels: which of them are heard. Raises
    BadStartError.
    """
    least, most = messages.SAMPLE_RATES_HZ
    if not least <= start.sample_rate <= most:
        raise BadStartError(
            f"expected start.sample_rate of {least} to {most}, got {start.sample_rate}; resample first"
        )
    least, most = messages.CHANNELS
    if not least <= start.channels <= most:
        raise BadStartError(
            f"expected start.channels of {least} to {most}, got {start.channels}; mix down first"
        )
    try:
        heard_channels(channels, start.channels, "start.channels")
    except SourceError as error:
        raise BadStartError(str(error)) from error
    if channels == "split" and start.channels > 1:
        for field, given in (
            ("start.speaker", start.speaker is not None),
            ("start.options.return_speaker", start.options.return_speaker is True),
        ):
            if given:
                raise BadStartError(
                    f"expected one channel with {field}, got options.channels split; choose the speaker's "
                    "by its number"
                )
    least, most = messages.LANGUAGE_CHARACTERS
    if start.language is not None and not least <= len(start.language) <= most:
        raise BadStartError("expected start.language to be a BCP 47 tag such as en, got another length")
