"""The words of an utterance so far, and how many of them are stable.

Every hypothesis transcribes the utterance from its beginning, and its last words change with the next one.
What two consecutive hypotheses agree on is taken to be stable (LocalAgreement-2: Macháček, Dabre, Bojar
2023, arXiv 2307.14743) and is not changed any more, whatever later hypotheses say.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Final

_UNSPACED: Final = r"\u0e00-\u0eff\u1000-\u109f\u3040-\u30ff\u3400-\u9fff"
"""Scripts without spaces between words: Thai, Lao, Burmese, Japanese, Chinese."""

_UNIT: Final = re.compile(rf"\s*(?:[{_UNSPACED}]|[^\s{_UNSPACED}]+)")
"""A word with the space before it; a single character in those scripts."""


@dataclass(frozen=True, slots=True)
class TextSoFar:
    """stable_chars: how many characters at the beginning of the text do not change any more."""

    text: str
    stable_chars: int


class InterimText:
    """Of one utterance."""

    def __init__(self) -> None:
        self._stable: list[str] = []
        self._last: list[str] = []

    @property
    def current(self) -> TextSoFar:
        return TextSoFar("".join(self._last), len("".join(self._stable)))

    def add(self, hypothesis: str) -> TextSoFar:
        """A newer transcription of the utterance so far. An empty one changes nothing."""
        units = _UNIT.findall(hypothesis.strip())
        if not units:
            return self.current
        rest = units[_matching_prefix(self._stable, units) :]
        if rest and rest[0] == units[0] and self._stable:
            rest[0] = (
                f" {rest[0]}"  # the hypothesis has lost its beginning, and a text begins without a space
            )
        pairs = zip(self._last[len(self._stable) :], rest, strict=False)
        agreed = list(takewhile(lambda pair: pair[0] == pair[1], pairs))
        self._last = [*self._stable, *rest]
        self._stable = self._last[: len(self._stable) + len(agreed)]
        return self.current


def _matching_prefix(stable: Sequence[str], units: Sequence[str]) -> int:
    """How many of the units are the stable ones, if not literally: the shortest prefix of least edit
    distance.
    """
    if list(units[: len(stable)]) == list(stable):
        return len(stable)
    costs = list(range(len(units) + 1))  # of nothing against each prefix
    for unit in map(_letters, stable):
        diagonal, costs[0] = costs[0], costs[0] + 1
        for i, other in enumerate(map(_letters, units), 1):
            substituted = diagonal + (unit != other)
            diagonal, costs[i] = costs[i], min(substituted, costs[i] + 1, costs[i - 1] + 1)
    return costs.index(min(costs))


def _letters(unit: str) -> str:
    return "".join(character for character in unit.casefold() if character.isalnum())
