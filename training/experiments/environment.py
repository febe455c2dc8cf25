"""The circumstances of a run (command, machine, commit), written above its table to make it reproducible."""

from __future__ import annotations

import os
import platform
import subprocess
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Final

_HERE: Final = Path(__file__).resolve().parent
_CODE: Final = ("--", ":/*.py", ":/*.toml")
"""What a figure can depend on, as git's pathspecs: a change in documentation is not one of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunMetadata:
    """command: as it was typed. corpus: its name in `--corpus`. protocol: how train and test were divided.
    protocol_name: in a setting. leaks: whether test speakers were trained on, which every figure then says.

    validation: description of the validation set. device: `cpu`, `cuda (NVIDIA H100)`. date: ISO 8601, a day.
    machine, commit: see the functions of these names. notes: anything else the reader must know.
    """

    command: str
    corpus: str
    protocol: str
    validation: str
    device: str
    date: str
    machine: str
    commit: str
    notes: tuple[str, ...] = ()
    protocol_name: str = ""
    leaks: bool = False


def machine() -> str:
    """Processor, cores, Python and torch."""
    software = f"Python {platform.python_version()}, torch {version('torch')}"
    return f"{_processor()}, {os.cpu_count()} cores; {software}"


def commit() -> str:
    """The commit of the code, `+ uncommitted changes` where code was changed since. Outside a checkout of
    this project, for example in a wheel installed below another project's folder, the package version."""
    if not _git("ls-files", "."):
        return f"emostream {version('emostream')}"
    changed = " + uncommitted changes" if _git("status", "--porcelain", "-uall", *_CODE) else ""
    return f"{_git('rev-parse', '--short=12', 'HEAD')}{changed}"


def _git(*arguments: str) -> str | None:
    """The output of git; None where it is not installed or fails."""
    try:
        done = subprocess.run(["git", *arguments], cwd=_HERE, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next(
        (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown CPU"
    )
