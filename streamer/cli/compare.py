"""`emostream compare`: two models, or a model and human labels."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Literal

from rich.console import Console

from ..comparison.agreement import agreement
from ..comparison.labels import read_labels
from ..comparison.pairing import pair
from ..comparison.report import Comparison, print_comparison, write_csv, write_json
from ..display_paths import printable
from ..errors import ConfigError, SourceError


def compare(
    *,
    first: Path,
    second: Path,
    form: Literal["text", "json", "csv"],
    renamed: list[str] | None,
    most: int,
) -> None:
    """Run the command; `commands.compare` has its options."""
    names = _names(renamed or [])
    pairs = pair(read_labels(first, names), read_labels(second, names))
    if not pairs.both:
        raise SourceError(
            f"expected utterances of the same recordings in {printable(first)} and {printable(second)}, got "
            f"{len(pairs.only_first)} and {len(pairs.only_second)} without a partner; check names and times"
        )
    comparison = Comparison(printable(first), printable(second), pairs, agreement(pairs.both))
    if form == "json":
        write_json(comparison, sys.stdout)
    elif form == "csv":
        write_csv(comparison, sys.stdout)
    else:
        print_comparison(comparison, Console(), most)


def _names(options: list[str]) -> dict[str, str]:
    """Raises ConfigError."""
    names = {}
    for option in options:
        theirs, equals, ours = option.partition("=")
        if not (equals and theirs.strip() and ours.strip()):
            raise ConfigError(f"expected --map THEIRS=OURS, got {option!r}; name both labels")
        names[theirs.strip().casefold()] = ours.strip().casefold()
    return names
