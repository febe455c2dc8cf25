"""Hallucination filter for transcripts: a pure function of the decoder's output.

Whisper outputs text for any audio: on silence a stock phrase, on noise a loop that runs until the token
limit. Its reference decoder uses thresholds and a retry at a higher temperature; a live stream has no time
for a retry, so here the finished output is accepted, trimmed or rejected.
"""

from __future__ import annotations

import math
import re
import zlib
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from typing import Final, Literal

from ..types import Word

Reason = Literal[
    "no speech",
    "low log-probability",
    "no words",
    "repetition",
    "compression ratio",
    "impossible speaking rate",
]


@dataclass(frozen=True, slots=True)
class HallucinationThresholds:
    """Limits beyond which text is rejected or trimmed.

    no_speech_prob, no_speech_logprob: probability of the no-speech token above which, and mean natural
        log-probability per token below which, both together mean silence (Radford et al. 2022, section 4.5).
    certain_no_speech_prob: above it any text is rejected, however probable: the stock phrases that Whisper
        outputs on silence have a high probability. Ours.
    logprob: floor of the mean natural log-probability per token, as the paper's, which retries below it.
    short_words, short_margin: instead, for texts of at most `short_words` words: floor of the
        log-probability less the no-speech probability. On a dog, a sneeze or a crying baby Whisper writes a
        word or a few, and a single spoken word has no high probability either. Ours (docs/adr/0012).
    stock_margin: the same floor for a text that is nothing but one of `STOCK_PHRASES`, which Whisper writes
        on silence. Ours.
    compression_ratio: UTF-8 bytes over zlib bytes (same paper), for texts of at least `compressible_bytes`:
        the paper's windows last 30 s, and a short utterance may repeat itself. The length is ours.
    loop_repeats, loop_characters, loop_period_characters: a phrase of at most `loop_period_characters`
        letters is a loop when it repeats at least `loop_repeats` times in a row and fills at least
        `loop_characters` letters. Ours: eleven times "no" counts as speech, twelve as a loop.
    loop_no_speech_prob: where a loop begins the text, its first phrase is kept below this no-speech
        probability: somebody speaks, and what was said is repeated. Ours: most loops on speech are below, of
        those on sounds none.
    short_loop_repeats, short_loop_margin: the same floor for a text that is nothing but one phrase so many
        times or more, however short. Ours.
    words_per_second, spare_words: at most `spare_words + words_per_second * duration` words. Fast
        conversation has 5 to 6 a second; the spare words are for tightly segmented clips. Ours.
    """

    no_speech_prob: float = 0.6
    no_speech_logprob: float = -1.0
    certain_no_speech_prob: float = 0.9
    logprob: float = -1.0
    short_words: int = 4
    short_margin: float = -1.3
    stock_margin: float = -1.0
    compression_ratio: float = 2.4
    compressible_bytes: int = 64
    loop_repeats: int = 4
    loop_characters: int = 24
    loop_period_characters: int = 100
    loop_no_speech_prob: float = 0.15
    short_loop_repeats: int = 3
    short_loop_margin: float = -0.9
    words_per_second: float = 8.0
    spare_words: int = 2


DEFAULT_THRESHOLDS: Final = HallucinationThresholds()

STOCK_PHRASES: Final = frozenset(
    {
        "you",
        "thank you",
        "thank you very much",
        "thank you for watching",
        "thank you so much for watching",
        "thanks for watching",
        "please subscribe",
        "like and subscribe",
        "bye",
        "bye bye",
        "subtitles by the amaraorg community",
        "transcription by castingwords",
        "music",
        "applause",
        "laughter",
    }
)
"""Letters and single spaces only: endings and credits of subtitles, which Whisper has learned by heart."""


@dataclass(frozen=True, slots=True)
class DecodedText:
    """A decoder's text for one clip, with its confidence figures.

    words: may be empty. duration_s: of the clip. avg_logprob: mean natural log-probability per token;
    no_speech_prob: in [0, 1]; None where the decoder has no such figure.
    """

    text: str
    words: tuple[Word, ...]
    duration_s: float
    avg_logprob: float | None = None
    no_speech_prob: float | None = None


@dataclass(frozen=True, slots=True)
class FilterResult:
    """The accepted text with its words, or an empty text and the reason for its rejection."""

    text: str
    words: tuple[Word, ...] = ()
    rejected: Reason | None = None


def filter_hypothesis(
    decoded: DecodedText, thresholds: HallucinationThresholds = DEFAULT_THRESHOLDS
) -> FilterResult:
    """Accept, trim or reject a decoder's text.

    A loop is truncated after its first phrase, with everything after it; where it begins the text, the text
    is rejected. Never longer than the input, and idempotent.
    """
    text = decoded.text.strip()
    if not text:
        return FilterResult("")
    reason = _confidence_rejection(decoded, thresholds)
    if reason is not None:
        return FilterResult("", rejected=reason)
    if not _letters(text):
        return FilterResult("", rejected="no words")
    is_speech = decoded.no_speech_prob is not None and decoded.no_speech_prob < thresholds.loop_no_speech_prob
    head, words = _before_loop(text, decoded.words, thresholds, keep_first=is_speech)
    if not _letters(head):  # where a loop follows a dash, say
        return FilterResult("", rejected="repetition")
    reason = _improbable(head, decoded, thresholds)
    if reason is not None:
        return FilterResult("", rejected=reason)
    long = len(head.encode("utf-8", errors="replace")) >= thresholds.compressible_bytes
    if long and compression_ratio(head) > thresholds.compression_ratio:
        return FilterResult("", rejected="compression ratio")
    max_words = thresholds.spare_words + thresholds.words_per_second * decoded.duration_s
    # Words are split at spaces. Languages written without them are not checked here, only for loops.
    if len(head.split()) > max_words:
        return FilterResult("", rejected="impossible speaking rate")
    return FilterResult(head, words)


