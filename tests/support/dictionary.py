"""The pronouncing dictionary that the pocketsphinx wheel carries, read as the text file that it is."""

from __future__ import annotations

from pathlib import Path

import pocketsphinx


def entries() -> list[tuple[str, list[str]]]:
    """All plain words with the phones of each of their pronunciations."""
    path = Path(pocketsphinx.get_model_path("en-us/cmudict-en-us.dict"))
    lines = [line.split() for line in path.read_text(encoding="utf-8").splitlines()]
    return [(word, phones) for word, *phones in lines if word.isascii() and word.isalpha()]
