"""The images: what they copy is there, their command is one, and they do not run as root.

Building one takes gigabytes and a Docker daemon: that is for whoever releases them.
"""

from __future__ import annotations

import json
import re

import pytest

from tests.support.programs import run
from tests.support.shared import REPO

FILES = sorted((REPO / "docker").glob("Dockerfile*"))


def test_there_are_two() -> None:
    assert [file.name for file in FILES] == ["Dockerfile", "Dockerfile.cuda"]


@pytest.mark.parametrize("name", [file.name for file in FILES])
def test_what_it_copies_is_there_and_not_ignored(name: str) -> None:
    text = (REPO / "docker" / name).read_text(encoding="utf-8")
    copied = [word for line in re.findall(r"^COPY (?!--)(.*)", text, re.M) for word in line.split()[:-1]]
    wanted = (REPO / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert set(copied) == {line[1:] for line in wanted if line.startswith("!")}
    assert all((REPO / one).exists() for one in copied)


@pytest.mark.parametrize("name", [file.name for file in FILES])
def test_it_runs_as_somebody_else_than_root_and_is_looked_after(name: str) -> None:
    last = (REPO / "docker" / name).read_text(encoding="utf-8").rpartition("\nFROM ")[2]
    assert "\nUSER emostream\n" in last
    assert "\nHEALTHCHECK " in last
    assert "\nSTOPSIGNAL SIGTERM\n" in last


@pytest.mark.parametrize("name", [file.name for file in FILES])
def test_its_command_is_one_that_asks_for_the_tokens(name: str) -> None:
    """Outside the image the file of tokens is missing, and nothing else is wrong."""
    text = (REPO / "docker" / name).read_text(encoding="utf-8")
    found = re.search(r"^CMD (\[.*\])$", text, re.M)
    assert found is not None
    done = run(*json.loads(found[1]))
    assert done.returncode == 2
    assert "expected tokens in /run/secrets/emostream_tokens" in done.stderr
