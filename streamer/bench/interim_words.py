"""When the words of an utterance were on the client's screen, and how often the final contradicted them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ..protocol import messages


@dataclass(frozen=True, slots=True)
class ShownText:
    """A result with its text. at_s: when it arrived, on the stream's audio clock: a word that arrives at the
    moment of its end has no delay.
    """

    event: messages.Emotion
    at_s: float


@dataclass(frozen=True, slots=True)
class InterimWords:
    """Of the finals with words. last_word_ms: from the end of the last word, by the final's word times, to
    the first result with it, as percentiles. early: share whose last word came before the final. stable:
    finals that followed a stable text; contradicted: those that do not begin with its words.
    """

    finals: int
    last_word_ms: dict[str, float]
    early: float
    stable: int
    contradicted: int

    @classmethod
    def of(cls, texts: Sequence[ShownText]) -> InterimWords | None:
        """texts: of one or several runs, each in its order. None where no final has words."""
        delays, early, stable, contradicted = [], 0, 0, 0
        interim: list[ShownText] = []
        for shown in texts:
            if not shown.event.final:
                interim.append(shown)
                continue
            before = [one for one in interim if one.event.utterance == shown.event.utterance]
            interim = []
            if not shown.event.words:
                continue
            first = next((one for one in before if _has_last_word(one, shown)), shown)
            delays.append(1_000 * first.at_s - shown.event.words[-1].end_ms)
            early += first is not shown
            prefix = max((_stable_words(one) for one in before), key=len, default=[])
            stable += bool(prefix)
            contradicted += _words(shown.event.text)[: len(prefix)] != prefix
        if not delays:
            return None
        values = {f"p{p}": round(float(np.percentile(delays, p)), 1) for p in (50, 90, 95)}
        return cls(len(delays), values, early / len(delays), stable, contradicted)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def _has_last_word(shown: ShownText, final: ShownText) -> bool:
    """By count, because an earlier word may be the same."""
    words, expected = _words(shown.event.text), _words(final.event.text)
    return bool(expected) and words.count(expected[-1]) >= expected.count(expected[-1])


def _stable_words(shown: ShownText) -> list[str]:
    return _words(shown.event.text[: shown.event.stable_chars or 0])


def _words(text: str) -> list[str]:
    """Without capitals and punctuation."""
    cleaned = ("".join(c for c in word if c.isalnum()) for word in text.casefold().split())
    return [word for word in cleaned if word]
