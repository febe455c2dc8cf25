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
_GENERATION: Final = {"family": "cpu family", "model": "model"}
_INSTRUCTIONS: Final = ("avx2", "avx512f", "avx_vnni", "avx512_vnni", "avx512_bf16", "amx_int8")
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
        return described_processor(Path("/proc/cpuinfo").read_text(encoding="utf-8"))
    except OSError:
        return platform.processor() or platform.machine()


def described_processor(cpuinfo: str) -> str:
    """From Linux's `/proc/cpuinfo`: the name, which a virtual machine may have shortened to less than a
    generation, and what tells generations apart: family, model, and instructions that int8 and bfloat16 use.
    """
    fields: dict[str, str] = {}
    for line in cpuinfo.splitlines():
        key, colon, value = line.partition(":")
        if colon:
            fields.setdefault(key.strip(), value.strip())
    flags = set(fields.get("flags", "").split())
    details = [f"{name} {fields[key]}" for name, key in _GENERATION.items() if key in fields]
    details += [flag for flag in _INSTRUCTIONS if flag in flags]
    return fields.get("model name", "unknown CPU") + (f" ({', '.join(details)})" if details else "")
