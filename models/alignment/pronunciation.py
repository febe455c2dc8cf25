"""Pronunciation of a transcript's words: the pronouncing dictionary, and `g2p` for what it lacks."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Protocol

from .g2p import guess_phones
from .verbalize import verbalize

_ELONGATED: Final = re.compile(r"(\w)\1{2,}")
_MAX_ACRONYM_LETTERS: Final = 5


class Dictionary(Protocol):
    """The dictionary methods of `pocketsphinx.Decoder`."""

    def lookup_word(self, word: str) -> str | None: ...

    def add_word(self, word: str, phones: str, update: bool = True) -> int: ...


@dataclass(frozen=True, slots=True)
class Token:
    """One spoken word. name: its entry in the dictionary. phones: ARPAbet without stress, the entry's first
    pronunciation."""

    name: str
    phones: tuple[str, ...]


Pronunciation = tuple[Token, ...] | None
"""The tokens of one display word: () where nothing is spoken, None where part of it has no pronunciation."""


class Lexicon:
    """The decoder's dictionary, with a guessed pronunciation for every word that it lacks.

    A guessed word is added to the dictionary under a name that spells its phones, so entries that one
    transcript adds cannot change the pronunciation of another.
    """

    def __init__(self, dictionary: Dictionary) -> None:
        self._dictionary = dictionary

    def pronounce(self, word: str) -> Pronunciation:
        """The spoken tokens of one display word: `It's` is one token, `21` is two, `-` is none."""
        tokens: list[Token | None] = []
        for text in verbalize(word):
            entry = self._look_up(text)
            if entry is not None:
                tokens.append(entry)
            elif _is_acronym(text, word):
                tokens += [self._look_up(letter) or self._guess(letter) for letter in text]
            else:
                tokens.append(self._guess(text))
        readable = tuple(token for token in tokens if token is not None)
        return readable if len(readable) == len(tokens) else None

    def _look_up(self, text: str) -> Token | None:
        """The dictionary entry, also of an elongated word: `nooo`, `hmmmm`."""
        for spelling in (text, _ELONGATED.sub(r"\1\1", text), _ELONGATED.sub(r"\1", text)):
            phones = self._dictionary.lookup_word(spelling)
            if phones is not None:
                return Token(spelling, tuple(phones.split()))
        return None

    def _guess(self, text: str) -> Token | None:
        phones = guess_phones(_ELONGATED.sub(r"\1\1", text))
        if not phones:
            return None
        name = "~" + "_".join(phones)
        if self._dictionary.lookup_word(name) is None:
            self._dictionary.add_word(name, " ".join(phones), update=True)
        return Token(name, phones)


def _is_acronym(text: str, word: str) -> bool:
    """Whether the word has this token in capitals, short enough to be spelled out: `XKCD`."""
    capitals = text.isascii() and text.isalpha() and text.upper() in word
    return capitals and 2 <= len(text) <= _MAX_ACRONYM_LETTERS
