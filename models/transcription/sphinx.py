"""PocketSphinx behind `Sequence[Clip] -> list[Transcript]`: words without a download.

The wheel carries an American English acoustic model, dictionary and trigram model. It is far less accurate
than Whisper, and speech that it does not understand comes out as other words rather than as none.
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

_MOST_DECODERS: Final = 2
"""So many people may be heard ahead at once; a third one's words are searched for when he has spoken."""


class SphinxTranscriber:
    """Decodes freely with the wheel's language model, from one thread.

    Hears ahead: the search of a clip goes on where that of its beginning stood. The transcript is the same.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        """Load the wheel's model; raises TranscriberError where it is not there. now: seconds."""
        self._now = now
        try:
            self._hearings = [SphinxDecoder(now) for _ in range(_MOST_DECODERS)]
        except (RuntimeError, ValueError) as error:
            raise TranscriberError(
                "expected the en-us model that the pocketsphinx wheel carries, but it cannot be loaded: "
                "reinstall pocketsphinx"
            ) from error
        self._language_said = False

    @property
    def name(self) -> str:
        return "pocketsphinx en-us"

    @property
    def batch_size(self) -> int:
        return 1

    def transcribe(self, clips: Sequence[Clip]) -> list[Transcript]:
        """The words of each clip, in order. Clips of any length, any sample values."""
        return [self._one(clip) for clip in clips]

    def _one(self, clip: Clip) -> Transcript:
        self._mind_language(clip.language)
        samples = sanitize_samples(clip.samples)
        if not is_audible(samples):
            return Transcript("")
        words = self._decode(samples)
        verdict = filter_hypothesis(DecodedText(" ".join(word.text for word in words), words, clip.seconds))
        return Transcript(verdict.text, "en", verdict.words, verdict.rejected)

    def transcribe_partial(self, clip: Clip) -> None:
        """Search ahead in the beginning of a clip that may come to `transcribe` later."""
        samples = sanitize_samples(clip.samples)
        hearing = self._hearing_of(samples) or self._free_hearing()
        if hearing is not None:
            self._work(hearing, hearing.ahead, samples)

    def _decode(self, samples: Samples) -> tuple[Word, ...]:
        hearing = self._hearing_of(samples) or self._free_hearing()
        if hearing is None:
            hearing = min(self._hearings, key=lambda one: one.moment)
        timed = [
            (_VARIANT.sub("", word), start_s, end_s, p)
            for word, start_s, end_s, p in self._work(hearing, hearing.finish, samples)
            if not _FILLER.fullmatch(word)
        ]
        return words_in_clip(timed, len(samples))

    def _hearing_of(self, samples: Samples) -> SphinxDecoder | None:
        return next((one for one in self._hearings if one.follows(samples)), None)

    def _free_hearing(self) -> SphinxDecoder | None:
        return next((one for one in self._hearings if one.free), None)

    def _work(self, hearing: SphinxDecoder, call: Callable[[Samples], T], samples: Samples) -> T:
        """A decoder that stumbles is exchanged."""
        try:
            return call(samples)
        except Exception:
            self._hearings[self._hearings.index(hearing)] = SphinxDecoder(self._now)
            raise

    def _mind_language(self, hint: str | None) -> None:
        if hint is None or hint.lower().startswith("en") or self._language_said:
            return
        self._language_said = True
        logger.warning(
            "expected English for %s, got the language hint %r: its words will be wrong; choose a "
            "multilingual Whisper model or no transcriber",
            self.name,
            hint,
        )
