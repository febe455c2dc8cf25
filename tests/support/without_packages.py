"""Programs in an environment that lacks some packages."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from sysconfig import get_path

import emostream


def environment_without(names: Iterable[str], folder: Path) -> Path:
    """Fills `folder` with links to every installed package but those of `names`, and to emostream."""
    left_out = set(names)
    for place in {get_path("purelib"), get_path("platlib")}:
        for entry in Path(place).iterdir():
            link = folder / entry.name
            if entry.name.split("-")[0].split(".")[0] not in left_out and not link.is_symlink():
                link.symlink_to(entry)
    own = folder / "emostream"
    if not own.is_symlink():
        own.symlink_to(Path(next(iter(emostream.__path__))))
    return folder


def run_in(environment: Path, program: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """`program`, Python code, where `environment` takes the place of the installed packages."""
    begin = f"import sys; sys.path.append({str(environment)!r})\n"
    command: Sequence[str | Path] = [sys.executable, "-S", "-c", begin + program, *arguments]
    own = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(command, env=own, capture_output=True, text=True, check=False)
