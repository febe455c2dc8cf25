"""`python -m benchmarks.peers`: a peer that is missing or fails takes nothing from the others."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from benchmarks.peers import __main__ as program
from benchmarks.peers.delay import Delays
from benchmarks.peers.environment import NotInstalledError
from benchmarks.peers.measure import Load, PeerFailedError
from benchmarks.peers.page import MeasuredRow
from benchmarks.peers.peer import Peer


class Installs:
    """Which environments were asked for; that of RealtimeSTT cannot be made."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def __call__(self, peer: Peer, folder: Path, python: str) -> str:
        self.asked.append(peer.name)
        if peer.name == "RealtimeSTT":
            raise NotInstalledError("RealtimeSTT cannot be installed: portaudio.h not found")
        return "python3"


async def measured(peer: Peer, python: str, load: Load) -> MeasuredRow:
    if peer.name == "WhisperLive" and len(load.workloads) == 2:
        raise PeerFailedError("WhisperLive's server ended: out of memory")
    return MeasuredRow(peer, load.model, len(load.workloads), Delays((0.6,)), 0.5, 500.0)


@pytest.fixture
def installs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Installs:
    found = Installs()
    monkeypatch.setattr(program, "python_of", found)
    monkeypatch.setattr(program, "measure", measured)
    monkeypatch.setattr(program, "local_copies", lambda model, say: iter([SimpleNamespace(folder=tmp_path)]))
    monkeypatch.setattr(program, "RESULTS", tmp_path / "peers.md")
    return found


def test_a_missing_peer_is_one_line_and_the_others_have_their_rows(
    installs: Installs, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--peers", "RealtimeSTT", "WhisperLive", "emostream", "--clients", "1,2", "--seconds", "5"]
    assert program.main([*arguments, "--models", "base"]) == 1
    assert installs.asked == ["RealtimeSTT", "WhisperLive", "emostream"]  # once each
    said = capsys.readouterr().err.splitlines()
    assert said[0] == "RealtimeSTT cannot be installed: portaudio.h not found; the others are measured"
    assert said[1] == "6 rows, about 88 s"
    assert said[2] == "[1/6] RealtimeSTT, Whisper base, clients: 1; 88 s left"
    rows = (tmp_path / "peers.md").read_text(encoding="utf-8")
    assert "| RealtimeSTT | base | 2 | not run: RealtimeSTT cannot be installed" in rows
    assert "| WhisperLive | base | 1 | 600 / 600 |" in rows
    assert "| WhisperLive | base | 2 | not run: WhisperLive's server ended: out of memory |" in rows
    assert "| emostream | base | 2 | 100 / 100 |" in rows


def test_where_all_are_measured_the_exit_status_is_0(installs: Installs, tmp_path: Path) -> None:
    assert program.main(["--peers", "emostream", "--clients", "1", "--seconds", "5"]) == 0
    assert program.main(["--peers", "emostream", "--clients", "1", "--seconds", "5", "--no-write"]) == 0