def compression_ratio(text: str) -> float:
    """UTF-8 bytes over zlib bytes: about 1 for a sentence, above 2.4 for a text that repeats itself."""
    data = text.encode("utf-8", errors="replace")
    return len(data) / len(zlib.compress(data))


def _confidence_rejection(decoded: DecodedText, thresholds: HallucinationThresholds) -> Reason | None:
    """Rejection by the decoder's own confidence figures. The comparisons are negated so that NaN rejects."""
    no_speech = 0.0 if decoded.no_speech_prob is None else decoded.no_speech_prob
    logprob = 0.0 if decoded.avg_logprob is None else decoded.avg_logprob
    if not no_speech <= thresholds.certain_no_speech_prob:
        return "no speech"
    if no_speech > thresholds.no_speech_prob and not logprob >= thresholds.no_speech_logprob:
        return "no speech"
    return None


def _improbable(text: str, decoded: DecodedText, thresholds: HallucinationThresholds) -> Reason | None:
    """Rejection by figures that depend on the text's length. NaN rejects here too."""
    no_speech = 0.0 if decoded.no_speech_prob is None else decoded.no_speech_prob
    logprob = 0.0 if decoded.avg_logprob is None else decoded.avg_logprob
    margin = logprob - no_speech
    short = len(text.split()) <= thresholds.short_words
    if not (margin >= thresholds.short_margin if short else logprob >= thresholds.logprob):
        return "low log-probability"
    if margin < thresholds.stock_margin and _plain(text) in STOCK_PHRASES:
        return "no speech"
    if margin < thresholds.short_loop_margin and _is_loop(text, thresholds.short_loop_repeats):
        return "repetition"
    return None


def _plain(text: str) -> str:
    """Letters in lower case and single spaces."""
    return " ".join("".join(c for c in text.lower() if c.isalnum() or c.isspace()).split())


def _is_loop(text: str, repeats: int) -> bool:
    """Whether the text is nothing but a phrase, so many times or more."""
    return re.fullmatch(rf"(.+?)\1{{{repeats - 1},}}", _letters(text), re.DOTALL) is not None


def _before_loop(
    text: str, words: tuple[Word, ...], thresholds: HallucinationThresholds, *, keep_first: bool
) -> tuple[str, tuple[Word, ...]]:
    """Text and words up to the end of the first loop's first phrase.

    Nothing if no word precedes the loop, unless `keep_first`.
    """
    ends = _word_ends(text, words) if words else []
    located = len(ends) == len(words) > 0
    if not located:
        ends = [match.end() for match in re.finditer(r"\S+", text)]
    counts = list(accumulate((character.isalnum() for character in text), initial=0))
    kept_words = len(ends)
    letters = _letters(text)
    while (loop := _loop_pattern(thresholds).search(letters)) is not None:
        begins, phrase_ends = loop.start(), loop.end(loop.lastindex or 0)
        if not keep_first and not any(0 < counts[end] <= begins for end in ends[:kept_words]):
            return "", ()
        kept_words = sum(counts[end] <= phrase_ends for end in ends[:kept_words])
        if kept_words == 0:  # a loop inside one word
            return "", ()
        letters = letters[: counts[ends[kept_words - 1]]]
    head = text[: ends[kept_words - 1]] if kept_words < len(ends) else text
    if located:
        return head, words[:kept_words]
    # Words that do not match the text cannot be truncated with it.
    return head, words if kept_words == len(ends) else ()


def _word_ends(text: str, words: tuple[Word, ...]) -> list[int]:
    """The end of each word in the text; shorter than `words` where one is not found in order."""
    ends: list[int] = []
    position = 0
    for word in words:
        found = text.find(word.text, position)
        if found < 0:
            break
        position = found + len(word.text)
        ends.append(position)
    return ends


def _letters(text: str) -> str:
    """Letters and digits only, in lower case, one output per character: `So, so, SO` loops like `so so
    so`."""
    return "".join(character.lower()[0] for character in text if character.isalnum())


@lru_cache(maxsize=8)
def _loop_pattern(thresholds: HallucinationThresholds) -> re.Pattern[str]:
    """Matches the leftmost loop; the last matching group is its phrase, the shortest that repeats.

    Short phrases need more repetitions to fill `loop_characters`, so each short period has its own branch.
    """
    repeats, characters = thresholds.loop_repeats, thresholds.loop_characters
    enough = math.ceil(characters / repeats)  # from this period on, `loop_repeats` fill `loop_characters`
    branches = [rf"(.{{{p}}})\{p}{{{math.ceil(characters / p) - 1},}}" for p in range(1, enough)]
    branches.append(rf"(.{{{enough},{thresholds.loop_period_characters}}}?)\{enough}{{{repeats - 1},}}")
    return re.compile("|".join(branches), re.DOTALL)
