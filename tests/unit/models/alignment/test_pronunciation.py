"""From written words to phones: symbols and numbers, the dictionary, letter-to-sound rules."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from emostream.models.alignment.g2p import guess_phones
from emostream.models.alignment.pronunciation import Lexicon
from emostream.models.alignment.sphinx import SphinxAligner
from emostream.models.alignment.syllables import VOWELS
from emostream.models.alignment.verbalize import verbalize
from tests.support.dictionary import entries


@pytest.fixture(scope="module")
def lexicon() -> Lexicon:
    return SphinxAligner().lexicon


@pytest.mark.parametrize(
    ("word", "spoken"),
    [
        ("It's", "it's"),
        ("don\u2019t,", "don't"),
        ("well-known", "well known"),
        ("na\u00efve", "naive"),
        ("AT&T", "at and t"),
        ("21", "twenty one"),
        ("21st", "twenty first"),
        ("3RD", "third"),
        ("90s", "nineties"),
        ("1900s", "nineteen hundreds"),
        ("1984", "nineteen eighty four"),
        ("2,000", "two thousand"),
        ("2024", "twenty twenty four"),
        ("3.50", "three point five zero"),
        ("007", "zero zero seven"),
        ("3:30", "three thirty"),
        ("$5", "five dollars"),
        ("\u20ac1,200", "one thousand two hundred euros"),
        ("$1", "one dollar"),
        ("$21.50", "twenty one dollars fifty"),
        ("\u00a31,200.05", "one thousand two hundred pounds five"),
        ("$3.00", "three dollars"),
        ("$2.5", "two point five dollars"),
        ("$5m", "five million dollars"),
        ("\u20ac1.50bn", "one point five zero billion euros"),
        ("$10K", "ten thousand dollars"),
        ("$5,", "five dollars"),
        ("555-1234", "five five five one two three four"),
        ("1-800-555-1234", "one eight zero zero five five five one two three four"),
        ("1990-2000", "nineteen ninety two thousand"),
        ("50%", "fifty percent"),
        ("20\u00b0", "twenty degrees"),
        ("B2B", "b two b"),
        ("\u0663", "three"),
        ("9" * 13, " ".join(["nine"] * 13)),
        ("\u0141\u00f3d\u017a", "lodz"),
        ("Stra\u00dfe", "strasse"),
        ("STRA\u1e9eE", "strasse"),
        ("S\u00f8ren", "soren"),
        ("\u00c6on", "aeon"),
        ("\u0152uvre", "oeuvre"),
        ("\u0110inh", "dinh"),
        ("\u00de\u00f3r\u00f0", "thorth"),
        ("D\u0131yarbak\u0131r", "diyarbakir"),
        ("\u4f60", "\u4f60"),
        ("-", ""),
        ("\u266a", ""),
        ("...", ""),
        ("", ""),
    ],
)
def test_symbols_and_numbers_are_spelled_out(word: str, spoken: str) -> None:
    assert " ".join(verbalize(word)) == spoken


@pytest.mark.parametrize(
    ("word", "phones"),
    [
        ("Next,", "N EH K S T"),
        ("it's", "IH T S"),
        ("caf\u00e9", "K AH F EY"),
        ("Nooooo!", "N OW"),
        ("hmmmmm", "HH M"),
        ("42", "F AO R T IY | T UW"),
        ("XKCD", "EH K S | K EY | S IY | D IY"),
        ("-", ""),
    ],
)
def test_words_of_the_dictionary(lexicon: Lexicon, word: str, phones: str) -> None:
    tokens = lexicon.pronounce(word)
    assert tokens is not None
    assert " | ".join(" ".join(token.phones) for token in tokens) == phones


@pytest.mark.parametrize(
    ("word", "phones"),
    [
        ("chewbacca", "CH UW B AE K AH"),
        ("gryffindor's", "G R IH F IH N D AO R S"),
        ("snape", "S N EY P"),
        ("pfft", "P F T"),
    ],
)
def test_other_words_use_letter_to_sound_rules(word: str, phones: str) -> None:
    assert " ".join(guess_phones(word)) == phones


def test_guessed_pronunciations_are_named_by_their_phones(lexicon: Lexicon) -> None:
    """Two spellings with the same phones are one entry, so that it cannot change other pronunciations."""
    first = lexicon.pronounce("blorptastick")
    assert first is not None
    assert first == lexicon.pronounce("blorptastik")
    assert not first[0].name.isalpha()


@pytest.mark.parametrize(
    "word", ["\u043f\u0440\u0438\u0432\u0435\u0442", "\u4f60\u597d", "well-\u4f60\u597d", "9\u4f60"]
)
def test_a_word_with_an_unreadable_part_has_no_pronunciation(lexicon: Lexicon, word: str) -> None:
    assert lexicon.pronounce(word) is None


@pytest.mark.long
def test_guessed_pronunciations_have_about_the_right_length() -> None:
    """Against the dictionary, which the rules do not use."""
    sample = random.Random(1).sample(entries(), 2000)
    right = sum(syllables(guess_phones(word)) == syllables(phones) for word, phones in sample)
    near = sum(abs(len(guess_phones(word)) - len(phones)) <= 1 for word, phones in sample)
    assert right / len(sample) > 0.85
    assert near / len(sample) > 0.85


def syllables(phones: Sequence[str]) -> int:
    return sum(phone in VOWELS for phone in phones)
