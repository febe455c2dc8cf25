"""From a transcript's word to phones: the pronouncing dictionary, and letters for what it does not hold."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Protocol

from .g2p import guess_phones
from .verbalize import verbalize

_DRAWN_OUT: Final = re.compile(r"(\w)\1{2,}")
_LONGEST_ACRONYM: Final = 5


class Dictionary(Protocol):
    """The part of `pocketsphinx.Decoder` that knows words."""

    def lookup_word(self, word: str) -> str | None: ...

    def add_word(self, word: str, phones: str, update: bool = True) -> int: ...


@dataclass(frozen=True, slots=True)
class Token:
    """One spoken word. name: its entry in the dictionary. phones: ARPAbet without stress, the entry's first
    pronunciation."""

    name: str
    phones: tuple[str, ...]


Pronunciation = tuple[Token, ...] | None
"""What is said for one display word: () where nothing is, None where nobody knows how to say a part of it."""


class Lexicon:
    """The decoder's dictionary, and a guess for every word that it does not hold.

    A guessed word goes into the dictionary under a name that spells its phones, so what one transcript adds
    cannot change how another is read.
    """

    def __init__(self, dictionary: Dictionary) -> None:
        self._dictionary = dictionary

    def pronounce(self, word: str) -> Pronunciation:
        """What a speaker says for one display word: `It's` is one token, `21` is two, `-` is none."""
        tokens: list[Token | None] = []
        for text in verbalize(word):
            known = self._known(text)
            if known is not None:
                tokens.append(known)
            elif _is_acronym(text, word):
                tokens += [self._known(letter) or self._guessed(letter) for letter in text]
            else:
                tokens.append(self._guessed(text))
        readable = tuple(token for token in tokens if token is not None)
        return readable if len(readable) == len(tokens) else None

    def _known(self, text: str) -> Token | None:
        """The entry, also of a word that is drawn out: `nooo`, `hmmmm`."""
        for spelling in (text, _DRAWN_OUT.sub(r"\1\1", text), _DRAWN_OUT.sub(r"\1", text)):
            phones = self._dictionary.lookup_word(spelling)
            if phones is not None:
                return Token(spelling, tuple(phones.split()))
        return None

    def _guessed(self, text: str) -> Token | None:
        phones = guess_phones(_DRAWN_OUT.sub(r"\1\1", text))
        if not phones:
            return None
        name = "~" + "_".join(phones)
        if self._dictionary.lookup_word(name) is None:
            self._dictionary.add_word(name, " ".join(phones), update=True)
        return Token(name, phones)


def _is_acronym(text: str, word: str) -> bool:
    """Whether the word shows this token in capitals, short enough to be said letter by letter: `XKCD`."""
    capitals = text.isascii() and text.isalpha() and text.upper() in word
    return capitals and 2 <= len(text) <= _LONGEST_ACRONYM
