"""Which words a recognizer takes for which: those of a vocabulary that are pronounced alike.

Pronunciations are those of the aligner: of the pronouncing dictionary, else guessed from the letters
(`models.alignment.g2p`). The vocabulary is that of a text encoder, as far as the dictionary has it, and so
the same for every corpus and fold: no word of a test example enters by it. Where PocketSphinx, which brings
the dictionary, is not installed, all pronunciations are guessed and pieces of words count as words.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from functools import cached_property, lru_cache
from typing import Final

import numpy as np
from tokenizers import Tokenizer

from emostream.models.alignment.dictionary import pronouncing_dictionary
from emostream.models.alignment.g2p import guess_phones

_ADDED: Final = ("a", "and", "i", "in", "is", "it", "of", "so", "that", "the", "to", "we", "well", "you")
"""What is added is short and common."""
_WORD_MARKS: Final = ("\N{LATIN CAPITAL LETTER G WITH DOT ABOVE}", "\N{LOWER ONE EIGHTH BLOCK}")
"""What byte-level BPE and SentencePiece put in front of a whole word."""
_MAX_EDITS: Final = 2


class Confusions:
    """words: a vocabulary."""

    def __init__(self, words: Iterable[str]) -> None:
        plain = sorted({word for word in words if word.isascii() and word.isalpha() and word.islower()})
        self._vocabulary = [word for word in plain if len(word) > 1 or word in ("a", "i")]

    @cached_property
    def _words(self) -> list[str]:
        known = pronouncing_dictionary()
        return [word for word in self._vocabulary if word in known or not known]

    @cached_property
    def _pronounced(self) -> list[tuple[str, ...]]:
        return [pronounce(word) for word in self._words]

    @cached_property
    def _by_phones(self) -> dict[tuple[str, ...], list[int]]:
        """Phones, some left out -> the words that have them."""
        places: defaultdict[tuple[str, ...], list[int]] = defaultdict(list)
        for place, phones in enumerate(self._pronounced):
            for key in _with_some_left_out(phones):
                places[key].append(place)
        return dict(places)

    @lru_cache(maxsize=20_000)  # noqa: B019 - an instance lives as long as its run
    def alike(self, word: str) -> tuple[str, ...]:
        """The words at the least distance in phones, at most two edits; none where nothing sounds alike."""
        phones = pronounce(word)
        near = {place for key in _with_some_left_out(phones) for place in self._by_phones.get(key, ())}
        distances = {
            place: edit_distance(phones, self._pronounced[place])
            for place in near
            if self._words[place] != word
        }
        least = min(distances.values(), default=_MAX_EDITS + 1)
        if least > _MAX_EDITS or least >= len(phones):
            return ()
        return tuple(self._words[place] for place in sorted(distances) if distances[place] == least)

    def misheard(self, word: str, rng: np.random.Generator) -> str:
        """A word that sounds like this one; this one where there is none."""
        words = self.alike(word)
        return words[int(rng.integers(len(words)))] if words else word

    def added(self, rng: np.random.Generator) -> str:
        """A word that nobody said."""
        return _ADDED[int(rng.integers(len(_ADDED)))]


@lru_cache(maxsize=4)
def _of_vocabulary(words: tuple[str, ...]) -> Confusions:
    return Confusions(words)


def confusions_of(tokenizer: Tokenizer) -> Confusions:
    """Of the whole words of a text encoder's vocabulary."""
    vocabulary = sorted(tokenizer.get_vocab())
    marked = [token[1:] for token in vocabulary if token.startswith(_WORD_MARKS)]
    return _of_vocabulary(tuple(marked or vocabulary))


def pronounce(word: str) -> tuple[str, ...]:
    """ARPAbet phones of a lower-case word; () where it cannot be read as English."""
    return pronouncing_dictionary().get(word) or guess_phones(word)


def edit_distance(first: Sequence[str], second: Sequence[str]) -> int:
    """Levenshtein's: insertions, deletions and substitutions that make one of the other."""
    row = list(range(len(second) + 1))
    for place, one in enumerate(first, 1):
        before, row[0] = row[0], place
        for column, other in enumerate(second, 1):
            before, row[column] = (
                row[column],
                min(row[column] + 1, row[column - 1] + 1, before + (one != other)),
            )
    return row[-1]


def _with_some_left_out(phones: tuple[str, ...]) -> set[tuple[str, ...]]:
    """The phones, and with one or two left out: words within two edits have one of these in common."""
    one = {phones[:place] + phones[place + 1 :] for place in range(len(phones))}
    two = {some[:place] + some[place + 1 :] for some in one for place in range(len(some))}
    return {phones} | one | two
