"""A written word to what a speaker says for it: numbers and signs read out, one token a dictionary word."""

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
"""Latin letters that Unicode does not take apart into a plain one and its accent."""

_MONEY: Final = re.compile(
    rf"([{''.join(_CURRENCIES)}])\s*(\d{{1,3}}(?:,\d{{3}})+|\d+)(\.\d+)?(?:({'|'.join(_SCALES)})\b)?",
    re.IGNORECASE,
)
_TELEPHONE: Final = re.compile(r"(?<!\d)(?:\d-)?(?:\d{3}-){1,2}\d{4}(?![\d-])")
_NUMBER: Final = re.compile(r"(\d{1,3}(?:,\d{3})+|\d+)(\.\d+)?(st|nd|rd|th|s)?", re.IGNORECASE)

_MOST_DIGITS: Final = 12
"""Longer numbers are telephone or account numbers: nobody says them in trillions."""


def verbalize(word: str) -> list[str]:
    """`It's` -> [it's]; `21st` -> [twenty, first]; `$5` -> [five, dollars]; `-` or `♪` -> [].

    word: one display word of a transcript. Tokens are lower case with inner apostrophes and without accents,
    as in the pronouncing dictionary; letters of other scripts stay as they are.
    """
    text = unicodedata.normalize("NFKC", word)
    text = _MONEY.sub(_read_money, text)
    text = _TELEPHONE.sub(lambda found: " ".join(found[0].replace("-", "")), text)
    text = _NUMBER.sub(_read_out, text)
    for sign, name in _SIGNS.items():
        text = text.replace(sign, f" {name} ")
    return _in_plain_letters(normalize_text(text)).split()


def _read_money(found: re.Match[str]) -> str:
    """`$21.50` -> `21 dollars 50`; `$5.5m` -> `5.5 million dollars`. Numbers are left to be read out."""
    sign, whole, fraction, scale = found.groups()
    unit = _CURRENCIES[sign] if whole == "1" and not scale else f"{_CURRENCIES[sign]}s"
    if scale:
        return f" {whole}{fraction or ''} {_SCALES[scale.lower()]} {unit} "
    if fraction and len(fraction) == len(".50"):
        return f" {whole} {unit} {int(fraction[1:]) or ''} "
    return f" {whole}{fraction or ''} {unit} "


def _read_out(found: re.Match[str]) -> str:
    written, fraction, ending = found.groups()
    digits = written.replace(",", "")
    if len(digits) > _MOST_DIGITS or (digits[0] == "0" and len(digits) > 1):
        said = " ".join(num2words(int(digit)) for digit in digits)
    elif ending and ending.lower() != "s":
        said = num2words(int(digits), to="ordinal")
    elif _is_year(written):
        said = num2words(int(digits), to="year")
    else:
        said = num2words(int(digits))
    if fraction:
        said += " point " + " ".join(num2words(int(digit)) for digit in fraction[1:])
    if ending == "s":  # the nineties
        said = f"{said[:-1]}ies" if said.endswith("y") else f"{said}s"
    return f" {said} "


def _is_year(written: str) -> bool:
    """Four digits that people read in pairs; of two thousands only those that are not `two thousand ...`."""
    return len(written) == 4 and (1100 <= int(written) < 2000 or 2010 <= int(written) < 2100)


def _in_plain_letters(text: str) -> str:
    """Lower-case text without accents: `łódź` -> `lodz`."""
    decomposed = unicodedata.normalize("NFKD", text.translate(_LETTERS))
    return "".join(character for character in decomposed if not unicodedata.combining(character))
