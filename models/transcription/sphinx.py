"""PocketSphinx as a `types.Transcriber`: speech recognition without a download.

The wheel contains an American English acoustic model, dictionary and trigram model. It is far less accurate
than Whisper, and unintelligible speech becomes wrong words rather than none.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from ..audio_checks import is_audible, sanitize_samples
from ..errors import TranscriberError
from ..types import Clip, Samples, Transcript, Word
from .hallucination import DecodedText, filter_hypothesis
from .sphinx_decoder import SphinxDecoder
from .word_times import words_in_clip

logger = logging.getLogger("emostream")

T = TypeVar("T")

_FILLER: Final = re.compile(r"<.*>|\[.*\]|\+\+.*\+\+")
_VARIANT: Final = re.compile(r"\(\d+\)$")

_MAX_DECODERS: Final = 2
"""Utterances that can be decoded ahead of time at once; further ones are decoded when they have ended."""


class SphinxTranscriber:
    """Decodes with the wheel's language model, from one thread.

    Incremental: the search for a clip continues from that for its beginning. The transcript is the same.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        """Load the wheel's model; raises TranscriberError where it is missing. now: seconds."""
        self._now = now
        try:
            self._decoders = [SphinxDecoder(now) for _ in range(_MAX_DECODERS)]
        except (RuntimeError, ValueError) as error:
            raise TranscriberError(
                "expected the en-us model that the pocketsphinx wheel carries, but it cannot be loaded: "
                "reinstall pocketsphinx"
            ) from error
        self._warned_about_language = False

    @property
    def name(self) -> str:
        return "pocketsphinx en-us"

    @property
    def languages(self) -> Sequence[str]:
        return ("en",)

    @property
    def batch_size(self) -> int:
        return 1

    def transcribe(self, clips: Sequence[Clip]) -> list[Transcript]:
        """The words of each clip, in order. Clips of any length, any sample values."""
        return [self._transcribe_clip(clip) for clip in clips]

    def _transcribe_clip(self, clip: Clip) -> Transcript:
        self._warn_about_language(clip.language)
        samples = sanitize_samples(clip.samples)
        if not is_audible(samples):
            return Transcript("")
        words = self._decode(samples)
        filtered = filter_hypothesis(DecodedText(" ".join(word.text for word in words), words, clip.seconds))
        return Transcript(filtered.text, "en", filtered.words, filtered.rejected)

    def transcribe_partial(self, clip: Clip) -> None:
        """Decode the beginning of a clip that may be passed to `transcribe` later."""
        samples = sanitize_samples(clip.samples)
        decoder = self._decoder_of(samples) or self._free_decoder()
        if decoder is not None:
            self._run(decoder, decoder.advance, samples)

    def _decode(self, samples: Samples) -> tuple[Word, ...]:
        decoder = self._decoder_of(samples) or self._free_decoder()
        if decoder is None:
            decoder = min(self._decoders, key=lambda candidate: candidate.last_fed)
        timed = [
            (_VARIANT.sub("", word), start_s, end_s, p)
            for word, start_s, end_s, p in self._run(decoder, decoder.finish, samples)
            if not _FILLER.fullmatch(word)
        ]
        return words_in_clip(timed, len(samples))

    def _decoder_of(self, samples: Samples) -> SphinxDecoder | None:
        return next((decoder for decoder in self._decoders if decoder.continues(samples)), None)

    def _free_decoder(self) -> SphinxDecoder | None:
        return next((decoder for decoder in self._decoders if decoder.free), None)

    def _run(self, decoder: SphinxDecoder, call: Callable[[Samples], T], samples: Samples) -> T:
        """Call a decoder, which is replaced if it fails."""
        try:
            return call(samples)
        except Exception:
            self._decoders[self._decoders.index(decoder)] = SphinxDecoder(self._now)
            raise

    def _warn_about_language(self, hint: str | None) -> None:
        if hint is None or hint.lower().startswith("en") or self._warned_about_language:
            return
        self._warned_about_language = True
        logger.warning(
            "expected English for %s, got the language hint %r: its words will be wrong; choose a "
            "multilingual Whisper model or no transcriber",
            self.name,
            hint,
        )
