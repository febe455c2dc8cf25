"""Another speaker's voice: pitch and formants moved together, the tempo nearly kept.

A handful of speakers is what a corpus of acted speech has, and a head learns their voices along with their
feelings. Playing a clip faster or slower moves vocal tract and vocal cords (vocal tract length perturbation,
Jaitly and Hinton 2013, in the time domain); FFmpeg's `atempo` (waveform similarity, WSOLA) then gives the
old tempo back, which tells of feeling itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import av
import av.filter
import numpy as np

from emostream.models import SAMPLE_RATE_HZ, Samples

from .waveform import resample_speed

_VOICE: Final = 0.4
"""Natural logarithm: from a third lower to a half higher, what lies between men's and women's voices."""
_TEMPO: Final = 0.1
_WINDOW: Final = SAMPLE_RATE_HZ // 10
"""More than `atempo` holds back: of a shorter clip it would give nothing."""


def random_pitch_and_tempo(samples: Samples, rng: np.random.Generator) -> tuple[Samples, float]:
    """Pitch and formants from 0.67 to 1.49 of what they were, tempo by up to 10 %; and the tempo's factor."""
    voice, tempo = np.exp([rng.uniform(-_VOICE, _VOICE), rng.uniform(-_TEMPO, _TEMPO)])
    return shift_pitch_and_tempo(samples, float(voice), float(tempo)), float(tempo)


def shift_pitch_and_tempo(samples: Samples, voice: float, tempo: float) -> Samples:
    """(N,) -> (N / tempo,): pitch and formants `voice` times as high, `tempo` times as fast."""
    wanted = round(len(samples) / tempo)
    moved = _at_tempo(np.pad(resample_speed(samples, voice), (0, _WINDOW)), tempo / voice)[:wanted]
    return np.pad(moved, (0, wanted - len(moved)))


def _at_tempo(samples: Samples, factor: float) -> Samples:
    """(N,) -> about (N / factor,), pitch and formants kept."""
    graph = av.filter.Graph()
    source = graph.add_abuffer(sample_rate=SAMPLE_RATE_HZ, format="flt", layout="mono")
    sink = graph.add("abuffersink")
    graph.link_nodes(source, graph.add("atempo", f"{factor:.6f}"), sink).configure()
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples[None]), format="flt", layout="mono")
    frame.sample_rate = SAMPLE_RATE_HZ
    source.push(frame)
    source.push(None)
    return np.concatenate([block.to_ndarray()[0] for block in _pulled(sink)])


def _pulled(sink: av.filter.FilterContext) -> Iterator[av.AudioFrame]:
    while True:
        try:
            block = sink.pull()
        except av.EOFError:
            return
        assert isinstance(block, av.AudioFrame)
        yield block
