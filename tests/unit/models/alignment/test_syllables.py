"""Maximal-onset syllables against a dictionary's own divisions."""

from __future__ import annotations

import pytest

from emostream.models.alignment.syllables import VOWELS, syllabify
from tests.support.dictionary import entries

# Divided as Merriam-Webster divides the pronunciation: happy ˈha-pē, extra ˈek-strə, value ˈval-yü.
DIVIDED = """
    next          N EH K S T
    strengths     S T R EH NG K TH S
    twelfth       T W EH L F TH
    splashed      S P L AE SH T
    square        S K W EH R
    spew          S P Y UW
    skew          S K Y UW
    sphere        S F IH R
    few           F Y UW
    what          HH W AH T
    thwart        TH W AO R T
    bird          B ER D
    happy         HH AE . P IY
    away          AH . W EY
    morning       M AO R . N IH NG
    mister        M IH . S T ER
    basket        B AE . S K AH T
    monster       M AA N . S T ER
    extra         EH K . S T R AH
    express       IH K . S P R EH S
    explain       IH K . S P L EY N
    exclaim       IH K . S K L EY M
    squirrel      S K W ER . AH L
    construct     K AH N . S T R AH K T
    instrument    IH N . S T R AH . M AH N T
    music         M Y UW . Z IH K
    beauty        B Y UW . T IY
    human         HH Y UW . M AH N
    accuse        AH . K Y UW Z
    argue         AA R . G Y UW
    figure        F IH . G Y ER
    value         V AE L . Y UW
    million       M IH L . Y AH N
    continue      K AH N . T IH N . Y UW
    singing       S IH NG . IH NG
    finger        F IH NG . G ER
    hungry        HH AH NG . G R IY
    language      L AE NG . G W IH JH
    anxious       AE NG K . SH AH S
    react         R IY . AE K T
    lion          L AY . AH N
    chaos         K EY . AA S
    idea          AY . D IY . AH
    naive         N AA . IY V
    beyond        B IY . AA N D
    hurry         HH ER . IY
    murderer      M ER . D ER . ER
    father        F AA . DH ER
    measure       M EH . ZH ER
    vision        V IH . ZH AH N
    nature        N EY . CH ER
    judges        JH AH . JH AH Z
    atlas         AE T . L AH S
    athlete       AE TH . L IY T
    badly         B AE D . L IY
    every         EH V . R IY
    secret        S IY . K R AH T
    abrupt        AH . B R AH P T
    between       B IH . T W IY N
    equal         IY . K W AH L
    empty         EH M P . T IY
    symptom       S IH M P . T AH M
    yesterday     Y EH . S T ER . D EY
    university    Y UW . N AH . V ER . S AH . T IY
"""
TABLE = [line.split(maxsplit=1) for line in DIVIDED.strip().splitlines()]


def divided(text: str) -> str:
    """Phones with a dot between syllables."""
    phones = text.split()
    return " . ".join(" ".join(phones[index] for index in part) for part in syllabify(phones))


@pytest.mark.parametrize(("word", "syllables"), TABLE, ids=[word for word, _ in TABLE])
def test_words_are_divided_as_in_the_dictionary(word: str, syllables: str) -> None:
    assert divided(syllables.replace(".", " ")) == syllables


def test_stress_digits_change_nothing() -> None:
    assert divided("EH1 K S T R AH0") == "EH1 K . S T R AH0"
    assert divided("M ER1 D ER0 ER0") == "M ER1 . D ER0 . ER0"


@pytest.mark.parametrize("phones", ["SH", "HH M", "P F T"])
def test_a_word_without_a_vowel_is_one_syllable(phones: str) -> None:
    assert divided(phones) == phones


def test_no_phones_give_no_syllables() -> None:
    assert syllabify([]) == []


def test_compounds_are_divided_as_one_word() -> None:
    """A known limitation: the phones do not show where the parts of a compound meet."""
    assert divided("AH P R AY T") == "AH . P R AY T"


@pytest.mark.long
def test_every_word_of_the_dictionary_has_one_vowel_per_syllable() -> None:
    for word, phones in entries():
        parts = syllabify(phones)
        assert [index for part in parts for index in part] == list(range(len(phones))), word
        vowels = [sum(phones[index] in VOWELS for index in part) for part in parts]
        assert vowels == [1] * len(parts) or (vowels == [0] and not VOWELS & set(phones)), word
