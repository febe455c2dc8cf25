"""Speech codecs: audio encoded and decoded again in memory.

Each passes through its usual container, because that is where the delay of a codec is recorded and
removed again. Deterministic for one build of FFmpeg, apart from the choice of codec and bit rate.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from typing import Any, Final

import av
import av.codec.codec
import numpy as np
import soxr

from emostream.models import SAMPLE_RATE_HZ, Samples

_MIN_SAMPLES: Final = SAMPLE_RATE_HZ // 10
"""Some encoders need more than one frame of audio; a shorter clip is padded with zeros."""

_HEADROOM: Final = 0.98
"""A codec overshoots: what would exceed full scale is attenuated before it and amplified after it."""


@dataclass(frozen=True, slots=True)
class Codec:
    """encoder: FFmpeg's name. sample_format: of its input. kbits: lowest and highest bit rate."""

    name: str
    encoder: str
    sample_format: str
    container: str
    rate_hz: int
    kbits: tuple[float, float]


OPUS: Final = Codec("Opus", "libopus", "flt", "ogg", 16_000, (8.0, 24.0))
MULAW: Final = Codec("G.711 mu-law", "pcm_mulaw", "s16", "wav", 8_000, (64.0, 64.0))
MP3: Final = Codec("MP3", "libmp3lame", "fltp", "mp3", 16_000, (16.0, 48.0))


@lru_cache(maxsize=1)
def codecs() -> tuple[Codec, ...]:
    """The codecs that the installed FFmpeg has an encoder for."""
    return tuple(codec for codec in (OPUS, MULAW, MP3) if _has_encoder(codec))


def through_codec(samples: Samples, codec: Codec, kbits: float) -> Samples:
    """(N,) -> (N,): encoded at `kbits` kbit/s and decoded, aligned with the input to some samples."""
    level = max(1.0, float(np.abs(samples).max(initial=0.0)) / _HEADROOM)
    clip = np.pad(samples / level, (0, max(0, _MIN_SAMPLES - len(samples))))
    coded = _encode(soxr.resample(clip.astype(np.float32), SAMPLE_RATE_HZ, codec.rate_hz), codec, kbits)
    decoded, rate_hz = _decode(coded)
    output = level * soxr.resample(decoded, rate_hz, SAMPLE_RATE_HZ)[: len(samples)]
    return np.pad(output, (0, len(samples) - len(output))).astype(np.float32)


def random_codec(samples: Samples, rng: np.random.Generator) -> Samples:
    """A random codec at a random bit rate of its range."""
    choice = codecs()[int(rng.integers(len(codecs())))]
    return through_codec(samples, choice, rng.uniform(*choice.kbits))


def _has_encoder(codec: Codec) -> bool:
    try:
        av.codec.codec.Codec(codec.encoder, "w")
    except av.codec.codec.UnknownCodecError:
        return False
    return True


def _encode(samples: Samples, codec: Codec, kbits: float) -> BytesIO:
    pcm = np.rint(32_767 * samples.clip(-1, 1)).astype(np.int16) if codec.sample_format == "s16" else samples
    frame = av.AudioFrame.from_ndarray(pcm[None], format=codec.sample_format, layout="mono")
    frame.sample_rate = codec.rate_hz
    coded = BytesIO()
    with av.open(coded, "w", format=codec.container) as container:
        stream: Any = container.add_stream(codec.encoder, rate=codec.rate_hz)
        stream.layout, stream.format, stream.bit_rate = "mono", codec.sample_format, round(1000 * kbits)
        for piece in (frame, None):  # None: flush the encoder
            container.mux(stream.encode(piece))
    coded.seek(0)
    return coded


def _decode(coded: BytesIO) -> tuple[Samples, int]:
    with av.open(coded, "r") as container:
        stream = container.streams.audio[0]
        to_float = av.AudioResampler("fltp", "mono", stream.rate)
        blocks = [p.to_ndarray()[0] for frame in container.decode(stream) for p in to_float.resample(frame)]
        samples: Samples = np.concatenate(blocks)
        return samples, int(stream.rate)
