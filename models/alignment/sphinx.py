"""PocketSphinx's forced alignment: where in the sound the phones of known words lie.

Two passes, as its binding wants them: the words first, by a search that may choose among a word's
pronunciations and put silence between words, then the phones of the path that was found.
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
_SHORTEST_PHONE_FRAMES: Final = 3
"""A phone is a chain of three states, and no state can be left out."""

# The search needs somewhere to put silence: an utterance cut at its first sound is aligned wrongly there.
_MARGIN_FRAMES: Final = 25
_MARGIN_LEVEL: Final = 1e-4
_MARGIN_SEED: Final = 0

_FILLER: Final = "SIL"


class SphinxAligner:
    """One clip at a time, from one thread. What it finds in one clip does not depend on the clips before."""

    def __init__(self) -> None:
        """Load the wheel's model; raises TranscriberError where it is not there."""
        try:
            # Beams wide enough to keep the one path that there is; bestpath would search it again.
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

    def place(self, samples: Samples, tokens: Sequence[Token]) -> list[list[Span]] | None:
        """The phones of each token in the bounded, audible samples (N,); None where they do not fit.

        An alignment is found for whatever is said to have been said: text that is wrong gets places too.
        """
        phones = sum(len(token.phones) for token in tokens)
        if not phones or phones * _SHORTEST_PHONE_FRAMES > len(samples) // _FRAME_SAMPLES:
            return None
        pcm = self._pcm(samples)
        self._decoder.reinit_feat()  # its running estimates would carry from one clip into the next
        try:
            self._decoder.set_align_text(" ".join(token.name for token in tokens))
            self._decode(pcm)
            self._decoder.set_alignment()
            self._decode(pcm)
        except RuntimeError:
            return None  # its way to say that no path through these words ends where the sound ends
        # Words and phones are views into the alignment and crash when they outlive it, so it keeps a name.
        alignment = self._decoder.get_alignment()
        placed = [spans for word in alignment.words() if (spans := _spoken_spans(word, len(samples)))]
        return placed if len(placed) == len(tokens) else None

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
    """The phones of one aligned word inside [0, samples]; none for silence and noises."""
    spans = []
    for phone in word:
        if phone.name == _FILLER or not phone.name.isalpha():
            return []
        start = _sample(phone.start, samples)
        spans.append(Span(phone.name, start, _sample(phone.start + phone.duration, samples)))
    return spans


def _sample(frame: int, samples: int) -> int:
    return min(max((frame - _MARGIN_FRAMES) * _FRAME_SAMPLES, 0), samples)
