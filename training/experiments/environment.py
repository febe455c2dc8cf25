"""Under what circumstances a table came about: written above it, so that it can be made again."""

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
"""What a figure can depend on, as git's pathspecs: a change in a document is none of the code."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunMetadata:
    """command: as it was typed. corpus: its name in `--corpus`. protocol: who was trained on, who judged.

    validation: what validation was, in words. device: `cpu`, `cuda (NVIDIA H100)`. date: ISO 8601, a day.
    machine, commit: see the functions of these names. notes: anything else that a reader must know.
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


def machine() -> str:
    """Processor, cores, Python and torch."""
    software = f"Python {platform.python_version()}, torch {version('torch')}"
    return f"{_processor()}, {os.cpu_count()} cores; {software}"


def commit() -> str:
    """The commit of the code, `+ uncommitted changes` where code was changed since. Outside a checkout of
    this project, as is a wheel installed below another project's folder, the version of the package."""
    if not _git("ls-files", "."):
        return f"emostream {version('emostream')}"
    changed = " + uncommitted changes" if _git("status", "--porcelain", "-uall", *_CODE) else ""
    return f"{_git('rev-parse', '--short=12', 'HEAD')}{changed}"


def _git(*arguments: str) -> str | None:
    """What git answered, None where it is not installed or refused."""
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
