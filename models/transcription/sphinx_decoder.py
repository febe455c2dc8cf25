"""One incremental PocketSphinx decoder and the audio it has consumed: a cache of work, not of results.

The result depends on the complete clip only. The cepstral mean is that of the clip's beginning, measured
before the search and then fixed; after that the decoder accepts audio in pieces of any size.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import pocketsphinx

from ..types import SAMPLE_RATE_HZ, Samples
from .word_times import TimedWord

_MAX_STATES_PER_FRAME: Final = 3_000
"""Limit of the search. Compared with the library's 30,000: half the time, no more errors on 60 RAVDESS clips
(word error rate 0.34 and 0.36)."""

_SECOND_PASS: Final = {"fwdflatbeam": 1e-48, "fwdflatwbeam": 1e-20}
"""Beams of the second pass over the first one's lattice, the only work left when an utterance ends. Compared
with the library's 1e-64 and 7e-29: two thirds of the time (101 and 148 ms in the median), word error rate of
160 RAVDESS clips 0.355 and 0.361. At 1e-40 it is 0.378, at 1e-36 0.555; without the pass 0.414."""

_MEAN_SAMPLES: Final = SAMPLE_RATE_HZ * 3 // 2
"""The part of a clip from which its cepstral mean is computed. Word error rate of 60 RAVDESS clips (median
2.3 s): 0.42 with the first second, 0.37 with 1.5 s, 0.38 with all of it; 0.50 with the library's running
mean."""

_FRAME_SAMPLES: Final = SAMPLE_RATE_HZ // 100
_ONSET: Final = 10.0
"""The rise in power that marks the end of silence: audio before it is excluded from the mean. Word error
rate of the same clips with a second of silence around them: 0.36; 0.41 with 30, 0.51 without, 0.43 with the
mean over the whole clip."""
_LATE_ONSET: Final = 100.0
"""A rise by this factor ends a long silence even after a span that was long enough for the mean: speech that
has lasted 1.5 s does not become louder by 20 dB."""
_FLOOR: Final = 1e-8
"""-80 dBFS."""

_MAX_ADVANCE_SAMPLES: Final = SAMPLE_RATE_HZ
"""Most audio decoded ahead of time in one call: it bounds how long a final waits for the decoder."""

_STALE_S: Final = 3.0
"""An utterance that has not continued by then is abandoned."""

_FRAMES_A_SECOND: Final = 100
_FULL_SCALE: Final = 32_767
_MEAN_SEARCH: Final = "mean"


class SphinxDecoder:
    """Call it from one thread. Audio is sanitized, mono float32 at 16 kHz. After an exception its state is
    undefined: discard it.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        """Load the wheel's model; raises RuntimeError or ValueError where it is missing. now: seconds."""
        self._now = now
        self._decoder = pocketsphinx.Decoder(loglevel="FATAL", maxhmmpf=_MAX_STATES_PER_FRAME, **_SECOND_PASS)
        self._search = self._decoder.current_search()
        # Features are only available from a search, and this one costs almost nothing.
        self._decoder.add_keyphrase(_MEAN_SEARCH, "hello")
        self._fed: list[Samples] = []
        self._span: slice | None = None
        self._open = False
        self._last_fed = -math.inf

    @property
    def free(self) -> bool:
        """Whether no utterance is being decoded, or only an abandoned one."""
        return not self._open or self._now() - self._last_fed > _STALE_S

    @property
    def last_fed(self) -> float:
        """The time at which it last consumed audio, in seconds."""
        return self._last_fed

    def continues(self, samples: Samples) -> bool:
        """Whether the consumed audio is the beginning of (N,) `samples`, with the same cepstral mean."""
        if not self._open:
            return False
        self._fed = [np.concatenate(self._fed)]
        (fed,) = self._fed
        beginning = len(fed) <= len(samples) and np.array_equal(fed, samples[: len(fed)])
        return beginning and self._span == _mean_span(samples)

    def advance(self, samples: Samples) -> None:
        """Continue the search in (N,) `samples`, the beginning of a clip; no-op where it is too short for a
        mean."""
        if _mean_span(samples) is not None:
            self._feed(samples, _MAX_ADVANCE_SAMPLES)

    def finish(self, samples: Samples) -> list[TimedWord]:
        """The words in the clip, (N,) `samples`: text, start and end in seconds, probability."""
        try:
            self._feed(samples, len(samples))
        finally:
            self._end()
        # Frames are 10 ms, and end_frame is inclusive.
        return [
            (
                segment.word,
                segment.start_frame / _FRAMES_A_SECOND,
                (segment.end_frame + 1) / _FRAMES_A_SECOND,
                segment.prob,
            )
            for segment in self._decoder.seg() or ()
        ]

    def _feed(self, samples: Samples, limit: int) -> None:
        if not self.continues(samples):
            self._begin(samples)
        consumed = sum(map(len, self._fed))
        piece = samples[consumed : consumed + limit].copy()
        if len(piece):
            self._decoder.process_raw(_pcm(piece))
            self._fed.append(piece)
        self._last_fed = self._now()

    def _begin(self, samples: Samples) -> None:
        self._end()
        self._span = _mean_span(samples)
        mean = self._cepstral_mean(samples[self._span or slice(None)])
        # Reset, or the decoder's estimates would carry over from one clip to the next.
        self._decoder.reinit_feat()
        self._decoder.set_cmn(mean)
        self._decoder.start_utt()
        self._fed, self._open = [samples[:0]], True

    def _cepstral_mean(self, samples: Samples) -> Any:
        self._decoder.activate_search(_MEAN_SEARCH)
        self._decoder.reinit_feat()
        self._decoder.start_utt()
        self._decoder.process_raw(_pcm(samples), no_search=True, full_utt=True)
        self._decoder.end_utt()
        mean = self._decoder.get_cmn(False)
        self._decoder.activate_search(self._search)
        return mean

    def _end(self) -> None:
        if self._open:
            self._open = False
            self._decoder.end_utt()


def _mean_span(samples: Samples) -> slice | None:
    """The audio after the last onset, if it is long enough for a mean. The same for a clip as for any
    beginning of it, unless speech starts in between.
    """
    frames = len(samples) // _FRAME_SAMPLES
    framed = samples[: frames * _FRAME_SAMPLES].reshape(frames, _FRAME_SAMPLES)
    start, peak = 0, _FLOOR
    for i, power in enumerate(np.square(framed).mean(1).tolist()):
        enough = (i - start) * _FRAME_SAMPLES >= _MEAN_SAMPLES
        if power > (_LATE_ONSET if enough else _ONSET) * peak:
            start = i
        peak = max(peak, power)
    first = start * _FRAME_SAMPLES
    return slice(first, first + _MEAN_SAMPLES) if first + _MEAN_SAMPLES <= len(samples) else None


def _pcm(samples: Samples) -> bytes:
    return (samples * _FULL_SCALE).astype("<i2").tobytes()
