"""PocketSphinx's forced alignment: the time spans of the phones of known words.

Two passes, as its binding requires: first the words, by a search that may choose among a word's
pronunciations and insert silence between words, then the phones of the path that was found.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import pocketsphinx

from ..errors import TranscriberError
from ..types import SAMPLE_RATE_HZ, Samples, Span
from .pronunciation import Lexicon, Token

_FRAME_SAMPLES: Final = SAMPLE_RATE_HZ // 100
_FULL_SCALE: Final = 32_767
_MIN_PHONE_FRAMES: Final = 3
"""A phone is an HMM of three states, none of which can be skipped."""

# Noise around the clip gives the search a place for silence: an utterance cut at its first sound is aligned
# wrongly there.
_MARGIN_FRAMES: Final = 25
_MARGIN_LEVEL: Final = 1e-4
_MARGIN_SEED: Final = 0

_FILLER: Final = "SIL"


class SphinxAligner:
    """Aligns one clip at a time, from one thread. The result does not depend on earlier clips."""

    def __init__(self) -> None:
        """Load the wheel's model; raises TranscriberError where it is missing."""
        try:
            # Beams wide enough to keep the only path; bestpath would search it again.
            self._decoder = pocketsphinx.Decoder(
                lm=None, bestpath=False, beam=1e-80, pbeam=1e-80, wbeam=1e-60, loglevel="FATAL"
            )
        except (RuntimeError, ValueError) as error:
            raise TranscriberError(
                "expected the en-us model that the pocketsphinx wheel carries, but it cannot be loaded: "
                "reinstall pocketsphinx"
            ) from error
        self.lexicon = Lexicon(self._decoder)
        level = np.random.default_rng(_MARGIN_SEED).normal(
            0.0, _MARGIN_LEVEL, _MARGIN_FRAMES * _FRAME_SAMPLES
        )
        self._margin = level.astype(np.float32)

    def align(self, samples: Samples, tokens: Sequence[Token]) -> list[list[Span]] | None:
        """The phones of each token in sanitized, audible samples (N,); None where they do not fit.

        Any text is aligned, also one that does not match the audio.
        """
        phones = sum(len(token.phones) for token in tokens)
        if not phones or phones * _MIN_PHONE_FRAMES > len(samples) // _FRAME_SAMPLES:
            return None
        pcm = self._pcm(samples)
        self._decoder.reinit_feat()  # its running estimates would carry over from one clip to the next
        try:
            self._decoder.set_align_text(" ".join(token.name for token in tokens))
            self._decode(pcm)
            self._decoder.set_alignment()
            self._decode(pcm)
        except RuntimeError:
            return None  # how it reports that no path through these words ends at the end of the audio
        # Words and phones are views into the alignment and crash when they outlive it: keep a reference.
        alignment = self._decoder.get_alignment()
        phone_spans = [spans for word in alignment.words() if (spans := _spoken_spans(word, len(samples)))]
        return phone_spans if len(phone_spans) == len(tokens) else None

    def _pcm(self, samples: Samples) -> bytes:
        padded = np.concatenate([self._margin, samples, self._margin])
        return bytes((padded * _FULL_SCALE).astype("<i2").tobytes())

    def _decode(self, pcm: bytes) -> None:
        self._decoder.start_utt()
        try:
            self._decoder.process_raw(pcm, full_utt=True)
        finally:
            self._decoder.end_utt()


def _spoken_spans(word: Any, samples: int) -> list[Span]:
    """The phones of one aligned word, clamped to [0, samples]; none for silence and noise."""
    spans = []
    for phone in word:
        if phone.name == _FILLER or not phone.name.isalpha():
            return []
        start = _to_sample(phone.start, samples)
        spans.append(Span(phone.name, start, _to_sample(phone.start + phone.duration, samples)))
    return spans


def _to_sample(frame: int, samples: int) -> int:
    return min(max((frame - _MARGIN_FRAMES) * _FRAME_SAMPLES, 0), samples)
