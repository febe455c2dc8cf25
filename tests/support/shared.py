"""Where things are: the checkout and its packages, and the real speech, if this machine has it."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[2]
# The folders that become the package `emostream`.
PACKAGES = ("api", "streamer", "models", "training", "demo", "integrations")
SHARED = Path(os.environ.get("EMOSTREAM_SHARED", REPO.parent / "shared"))
DATA = SHARED / "data"

needs_data = pytest.mark.skipif(
    not (DATA / "manifest.csv").is_file(), reason=f"real speech is not at hand: no manifest.csv in {DATA}"
)


def manifest(**wanted: str) -> list[dict[str, str]]:
    """Rows of the manifest whose columns have these values; copies of other rows are left out."""
    with (DATA / "manifest.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    return [
        row for row in rows if not row["dup_of"] and all(row[name] == value for name, value in wanted.items())
    ]
