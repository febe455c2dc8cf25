"""One pass of Whisper over clips that share a window and a limit: encode, write, place the words.

faster-whisper's batched pipeline takes chunks of one recording, always hears them in windows of 30 s and
makes its tokenizer anew for each call. Clips are unrelated and short, so its steps are called one by one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Final

import numpy as np
from faster_whisper import WhisperModel
from faster_whisper.audio import pad_or_trim
from faster_whisper.tokenizer import Tokenizer
from faster_whisper.transcribe import get_suppressed_tokens, merge_punctuations

from ..types import Samples
from .word_times import TimedWord

_OPENING_PUNCTUATION: Final = "\"'“¿([{-"
_CLOSING_PUNCTUATION: Final = "\"'.。,，!！?？:：”)]}、"  # noqa: RUF001 - full-width on purpose

WITHOUT_SPACES: Final = frozenset({"zh", "ja", "th", "lo", "my", "yue"})
"""Languages whose words nothing in the text divides: the tokenizer splits them by character."""

_BEAM: Final = 2
"""Greedy search loses words, more than two find few (docs/adr/0012)."""

_PATIENCE: Final = 1 / _BEAM
"""The search ends with the first text that ends. Were the other beam waited for, it would often run on."""


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """What the model wrote for one clip.

    tokens: of text. whole: whether the model ended the text itself; if not, the tokens are what stood there
    at the limit. avg_logprob: mean natural log-probability per token. no_speech_prob: in [0, 1].
    """

    tokens: tuple[int, ...]
    whole: bool
    avg_logprob: float
    no_speech_prob: float


class WhisperDecoder:
    """The steps of one loaded model, for one thread. Nothing about a clip depends on the clips beside it,
    but for the last digits of its probabilities."""

    def __init__(self, model: WhisperModel) -> None:
        self._model = model
        self._tokenizers: dict[str, Any] = {}

    @property
    def frames_per_second(self) -> int:
        return int(self._model.frames_per_second)

    @property
    def multilingual(self) -> bool:
        return bool(self._model.model.is_multilingual)

    @property
    def languages(self) -> Sequence[str]:
        """Codes that the model knows."""
        return list(self._model.supported_languages)

    def encode(self, sounds: Sequence[Samples], frames: int) -> Any:
        """sounds: B arrays (N,), none longer than the window. -> encoder states (B, frames / 2, D).

        frames: mel frames in the window, at most 3000; the positional table is cut to it.
        """
        features = [self._model.feature_extractor(sound)[..., :-1] for sound in sounds]
        return self._model.encode(np.stack([pad_or_trim(f, frames) for f in features]))  # (B, mels, frames)

    def detect(self, encoded: Any) -> list[str]:
        """The likeliest language of each clip. Only for multilingual models."""
        return [guess[0][0].strip("<|>") for guess in self._model.model.detect_language(encoded)]

    def write(self, encoded: Any, languages: Sequence[str], limit: int) -> list[Hypothesis]:
        """The likeliest text of each clip by beam search.

        languages: of each clip. limit: the most tokens of a text. One step more is taken, so that a text that
        ends just at the limit is seen to end. One limit for all: what a beam holds at its last step depends
        on when that is, and CTranslate2 has one last step for a batch.
        """
        prompts = [self._model.get_prompt(self._tokenizer(code), [], True) for code in languages]
        results = self._model.model.generate(
            encoded,
            prompts,
            beam_size=_BEAM,
            patience=_PATIENCE,
            # CTranslate2 stops at half of max_length. Should that change, a runaway costs more time.
            max_length=min(2 * (limit + 1), self._model.max_length),
            suppress_blank=True,
            suppress_tokens=self._suppressed,
            return_scores=True,
            return_no_speech_prob=True,
        )
        return [self._written(result, limit) for result in results]

    def _written(self, result: Any, limit: int) -> Hypothesis:
        ids = result.sequences_ids[0]
        # The score is the mean over the tokens; its sum is shared with the end token, as in the paper.
        logprob = result.scores[0] * len(ids) / (len(ids) + 1)
        # Time stamps, which a model may write although it was told not to, and what else is no text.
        text = tuple(token for token in ids if token < self._tokenizer("en").eot)
        return Hypothesis(text, len(ids) <= limit, logprob, result.no_speech_prob)

    def text(self, written: Hypothesis) -> str:
        return str(self._tokenizer("en").decode(written.tokens)).strip()

    def cut(self, written: Hypothesis, head: str) -> Hypothesis:
        """Without the tokens behind `head`, the beginning of its text up to the end of a word; or nothing."""
        count = len(written.tokens) if head == self.text(written) else 0
        while head and count < len(written.tokens):
            count += 1
            if len(self.text(replace(written, tokens=written.tokens[:count]))) >= len(head):
                break
        return replace(written, tokens=written.tokens[:count])

    def place(
        self, encoded: Any, written: Sequence[Hypothesis], languages: Sequence[str], frames: Sequence[int]
    ) -> list[list[TimedWord]]:
        """The words of each clip with their times, by the library's alignment over cross attention.

        frames: mel frames of each clip itself, without what pads it to the window.
        """
        placed: list[list[TimedWord]] = [[] for _ in written]
        for code in sorted(set(languages)):
            tokenizer = self._tokenizer(code)
            tokens = [list(w.tokens) if c == code else [] for w, c in zip(written, languages, strict=True)]
            if not any(tokens):
                continue
            alignments = self._model.find_alignment(tokenizer, tokens, encoded, list(frames))
            for i, alignment in enumerate(alignments):
                if languages[i] == code:
                    merge_punctuations(alignment, _OPENING_PUNCTUATION, _CLOSING_PUNCTUATION)
                    placed[i] = [(w["word"], w["start"], w["end"], w["probability"]) for w in alignment]
        return placed

    def _tokenizer(self, language: str) -> Any:
        """The tokenizer that prompts for `language`; kept, because making one takes milliseconds."""
        if language not in self._tokenizers:
            self._tokenizers[language] = Tokenizer(
                self._model.hf_tokenizer, self.multilingual, task="transcribe", language=language
            )
        return self._tokenizers[language]

    @cached_property
    def _suppressed(self) -> list[int]:
        """Tokens never written: symbols that are no speech, and commands to the model itself."""
        return list(get_suppressed_tokens(self._tokenizer("en"), [-1]))
