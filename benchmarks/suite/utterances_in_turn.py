"""An utterance again and again in one stream, sent at once, each when the one before has its result."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Final

import numpy as np

from emostream.streamer.audio.frontend import Samples, encode_pcm
from emostream.streamer.client import ClientStream, Retry, connect
from emostream.streamer.config import SAMPLE_RATE_HZ
from emostream.streamer.errors import ConnectError
from emostream.streamer.protocol import messages

_PAUSE_S: Final = 1.0
_GIVE_UP_S: Final = 60.0


async def delays(url: str, clip: Samples, count: int) -> list[float]:
    """Seconds from the sending of each utterance, its pause included, to its final; the first is sent as soon
    as the server is ready. clip: (N,) at 16 kHz. Raises ConnectError, TimeoutError.
    """
    pause = np.zeros(round(_PAUSE_S * SAMPLE_RATE_HZ), np.float32)
    block = encode_pcm(np.concatenate([clip, pause])[:, np.newaxis], "pcm_s16le")
    start = messages.Start(encoding="pcm_s16le", sample_rate=SAMPLE_RATE_HZ, channels=1)
    found: list[float] = []
    async with asyncio.timeout(_GIVE_UP_S), connect(url, start, retry=Retry(attempts=0)) as stream:
        finals = _finals(stream)
        for _ in range(count):
            began = time.perf_counter()
            await stream.send(block)
            if await anext(finals, None) is None:
                raise ConnectError("expected a result of each utterance, the stream ended before")
            found.append(time.perf_counter() - began)
    return found


async def _finals(stream: ClientStream) -> AsyncIterator[messages.Emotion]:
    async for event in stream:
        if isinstance(event, messages.Emotion) and event.final:
            yield event
        elif isinstance(event, messages.NoEmotion):
            raise ConnectError(f"expected an emotion of the utterance, got none ({event.reason})")
