"""The pronouncing dictionary that comes with PocketSphinx, as a table."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Final

_FILE: Final = Path("model", "en-us", "cmudict-en-us.dict")


@cache
def pronouncing_dictionary() -> Mapping[str, tuple[str, ...]]:
    """Lower-case word -> its first pronunciation, ARPAbet without stress; empty where PocketSphinx is not
    installed.

    Some 125,000 words; 0.2 s at the first call.
    """
    found = find_spec("pocketsphinx")
    if found is None or not found.submodule_search_locations:
        return {}
    lines = (Path(found.submodule_search_locations[0]) / _FILE).read_text(encoding="utf-8").splitlines()
    entries = (line.split() for line in lines)
    return {word: tuple(phones) for word, *phones in entries if "(" not in word}
