"""Batched Whisper decoding of clips that share a window and a token limit: encode, decode, align words.

faster-whisper's batched pipeline takes chunks of one recording, always pads them to windows of 30 s and
creates its tokenizer for each call. Clips are unrelated and short, so its steps are called individually.
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
"""Languages written without spaces between words: the tokenizer splits them by character."""


_BEAM: Final = 2
"""Greedy search misses words, more than two beams find few more (docs/adr/0012)."""

_PATIENCE: Final = 1 / _BEAM
"""The search stops when the first beam ends; the other one would often run on."""


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """The model's output for one clip.

    tokens: of text. complete: whether the model ended the text itself; if not, the tokens were truncated at
    the limit. avg_logprob: mean natural log-probability per token. no_speech_prob: in [0, 1].
    """

    tokens: tuple[int, ...]
    complete: bool
    avg_logprob: float
    no_speech_prob: float


class WhisperDecoder:
    """The decoding steps of one loaded model, for one thread. A clip's result does not depend on its batch,
    except for the last digits of its probabilities."""

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
        """Codes of the languages that the model supports."""
        return list(self._model.supported_languages)

    def encode(self, waveforms: Sequence[Samples], frames: int) -> Any:
        """waveforms: B arrays (N,), none longer than the window. -> encoder states (B, frames / 2, D).

        frames: mel frames in the window, at most 3000; the position embeddings are truncated to it.
        """
        features = [self._model.feature_extractor(waveform)[..., :-1] for waveform in waveforms]
        return self._model.encode(np.stack([pad_or_trim(f, frames) for f in features]))  # (B, mels, frames)

    def detect_languages(self, encoded: Any) -> list[list[tuple[str, float]]]:
        """For each clip the codes of all languages with their probabilities, the likeliest first. Only for
        multilingual models.
        """
        return [
            [(token.strip("<|>"), float(p)) for token, p in ranking]
            for ranking in self._model.model.detect_language(encoded)
        ]

    def decode(self, encoded: Any, languages: Sequence[str], limit: int) -> list[Hypothesis]:
        """The likeliest text of each clip by beam search.

        languages: of each clip. limit: maximum tokens of a text. One more step is decoded, to see whether a
        text ends exactly at the limit. One limit for all: the content of a beam at its last step depends on
        when that is, and CTranslate2 has one last step per batch.
        """
        prompts = [self._model.get_prompt(self._tokenizer(code), [], True) for code in languages]
        results = self._model.model.generate(
            encoded,
            prompts,
            beam_size=_BEAM,
            patience=_PATIENCE,
            # CTranslate2 stops at half of max_length. If that changes, a runaway text only takes more time.
            max_length=min(2 * (limit + 1), self._model.max_length),
            suppress_blank=True,
            suppress_tokens=self._suppressed,
            return_scores=True,
            return_no_speech_prob=True,
        )
        return [self._hypothesis(result, limit) for result in results]

    def _hypothesis(self, result: Any, limit: int) -> Hypothesis:
        ids = result.sequences_ids[0]
        # The score is the mean over the tokens; the mean here includes the end token, as in the paper.
        logprob = result.scores[0] * len(ids) / (len(ids) + 1)
        # Drop timestamps, which a model may output although they are disabled, and other special tokens.
        text = tuple(token for token in ids if token < self._tokenizer("en").eot)
        return Hypothesis(text, len(ids) <= limit, logprob, result.no_speech_prob)

    def text(self, hypothesis: Hypothesis) -> str:
        return str(self._tokenizer("en").decode(hypothesis.tokens)).strip()

    def truncate(self, hypothesis: Hypothesis, head: str) -> Hypothesis:
        """Without the tokens after `head`, which is empty or a prefix of its text up to the end of a word."""
        count = len(hypothesis.tokens) if head == self.text(hypothesis) else 0
        while head and count < len(hypothesis.tokens):
            count += 1
            if len(self.text(replace(hypothesis, tokens=hypothesis.tokens[:count]))) >= len(head):
                break
        return replace(hypothesis, tokens=hypothesis.tokens[:count])

    def align_words(
        self, encoded: Any, hypotheses: Sequence[Hypothesis], languages: Sequence[str], frames: Sequence[int]
    ) -> list[list[TimedWord]]:
        """The words of each clip with their times, by the library's alignment of the cross-attention.

        frames: mel frames of each clip itself, without the padding to the window.
        """
        aligned: list[list[TimedWord]] = [[] for _ in hypotheses]
        for code in sorted(set(languages)):
            tokenizer = self._tokenizer(code)
            tokens = [list(h.tokens) if c == code else [] for h, c in zip(hypotheses, languages, strict=True)]
            if not any(tokens):
                continue
            alignments = self._model.find_alignment(tokenizer, tokens, encoded, list(frames))
            for i, alignment in enumerate(alignments):
                if languages[i] == code:
                    merge_punctuations(alignment, _OPENING_PUNCTUATION, _CLOSING_PUNCTUATION)
                    aligned[i] = [(w["word"], w["start"], w["end"], w["probability"]) for w in alignment]
        return aligned

    def _tokenizer(self, language: str) -> Any:
        """The tokenizer that prompts for `language`; cached, because creating one takes milliseconds."""
        if language not in self._tokenizers:
            self._tokenizers[language] = Tokenizer(
                self._model.hf_tokenizer, self.multilingual, task="transcribe", language=language
            )
        return self._tokenizers[language]

    @cached_property
    def _suppressed(self) -> list[int]:
        """Suppressed tokens: non-speech symbols and the model's special tokens."""
        return list(get_suppressed_tokens(self._tokenizer("en"), [-1]))
