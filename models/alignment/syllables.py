"""Syllabification of phones by the maximal-onset principle.

Every vowel is the nucleus of one syllable. Of the consonants between two vowels the next syllable takes as
many as an English word may begin with, the preceding syllable keeps the rest (Kahn, *Syllable-based
Generalizations in English Phonology*, 1976).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

VOWELS: Final = frozenset(
    ("AA", "AE", "AH", "AO", "AW", "AY", "EH", "ER", "EY", "IH", "IY", "OW", "OY", "UH", "UW")
)

# Every consonant but NG, then clusters: stop or fricative and liquid, and W, and Y; S and stop, nasal or F.
_ONSETS_TABLE: Final = """
    B, CH, D, DH, F, G, HH, JH, K, L, M, N, P, R, S, SH, T, TH, V, W, Y, Z, ZH
    P L, P R, B L, B R, T R, D R, K L, K R, G L, G R, F L, F R, TH R, SH R, S L
    T W, D W, K W, G W, TH W, S W, HH W
    P Y, B Y, K Y, G Y, F Y, V Y, M Y, HH Y
    S P, S T, S K, S M, S N, S F
    S P L, S P R, S P Y, S T R, S K L, S K R, S K W, S K Y
"""

_ONSETS: Final = frozenset(
    tuple(onset.split()) for line in _ONSETS_TABLE.strip().splitlines() for onset in line.split(",")
)
"""The onsets of English words: the tables of Roach, *English Phonetics and Phonology*, chapter 8,
less what American English has lost (no glide after T, D, N, L, S: `val-ue`, `con-tin-ue`) and the onsets of
single loanwords (`schlep`, `sri`)."""

_MAX_ONSET_PHONES: Final = max(map(len, _ONSETS))


def syllabify(phones: Sequence[str]) -> list[range]:
    """The syllables of one word as ranges of phone indices that cover all phones, in order.

    phones: ARPAbet, stress digits allowed. A word without a vowel (`shh`) is one syllable; no phones give
    none. Compounds are split as if they were one word: `up-right` becomes AH-P R AY T.
    """
    bare = [phone.rstrip("012") for phone in phones]
    nuclei = [index for index, phone in enumerate(bare) if phone in VOWELS]
    inner = [_onset_start(bare, left, right) for left, right in pairwise(nuclei)]
    edges = [0, *inner, len(bare)] if bare else []
    return [range(start, end) for start, end in pairwise(edges)]


def _onset_start(phones: Sequence[str], left: int, right: int) -> int:
    """Start of the longest legal onset of the vowel at `right`, after the vowel at `left`."""
    earliest = max(left + 1, right - _MAX_ONSET_PHONES)
    return next((start for start in range(earliest, right) if tuple(phones[start:right]) in _ONSETS), right)
