"""The provenance of a table: the commit, and whether the code was changed since."""

from __future__ import annotations

import re
import subprocess
from importlib.metadata import version
from pathlib import Path

import pytest

from emostream.training.experiments import environment
from emostream.training.experiments.environment import commit, machine


def git(folder: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    git(tmp_path, "init")
    (tmp_path / "module.py").write_text("x = 1\n", encoding="utf-8")
    monkeypatch.setattr(environment, "_HERE", tmp_path)
    return tmp_path


def test_the_commit_is_marked_if_code_was_changed(checkout: Path) -> None:
    assert commit() == f"emostream {version('emostream')}"  # a repository that does not contain this code
    git(checkout, "add", ".")
    git(checkout, "commit", "-m", "first")
    clean = commit()
    assert re.fullmatch("[0-9a-f]{12}", clean)
    (checkout / "results.csv").write_text("1\n", encoding="utf-8")
    assert commit() == clean
    (checkout / "module.py").write_text("x = 2\n", encoding="utf-8")
    assert commit() == f"{clean} + uncommitted changes"


def test_a_new_module_is_an_uncommitted_change(checkout: Path) -> None:
    git(checkout, "add", ".")
    git(checkout, "commit", "-m", "first")
    (checkout / "package").mkdir()
    (checkout / "package" / "new.py").write_text("y = 1\n", encoding="utf-8")
    assert commit().endswith(" + uncommitted changes")


def test_the_machine_is_described() -> None:
    assert re.search(r"\d+ cores; Python 3\.\d+\.\d+, torch \d+\.\d+", machine())
