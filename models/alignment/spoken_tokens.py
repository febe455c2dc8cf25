"""A written word to what a speaker says for it: numbers and signs read out, one token a dictionary word."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from num2words import num2words

from ..wording import spoken

_SIGNS: Final = {"&": "and", "%": "percent", "+": "plus", "=": "equals", "@": "at", "°": "degrees"}
_CURRENCIES: Final = {"$": "dollars", "£": "pounds", "€": "euros"}

_MONEY: Final = re.compile(rf"([{''.join(_CURRENCIES)}])\s*(\d[\d,.]*\d|\d)")
_NUMBER: Final = re.compile(r"(\d{1,3}(?:,\d{3})+|\d+)(\.\d+)?(st|nd|rd|th|s)?", re.IGNORECASE)

_MOST_DIGITS: Final = 12
"""Longer numbers are telephone or account numbers: nobody says them in trillions."""


def spoken_tokens(word: str) -> list[str]:
    """`It's` -> [it's]; `21st` -> [twenty, first]; `$5` -> [five, dollars]; `-` or `♪` -> [].

    word: one display word of a transcript. Tokens are lower case with inner apostrophes and without accents,
    as in the pronouncing dictionary.
    """
    text = unicodedata.normalize("NFKC", word)
    text = _MONEY.sub(lambda found: f"{found[2]} {_CURRENCIES[found[1]]}", text)
    text = _NUMBER.sub(_read_out, text)
    for sign, name in _SIGNS.items():
        text = text.replace(sign, f" {name} ")
    return _without_accents(spoken(text)).split()


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


def _without_accents(text: str) -> str:
    decomposed = unicodedata.normalize("NFKD", text)
    return "".join(character for character in decomposed if not unicodedata.combining(character))
