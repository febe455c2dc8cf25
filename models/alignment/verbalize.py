"""Verbalization of a written word: numbers and signs become words, one token per dictionary word."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from num2words import num2words

from ..text_normalization import normalize_text

_SIGNS: Final = {"&": "and", "%": "percent", "+": "plus", "=": "equals", "@": "at", "°": "degrees"}
_CURRENCIES: Final = {"$": "dollar", "£": "pound", "€": "euro"}
_SCALES: Final = {"k": "thousand", "m": "million", "mn": "million", "b": "billion", "bn": "billion"}
_LETTERS: Final = str.maketrans(
    {"ł": "l", "ø": "o", "ß": "ss", "æ": "ae", "œ": "oe", "đ": "d", "ð": "th", "þ": "th", "\u0131": "i"}
)
"""Latin letters that Unicode does not decompose into a base letter and an accent."""

_MONEY: Final = re.compile(
    rf"([{''.join(_CURRENCIES)}])\s*(\d{{1,3}}(?:,\d{{3}})+|\d+)(\.\d+)?(?:({'|'.join(_SCALES)})\b)?",
    re.IGNORECASE,
)
_TELEPHONE: Final = re.compile(r"(?<!\d)(?:\d-)?(?:\d{3}-){1,2}\d{4}(?![\d-])")
_NUMBER: Final = re.compile(r"(\d{1,3}(?:,\d{3})+|\d+)(\.\d+)?(st|nd|rd|th|s)?", re.IGNORECASE)

_MAX_NUMBER_DIGITS: Final = 12
"""Longer numbers are telephone or account numbers, spoken digit by digit."""


def verbalize(word: str) -> list[str]:
    """`It's` -> [it's]; `21st` -> [twenty, first]; `$5` -> [five, dollars]; `-` or `♪` -> [].

    word: one display word of a transcript. Tokens are lower case with inner apostrophes and without accents,
    as in the pronouncing dictionary; letters of other scripts stay as they are.
    """
    text = unicodedata.normalize("NFKC", word)
    text = _MONEY.sub(_verbalize_money, text)
    text = _TELEPHONE.sub(lambda match: " ".join(match[0].replace("-", "")), text)
    text = _NUMBER.sub(_verbalize_number, text)
    for sign, name in _SIGNS.items():
        text = text.replace(sign, f" {name} ")
    return _strip_accents(normalize_text(text)).split()


def _verbalize_money(match: re.Match[str]) -> str:
    """`$21.50` -> `21 dollars 50`; `$5.5m` -> `5.5 million dollars`. The numbers stay digits."""
    sign, integer, fraction, scale = match.groups()
    unit = _CURRENCIES[sign] if integer == "1" and not scale else f"{_CURRENCIES[sign]}s"
    if scale:
        return f" {integer}{fraction or ''} {_SCALES[scale.lower()]} {unit} "
    if fraction and len(fraction) == len(".50"):
        return f" {integer} {unit} {int(fraction[1:]) or ''} "
    return f" {integer}{fraction or ''} {unit} "


def _verbalize_number(match: re.Match[str]) -> str:
    written, fraction, ending = match.groups()
    digits = written.replace(",", "")
    if len(digits) > _MAX_NUMBER_DIGITS or (digits[0] == "0" and len(digits) > 1):
        words = " ".join(num2words(int(digit)) for digit in digits)
    elif ending and ending.lower() != "s":
        words = num2words(int(digits), to="ordinal")
    elif _is_year(written):
        words = num2words(int(digits), to="year")
    else:
        words = num2words(int(digits))
    if fraction:
        words += " point " + " ".join(num2words(int(digit)) for digit in fraction[1:])
    if ending == "s":  # the nineties
        words = f"{words[:-1]}ies" if words.endswith("y") else f"{words}s"
    return f" {words} "


def _is_year(written: str) -> bool:
    """Four digits that are read in pairs; of the 2000s only those that are not `two thousand ...`."""
    return len(written) == 4 and (1100 <= int(written) < 2000 or 2010 <= int(written) < 2100)


def _strip_accents(text: str) -> str:
    """Lower-case text without accents: `łódź` -> `lodz`."""
    decomposed = unicodedata.normalize("NFKD", text.translate(_LETTERS))
    return "".join(character for character in decomposed if not unicodedata.combining(character))
