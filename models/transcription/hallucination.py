"""Guards against text that nobody said.

Whisper writes something for any sound: on silence a stock phrase, on noise a loop that runs until the
token limit. Its reference decoder answers with thresholds and a second try at a higher temperature, and
a second try has no place in a live stream. So the decision is made here, after the fact, from values alone.
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
    """Where trust ends.

    no_speech_prob, no_speech_logprob: probability of the no-speech token above which, and mean natural
        log-probability per token below which, both together mean silence (Radford et al. 2022, section 4.5).
    certain_no_speech_prob: above it no text is believed, however fluent: the stock phrases that Whisper
        writes on silence are fluent. Ours.
    logprob: floor of the mean natural log-probability per token. The paper tries again below -1.0 and keeps
        the better of the attempts; there is one attempt here, so the floor is lower. Ours.
    compression_ratio: UTF-8 bytes over zlib bytes (same paper), for texts of at least `compressible_bytes`:
        the paper's windows last 30 s, and a short utterance may repeat itself. The length is ours.
    loop_repeats, loop_characters, loop_period_characters: a phrase of at most `loop_period_characters`
        letters is a loop when it stands at least `loop_repeats` times in a row and fills at least
        `loop_characters` letters. Ours: eleven times "no" is a person, twelve is a loop.
    words_per_second, spare_words: at most `spare_words + words_per_second * duration` words. Fast
        conversation has 5 to 6 a second; the spare words are for clips cut tightly. Ours.
    """

    no_speech_prob: float = 0.6
    no_speech_logprob: float = -1.0
    certain_no_speech_prob: float = 0.9
    logprob: float = -1.5
    compression_ratio: float = 2.4
    compressible_bytes: int = 64
    loop_repeats: int = 4
    loop_characters: int = 24
    loop_period_characters: int = 100
    words_per_second: float = 8.0
    spare_words: int = 2


DEFAULT_THRESHOLDS: Final = HallucinationThresholds()


@dataclass(frozen=True, slots=True)
class DecodedText:
    """What a decoder wrote for one clip, and how sure it was.

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
    """The text that is believed, with its words; or an empty text and the reason."""

    text: str
    words: tuple[Word, ...] = ()
    rejected: Reason | None = None


def filter_hypothesis(
    heard: DecodedText, thresholds: HallucinationThresholds = DEFAULT_THRESHOLDS
) -> FilterResult:
    """Accept, trim or reject.

    A loop is cut after its first phrase, with everything behind it; where it begins the text, nothing is left
    to believe. Never longer than the input; judging the outcome again changes nothing.
    """
    text = heard.text.strip()
    if not text:
        return FilterResult("")
    reason = _doubt(heard, thresholds)
    if reason is not None:
        return FilterResult("", rejected=reason)
    if not any(character.isalnum() for character in text):
        return FilterResult("", rejected="no words")
    head, words = _before_loop(text, heard.words, thresholds)
    if not head:
        return FilterResult("", rejected="repetition")
    long = len(head.encode("utf-8", errors="replace")) >= thresholds.compressible_bytes
    if long and compression_ratio(head) > thresholds.compression_ratio:
        return FilterResult("", rejected="compression ratio")
    most_words = thresholds.spare_words + thresholds.words_per_second * heard.duration_s
    # Counted on spaces: languages written without them have no such rate, and loops give them away.
    if len(head.split()) > most_words:
        return FilterResult("", rejected="impossible speaking rate")
    return FilterResult(head, words)


def compression_ratio(text: str) -> float:
    """UTF-8 bytes over zlib bytes: about 1 for a sentence, above 2.4 for a text that repeats itself."""
    data = text.encode("utf-8", errors="replace")
    return len(data) / len(zlib.compress(data))


def _doubt(heard: DecodedText, thresholds: HallucinationThresholds) -> Reason | None:
    """What the decoder's own figures say. Written so that NaN counts as doubt."""
    silent = 0.0 if heard.no_speech_prob is None else heard.no_speech_prob
    sure = 0.0 if heard.avg_logprob is None else heard.avg_logprob
    if not silent <= thresholds.certain_no_speech_prob:
        return "no speech"
    if silent > thresholds.no_speech_prob and not sure >= thresholds.no_speech_logprob:
        return "no speech"
    if not sure >= thresholds.logprob:
        return "low log-probability"
    return None


def _before_loop(
    text: str, words: tuple[Word, ...], thresholds: HallucinationThresholds
) -> tuple[str, tuple[Word, ...]]:
    """Text and words up to the end of the first loop's first phrase; nothing if no word precedes the loop."""
    ends = _word_ends(text, words) if words else []
    located = len(ends) == len(words) > 0
    if not located:
        ends = [match.end() for match in re.finditer(r"\S+", text)]
    counts = list(accumulate((character.isalnum() for character in text), initial=0))
    kept = len(ends)
    letters = _letters(text)
    while (loop := _loop_pattern(thresholds).search(letters)) is not None:
        begins, phrase_ends = loop.start(), loop.end(loop.lastindex or 0)
        if not any(0 < counts[end] <= begins for end in ends[:kept]):
            return "", ()
        kept = sum(counts[end] <= phrase_ends for end in ends[:kept])
        letters = letters[: counts[ends[kept - 1]]]
    head = text[: ends[kept - 1]] if kept < len(ends) else text
    if located:
        return head, words[:kept]
    # Words that are not those of the text cannot be cut with it.
    return head, words if kept == len(ends) else ()


def _word_ends(text: str, words: tuple[Word, ...]) -> list[int]:
    """Where each word ends in the text; shorter than `words` where one is not found in its turn."""
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
    """Letters and digits alone, in lower case: `So, so, SO` loops as much as `so so so`. One for one."""
    return "".join(character.lower()[0] for character in text if character.isalnum())


@lru_cache(maxsize=8)
def _loop_pattern(thresholds: HallucinationThresholds) -> re.Pattern[str]:
    """Finds the leftmost loop; the last group that matched is its phrase, the shortest that explains it.

    Short phrases need more repetitions to fill `loop_characters`, so each short period has its own branch.
    """
    repeats, characters = thresholds.loop_repeats, thresholds.loop_characters
    enough = math.ceil(characters / repeats)  # from this period on, `loop_repeats` fill `loop_characters`
    branches = [rf"(.{{{p}}})\{p}{{{math.ceil(characters / p) - 1},}}" for p in range(1, enough)]
    branches.append(rf"(.{{{enough},{thresholds.loop_period_characters}}}?)\{enough}{{{repeats - 1},}}")
    return re.compile("|".join(branches), re.DOTALL)
