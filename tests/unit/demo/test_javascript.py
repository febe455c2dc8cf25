"""The page's logic, tested in Node: every `*.test.js` beside this file is one test here."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest

HERE: Final = Path(__file__).parent
NODE: Final = shutil.which("node")
OLDEST: Final = (20, 19)  # the first that recognizes an ES module by its syntax
TIMEOUT_S: Final = 300  # a bound on hanging


def reason_to_skip() -> str | None:
    if NODE is None:
        return "expected node on the path, found none (apt install nodejs)"
    version = subprocess.run([NODE, "--version"], capture_output=True, text=True, check=True).stdout
    numbers = tuple(int(number) for number in re.findall(r"\d+", version)[:2])
    return None if numbers >= OLDEST else f"expected Node 20.19 or newer, got {version.strip()}"


SKIPPED: Final = reason_to_skip()


@pytest.mark.skipif(SKIPPED is not None, reason=str(SKIPPED))
@pytest.mark.parametrize("file", sorted(HERE.glob("*.test.js")), ids=lambda file: file.name)
def test_in_node(file: Path) -> None:
    done = subprocess.run(
        [str(NODE), "--test", "--test-reporter=tap", file],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
    )
    assert done.returncode == 0, f"{file.name} failed\n{failures(done.stdout)}{done.stderr}"
    assert re.search(r"^# pass [1-9]", done.stdout, re.M), f"{file.name} has no tests"


def failures(tap: str) -> str:
    """The failed tests of a TAP report, each with its explanation."""
    found = re.findall(r"^not ok .*\n(?:  .*\n)*", tap, re.M)
    return "\n".join(found) or tap
