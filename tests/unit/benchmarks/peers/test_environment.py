"""A peer's environment: made once, by pip, without the dependencies that no server needs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.peers.environment import NotInstalledError, python_of
from benchmarks.peers.peer import PEERS

WHISPER_LIVE = PEERS["WhisperLive"]


class Commands:
    """Runs nothing; `fail` is a word of the command that ends with an error."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, fail: str = "") -> None:
        self.ran: list[list[str]] = []
        self._fail = fail
        monkeypatch.setattr(subprocess, "run", self._run)

    def _run(self, command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        self.ran.append(command)
        if self._fail in command:
            return subprocess.CompletedProcess(command, 1, "", "warning: x\nERROR: no such release\nmore")
        if "venv" in command:
            Path(command[-1]).mkdir(parents=True)
        return subprocess.CompletedProcess(command, 0, "", "")


def test_it_is_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands = Commands(monkeypatch)
    first = python_of(WHISPER_LIVE, tmp_path, "python3")
    made = len(commands.ran)
    assert made == 3
    assert python_of(WHISPER_LIVE, tmp_path, "python3") == first
    assert len(commands.ran) == made
    assert first.startswith(str(tmp_path))
    assert commands.ran[-1][-2:] == ["--no-deps", "whisper-live==0.10.0"]
    assert "torch==2.13.0" in commands.ran[1]


def test_one_that_failed_is_made_again_from_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Commands(monkeypatch, fail="--no-deps")
    with pytest.raises(NotInstalledError, match="WhisperLive cannot be installed: ERROR: no such release"):
        python_of(WHISPER_LIVE, tmp_path, "python3")
    commands = Commands(monkeypatch)
    python_of(WHISPER_LIVE, tmp_path, "python3")
    assert len(commands.ran) == 3


def test_emostream_runs_in_this_environment(tmp_path: Path) -> None:
    assert python_of(PEERS["emostream"], tmp_path, "python3") == sys.executable
    assert list(tmp_path.iterdir()) == []
