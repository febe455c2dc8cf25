"""Where a figure was measured, and of which code."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path


def machine() -> str:
    software = f"Python {platform.python_version()}, torch {version('torch')}"
    return f"{_processor()}, {os.cpu_count()} cores; {software}"


def commit() -> str:
    """Short hash, with `+` where the tree differs from it; `unknown` outside a checkout."""
    folder = Path(__file__).resolve().parent
    described = subprocess.run(
        ["git", "describe", "--always", "--dirty=+", "--exclude=*"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    return described.stdout.strip() or "unknown"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next(
        (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown CPU"
    )
