"""An environment of its own for each peer, never the project's."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from benchmarks.peers.peer import OWN_PYTHON, Peer, needs_environment


class NotInstalledError(Exception):
    """Why a peer cannot be installed, in one line."""


def default_folder() -> Path:
    cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(cache) / "emostream-peers"


def python_of(peer: Peer, folder: Path, python: str) -> str:
    """The interpreter with the peer installed; made below `folder` at the first call. python: makes it.
    Raises NotInstalledError.
    """
    if not needs_environment(peer):
        return OWN_PYTHON
    wanted = "\n".join([python, *peer.needs, *peer.packages])
    place = folder / f"{peer.name}-{hashlib.sha256(wanted.encode()).hexdigest()[:12]}"
    interpreter = place / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    done = place / "installed"
    if done.exists():
        return str(interpreter)
    print(f"{peer.name}: installing into {place}", file=sys.stderr, flush=True)
    shutil.rmtree(place, ignore_errors=True)
    _run(peer, [python, "-m", "venv", str(place)])
    pip = [str(interpreter), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    _run(peer, [*pip, *peer.needs])
    _run(peer, [*pip, "--no-deps", *peer.packages])
    done.write_text(wanted + "\n", encoding="utf-8")
    return str(interpreter)


def _run(peer: Peer, command: list[str]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        raise NotInstalledError(f"{command[0]}: {error.strerror}") from error
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if "error" in line.lower()] or ["no message"]
        raise NotInstalledError(f"{peer.name} cannot be installed: {lines[0].strip()[:200]}")
