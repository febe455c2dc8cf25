"""The line that closes a run."""

from __future__ import annotations

from io import StringIO

import pytest
from rich.console import Console

from emostream.training.cli.console import print_total


@pytest.mark.parametrize(
    ("counts", "seconds", "line"),
    [
        ({"fold": 1, "fit": 22, "test clip": 396}, 1_024.6, "1 fold, 22 fits, 396 test clips; 0:17:05"),
        ({"clip": 1}, 0.2, "1 clip; 0:00:00"),
        ({"fit": 330}, 90_061.0, "330 fits; 1 day, 1:01:01"),
    ],
)
def test_a_run_closes_with_its_counts_and_its_time(counts: dict[str, int], seconds: float, line: str) -> None:
    written = StringIO()
    print_total(Console(file=written, width=20), counts, seconds)
    assert written.getvalue() == f"{line}\n"
