"""Simulated speakers: pitch and formants shifted together, the tempo nearly kept.

A corpus of acted speech has few speakers, and a head learns their voices along with their emotions. Playing
a clip faster or slower shifts formants and pitch (vocal tract length perturbation, Jaitly and Hinton 2013, in
the time domain); FFmpeg's `atempo` (waveform similarity, WSOLA) then restores the tempo, which carries
emotion itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import av
import av.filter
import numpy as np

from emostream.models import SAMPLE_RATE_HZ, Samples

from .waveform import resample_speed

_MAX_LOG_PITCH: Final = 0.4
"""Natural logarithm: from a third lower to a half higher, the difference of men's and women's voices."""
_MAX_LOG_TEMPO: Final = 0.1
SLOWEST_TEMPO: Final = float(np.exp(-_MAX_LOG_TEMPO))
_PADDING_SAMPLES: Final = SAMPLE_RATE_HZ // 10
"""More than `atempo` buffers: for a shorter clip it would output nothing."""


def random_pitch_and_tempo(samples: Samples, rng: np.random.Generator) -> tuple[Samples, float]:
    """Pitch and formants shifted by 0.67 to 1.49, tempo by up to 10 %; and the factor of the tempo."""
    voice = np.exp(rng.uniform(-_MAX_LOG_PITCH, _MAX_LOG_PITCH))
    tempo = np.exp(rng.uniform(-_MAX_LOG_TEMPO, _MAX_LOG_TEMPO))
    return shift_pitch_and_tempo(samples, float(voice), float(tempo)), float(tempo)


def shift_pitch_and_tempo(samples: Samples, voice: float, tempo: float) -> Samples:
    """(N,) -> (N / tempo,): pitch and formants `voice` times as high, `tempo` times as fast."""
    length = round(len(samples) / tempo)
    shifted = _change_tempo(np.pad(resample_speed(samples, voice), (0, _PADDING_SAMPLES)), tempo / voice)[
        :length
    ]
    return np.pad(shifted, (0, length - len(shifted)))


def _change_tempo(samples: Samples, factor: float) -> Samples:
    """(N,) -> about (N / factor,), pitch and formants kept."""
    graph = av.filter.Graph()
    source = graph.add_abuffer(sample_rate=SAMPLE_RATE_HZ, format="flt", layout="mono")
    sink = graph.add("abuffersink")
    graph.link_nodes(source, graph.add("atempo", f"{factor:.6f}"), sink).configure()
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples[None]), format="flt", layout="mono")
    frame.sample_rate = SAMPLE_RATE_HZ
    source.push(frame)
    source.push(None)
    return np.concatenate([block.to_ndarray()[0] for block in _output_frames(sink)])


def _output_frames(sink: av.filter.FilterContext) -> Iterator[av.AudioFrame]:
    while True:
        try:
            block = sink.pull()
        except av.EOFError:
            return
        assert isinstance(block, av.AudioFrame)
        yield block
