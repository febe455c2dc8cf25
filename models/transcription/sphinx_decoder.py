"""One PocketSphinx decoder and the sound it has been fed: a cache of work, never of a result.

What comes out depends on the finished clip alone. The cepstral mean is that of the clip's beginning, measured
before the search and then left; from there on the decoder takes sound piece by piece, however it is cut.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final

import numpy as np
import pocketsphinx

from ..types import SAMPLE_RATE_HZ, Samples
from .word_times import TimedWord

_MOST_STATES_A_FRAME: Final = 3_000
"""Cap on the search. Against the library's 30,000: half the time, no more errors on 60 RAVDESS clips (word
error rate 0.34 and 0.36)."""

_SECOND_PASS: Final = {"fwdflatbeam": 1e-48, "fwdflatwbeam": 1e-20}
"""Beams of the pass over what the first one left, which is all that remains when an utterance ends. Against
the library's 1e-64 and 7e-29: two thirds of the time (101 and 148 ms in the median), word error rate of 160
RAVDESS clips 0.355 and 0.361. At 1e-40 it is 0.378, at 1e-36 0.555; without the pass 0.414."""

_MEAN_SAMPLES: Final = SAMPLE_RATE_HZ * 3 // 2
"""So much of a clip makes its cepstral mean. Word error rate of 60 RAVDESS clips (median 2.3 s): 0.42 with
the first second, 0.37 with 1.5 s, 0.38 with all of it; 0.50 with the library's running mean."""

_FRAME_SAMPLES: Final = SAMPLE_RATE_HZ // 100
_ONSET: Final = 10.0
"""By so much the power rises where silence ends: what was heard before is no part of the mean. Word error
rate of the same clips with a second of silence around them: 0.36; 0.41 with 30, 0.51 without, 0.43 with the
mean of all that is heard."""
_LATE_ONSET: Final = 100.0
"""So much more than all before is the end of a long silence even behind a span that was long enough: nobody
who has spoken for 1.5 s grows louder by 20 dB."""
_FLOOR: Final = 1e-8
"""-80 dBFS."""

_AT_ONCE_SAMPLES: Final = SAMPLE_RATE_HZ
"""Heard ahead in one call, at most: a final that waits for the decoder waits no longer than this takes."""

_STALE_S: Final = 3.0
"""Whoever has not gone on by then has been cut off."""

_FRAMES_A_SECOND: Final = 100
_FULL_SCALE: Final = 32_767
_MEAN_SEARCH: Final = "mean"


class SphinxDecoder:
    """Called from one thread. Sound is bounded, mono float32 at 16 kHz. Once it has raised, nobody knows what
    the decoder holds: it is not to be used again.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        """Load the wheel's model; raises RuntimeError or ValueError where it is not there. now: seconds."""
        self._now = now
        self._decoder = pocketsphinx.Decoder(loglevel="FATAL", maxhmmpf=_MOST_STATES_A_FRAME, **_SECOND_PASS)
        self._search = self._decoder.current_search()
        # Features are to be had of a search only, and this one costs next to nothing.
        self._decoder.add_keyphrase(_MEAN_SEARCH, "hello")
        self._fed: list[Samples] = []
        self._span: slice | None = None
        self._open = False
        self._moment = -math.inf

    @property
    def free(self) -> bool:
        """Nobody's words are under way here."""
        return not self._open or self._now() - self._moment > _STALE_S

    @property
    def moment(self) -> float:
        """When it was last fed."""
        return self._moment

    def follows(self, samples: Samples) -> bool:
        """Whether what it was fed is the beginning of (N,) `samples`, less the same mean."""
        if not self._open:
            return False
        self._fed = [np.concatenate(self._fed)]
        (fed,) = self._fed
        beginning = len(fed) <= len(samples) and np.array_equal(fed, samples[: len(fed)])
        return beginning and self._span == _mean_span(samples)

    def ahead(self, samples: Samples) -> None:
        """Search on in (N,) `samples`, the beginning of a clip. Too little sound for a mean is left alone."""
        if _mean_span(samples) is not None:
            self._feed(samples, _AT_ONCE_SAMPLES)

    def finish(self, samples: Samples) -> list[TimedWord]:
        """What is said in the clip, (N,) `samples`: words, start and end in seconds, probability."""
        try:
            self._feed(samples, len(samples))
        finally:
            self._end()
        # Its frame numbers are 10 ms, the last one included in the word.
        return [
            (
                segment.word,
                segment.start_frame / _FRAMES_A_SECOND,
                (segment.end_frame + 1) / _FRAMES_A_SECOND,
                segment.prob,
            )
            for segment in self._decoder.seg() or ()
        ]

    def _feed(self, samples: Samples, most: int) -> None:
        if not self.follows(samples):
            self._begin(samples)
        done = sum(map(len, self._fed))
        piece = samples[done : done + most].copy()
        if len(piece):
            self._decoder.process_raw(_pcm(piece))
            self._fed.append(piece)
        self._moment = self._now()

    def _begin(self, samples: Samples) -> None:
        self._end()
        self._span = _mean_span(samples)
        mean = self._mean(samples[self._span or slice(None)])
        # Set up anew, or the decoder's estimates would carry from one clip into the next.
        self._decoder.reinit_feat()
        self._decoder.set_cmn(mean)
        self._decoder.start_utt()
        self._fed, self._open = [samples[:0]], True

    def _mean(self, samples: Samples) -> Any:
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
    """The sound behind the last onset, if there is enough of it for a mean. The same for a clip as for any
    beginning of it, unless somebody begins to speak in between.
    """
    frames = len(samples) // _FRAME_SAMPLES
    whole = samples[: frames * _FRAME_SAMPLES].reshape(frames, _FRAME_SAMPLES)
    start, peak = 0, _FLOOR
    for i, power in enumerate(np.square(whole).mean(1).tolist()):
        enough = (i - start) * _FRAME_SAMPLES >= _MEAN_SAMPLES
        if power > (_LATE_ONSET if enough else _ONSET) * peak:
            start = i
        peak = max(peak, power)
    first = start * _FRAME_SAMPLES
    return slice(first, first + _MEAN_SAMPLES) if first + _MEAN_SAMPLES <= len(samples) else None


def _pcm(samples: Samples) -> bytes:
    return (samples * _FULL_SCALE).astype("<i2").tobytes()
