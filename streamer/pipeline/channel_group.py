"""The channels of a stream that are heard, fed together: blocks of the source -> utterances of each."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final

from ..audio.channels import ChannelFrontends
from ..audio.frontend import Samples
from ..clock import Clock
from ..config import FRAME_SAMPLES, SAMPLE_RATE_HZ, SegmenterSettings
from .channel import Channel
from .segmenter import SpeechStarted, Utterance, frame_energies

_YIELD_FRAMES: Final = 25  # 0.3 ms of work: what other tasks of the loop wait for at most
_WAITED_S: Final = 0.001  # a source that took so long for its next block has let other tasks run

Handle = Callable[[Channel, list[SpeechStarted | Utterance]], Coroutine[Any, Any, None]]
"""Takes what a frame of a channel starts or ends. May wait."""


class ChannelGroup:
    """frontends: of the channels, in their order."""

    def __init__(
        self,
        channels: Sequence[Channel],
        frontends: ChannelFrontends,
        settings: SegmenterSettings,
        clock: Clock,
        handle: Handle,
    ) -> None:
        self._channels = channels
        self._frontends = frontends
        self._clock = clock
        self._handle = handle
        longest_ms = settings.min_silence_ms + settings.start_window_ms
        self._longest_silence = longest_ms * SAMPLE_RATE_HZ // 1_000

        # So that no stream keeps the loop from the others.
        self._frames_since_yield = 0
        self._fed_at = 0.0

    async def push(self, block: Samples) -> None:
        """block: (n, channels) at the source's rate."""
        await self._feed(self._frontends.push(block))

    async def gap(self, ms: int) -> None:
        """A short gap is silence like any other; a long one ends the utterance, and then the clock jumps."""
        samples = ms * SAMPLE_RATE_HZ // 1_000
        silence = min(samples, self._longest_silence)
        await self._feed(self._frontends.drain())
        await self._feed(self._frontends.silence(silence), gap=True)
        skipped = (samples - silence) // FRAME_SAMPLES
        if skipped:
            await self._flush()
            for channel in self._channels:
                channel.skip(skipped)
        await self._feed(self._frontends.silence(samples - silence - skipped * FRAME_SAMPLES), gap=True)

    async def flush(self) -> None:
        """End the utterances in progress here."""
        await self._feed(self._frontends.drain())
        await self._flush()

    async def finish(self) -> None:
        """No audio follows."""
        await self._feed(self._frontends.finish())
        for channel in self._channels:
            await self._handle(channel, channel.end_of_stream())

    def cancel(self) -> None:
        """Nothing is wanted any more."""
        for channel in self._channels:
            channel.cancel()

    async def _flush(self) -> None:
        for channel in self._channels:
            await self._handle(channel, channel.flush())

    async def _feed(self, frames: list[Samples], *, gap: bool = False) -> None:
        """frames: (n, 320) of each channel; gap: whether they stand for audio that there is not.

        Frame by frame through all channels, so that the order of events does not depend on the length of the
        blocks.
        """
        if not len(frames[0]):
            return
        now = self._clock.now()
        if now - self._fed_at > _WAITED_S:
            self._frames_since_yield = 0
        for channel, of_channel in zip(self._channels, frames, strict=True):
            channel.frames_arrived(len(of_channel), now)
        size = -(-_YIELD_FRAMES // len(frames))  # no message, however long, blocks the loop
        for first in range(0, len(frames[0]), size):
            pieces = [of_channel[first : first + size] for of_channel in frames]
            flags = self._speech_flags(pieces, gap)
            if all(channel.idle for channel in self._channels) and not any(map(any, flags)):
                await self._pass_silence(pieces)
            else:
                await self._pass_frames(pieces, flags)
        self._fed_at = self._clock.now()

    def _speech_flags(self, pieces: list[Samples], gap: bool) -> list[list[bool]]:
        """A gap is no speech, and no background either: a VAD that learned its silence would take the noise
        behind it for a voice.
        """
        return [
            [False] * len(piece) if gap else channel.speech_flags(piece)
            for channel, piece in zip(self._channels, pieces, strict=True)
        ]

    async def _pass_silence(self, pieces: list[Samples]) -> None:
        """Nothing begins or ends in it."""
        for channel, piece in zip(self._channels, pieces, strict=True):
            channel.push_silence(piece)
            channel.work_ahead()
        await self._let_others_run(len(pieces) * len(pieces[0]))

    async def _pass_frames(self, pieces: list[Samples], flags: list[list[bool]]) -> None:
        of_channels = [
            zip(piece, of_piece, frame_energies(piece), strict=True)
            for piece, of_piece in zip(pieces, flags, strict=True)
        ]
        for of_frame in zip(*of_channels, strict=True):
            for channel, frame in zip(self._channels, of_frame, strict=True):
                outcomes = channel.push(*frame)
                if outcomes:
                    await self._handle(channel, outcomes)
                channel.work_ahead()
                await self._let_others_run(1)

    async def _let_others_run(self, frames: int) -> None:
        """frames: so many have been worked on since the last call."""
        if self._frames_since_yield >= _YIELD_FRAMES:
            self._frames_since_yield = 0
            await asyncio.sleep(0)
        self._frames_since_yield += frames
