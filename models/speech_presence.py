"""Whether a clip holds speech at all: the question before that for the emotion.

The detector that cuts utterances asks every 20 ms whether something is loud and voiced enough; this one looks
at the finished utterance. Figures, and why not Silero's detector in the first place:
docs/adr/0014-webrtc-vad-at-level-2.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from . import silero
from .spectral_change import spectral_change
from .types import SAMPLE_RATE_HZ, Clip, Samples, SpeechPresence

# Windows of 32 ms. A short word has to fill the first; what fills the second is speech without doubt.
_SHORT: Final = 12
_LONG: Final = 24
_DOUBTFUL_BELOW: Final = 0.6

# Silero takes high voices that shout for noise. Played at 0.64 of their speed they are recognized; so is more
# noise, hence the margin.
_SLOW: Final = 0.64
_SLOW_MARGIN: Final = 0.1

# Where there is doubt, a sound whose spectrum hardly changes is a tone, a hum or a note.
_STEADY: Final = 0.42

# Levels relative to the clip's peak. In speech the median is 0.006 to 0.16: most of a waveform is far below
# its peaks. Bytes that were misread are spread evenly, or are either zero or full scale.
_DENSE: Final = 0.3
_ZERO: Final = 0.001
_FULL: Final = 0.95
_ROUGH: Final = 0.4


class SileroSpeechDetector:
    """Silero's mean probability in the stretch of the clip that sounds most like speech.

    threshold: below it there is no speech.
    """

    def __init__(self, threshold: float = 0.5) -> None:
        """Raises VoiceActivityError where Silero's file is missing."""
        silero.silero_session()
        self._threshold = threshold

    def detect(self, clips: Sequence[Clip]) -> list[SpeechPresence]:
        return [self._presence(clip.samples) for clip in clips]

    def _presence(self, samples: Samples) -> SpeechPresence:
        probabilities = silero.speech_probabilities(samples)
        short, long = highest_mean(probabilities, _SHORT), highest_mean(probabilities, _LONG)
        if short < self._threshold or long < _DOUBTFUL_BELOW:
            slow = silero.speech_probabilities(_slowed(samples))
            short = max(short, highest_mean(slow, round(_SHORT / _SLOW)) - _SLOW_MARGIN)
            long = max(long, highest_mean(slow, round(_LONG / _SLOW)) - _SLOW_MARGIN)
        is_speech = short >= self._threshold
        if has_implausible_levels(samples) and (is_speech or _roughness(samples) >= _ROUGH):
            return SpeechPresence(short, "misread_samples")
        doubtful = long < _DOUBTFUL_BELOW
        if not is_speech or (doubtful and spectral_change(samples) < _STEADY):
            return SpeechPresence(short, "no_speech")
        return SpeechPresence(short, doubtful=doubtful)


def highest_mean(values: npt.NDArray[np.float32], length: int) -> float:
    """The highest mean over `length` consecutive values; 0 stands for those that a shorter array lacks."""
    padded = np.concatenate([values, np.zeros(max(0, length - len(values)), np.float32)])
    sums = np.cumsum(np.concatenate([[0.0], padded.astype(np.float64)]))
    return float((sums[length:] - sums[:-length]).max() / length)


def has_implausible_levels(samples: Samples) -> bool:
    """Whether the samples are spread over the scale as those of no recording of speech are, because their
    bytes were swapped, shifted, companded or of another type.
    """
    if not len(samples):
        return False
    levels = np.abs(samples)
    median, high, peak = np.quantile(levels, (0.5, 0.97, 0.999))
    if peak <= 0.0:
        return False
    return bool(median >= _DENSE * peak or (median < _ZERO * peak and high > _FULL * peak))


def _roughness(samples: Samples) -> float:
    """1 - r, r being the correlation of successive samples: 1 for white noise, 0.01 to 0.4 for speech."""
    energy = float(np.dot(samples, samples))
    steps = np.diff(samples)
    return float(np.dot(steps, steps)) / (2 * energy) if energy else 0.0


def _slowed(samples: Samples) -> Samples:
    """As if played at 0.64 of the speed: longer and lower."""
    import soxr

    slowed: Any = soxr.resample(samples, SAMPLE_RATE_HZ, SAMPLE_RATE_HZ / _SLOW)
    return np.asarray(slowed, dtype=np.float32)
