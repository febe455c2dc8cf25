"""Text normalization, the same in training and in serving.

Written text has case and punctuation, the fallback transcriber outputs neither, so neither may matter.
"""

from __future__ import annotations

import re
import unicodedata

_APOSTROPHES = str.maketrans({"\u2019": "'", "\u2018": "'", "\u02bc": "'", "`": "'"})
_NOT_SPOKEN = re.compile(r"[^\w']|_")
_LOOSE_APOSTROPHE = re.compile(r"(?<!\w)'|'(?!\w)")


def normalize_text(text: str) -> str:
    """Lower case, letters, digits and inner apostrophes, single spaces: `It's GREAT!` -> `it's great`."""
    text = unicodedata.normalize("NFKC", text).translate(_APOSTROPHES).lower()
    text = _LOOSE_APOSTROPHE.sub(" ", _NOT_SPOKEN.sub(" ", text))
    return " ".join(text.split())
