"""The page's logic, tested in Node: every `*.test.js` beside this file is one test here."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import pytest

from tests.support.node import needs_node, run_node

HERE: Final = Path(__file__).parent


@needs_node
@pytest.mark.parametrize("file", sorted(HERE.glob("*.test.js")), ids=lambda file: file.name)
def test_in_node(file: Path) -> None:
    done = run_node("--test", "--test-reporter=tap", file)
    assert done.returncode == 0, f"{file.name} failed\n{failures(done.stdout)}{done.stderr}"
    assert re.search(r"^# pass [1-9]", done.stdout, re.M), f"{file.name} has no tests"


def failures(tap: str) -> str:
    """The failed tests of a TAP report, each with its explanation."""
    found = re.findall(r"^not ok .*\n(?:  .*\n)*", tap, re.M)
    return "\n".join(found) or tap
