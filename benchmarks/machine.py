"""Where a figure was measured, and of which code."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

_LIBRARIES: Final = ("torch", "onnxruntime", "ctranslate2")
_FOLDER: Final = Path(__file__).resolve().parent


def machine() -> str:
    software = [f"Python {platform.python_version()}"]
    for library in _LIBRARIES:
        try:
            software.append(f"{library} {version(library)}")
        except PackageNotFoundError:
            continue
    return f"{_processor()}, {os.cpu_count()} cores; {', '.join(software)}"


def stamp() -> str:
    """Date, commit and machine, as the pages of results state them."""
    return f"{datetime.now(UTC):%Y-%m-%d} at commit {commit()}, {machine()}"


def commit() -> str:
    """Short hash, with `+` where the tree differs from it in more than measured pages; `unknown` outside a
    checkout.
    """
    described = _git("rev-parse", "--short", "HEAD")
    pages = ":(top,exclude)benchmarks/*.md"
    changed = _git("status", "--porcelain", "--untracked-files=no", "--", ":(top)", pages)
    return f"{described}{'+' if changed else ''}" or "unknown"


def _git(*arguments: str) -> str:
    """Its output; nothing where there is no git, or no checkout."""
    try:
        done = subprocess.run(["git", *arguments], cwd=_FOLDER, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next(
        (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown CPU"
    )
