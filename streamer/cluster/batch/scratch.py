"""A worker's folders for what is not whole yet, and those that killed workers left."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from uuid import uuid4

_SCRATCH: Final = re.compile(r"emostream-part-[0-9a-f]{32}")
_LOCK: Final = "in-use"
_YOUNG_S: Final = 60.0
"""It may not be locked yet."""


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """For what is not whole yet. Locked for as long as this process lives, however it ends."""
    folder = Path(tempfile.gettempdir()) / f"emostream-part-{uuid4().hex}"
    folder.mkdir(mode=0o700)
    lock = os.open(folder / _LOCK, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        _locked(lock)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def remove_stale_scratch() -> None:
    """On this machine, whichever run they are of: nobody holds their locks."""
    for folder in Path(tempfile.gettempdir()).iterdir():
        if not _SCRATCH.fullmatch(folder.name):
            continue
        try:
            about = folder.lstat()
            if about.st_uid != os.getuid() or time.time() - about.st_mtime < _YOUNG_S:
                continue
            lock = os.open(folder / _LOCK, os.O_RDWR)
        except OSError:  # somebody else is removing it
            continue
        try:
            if _locked(lock):
                shutil.rmtree(folder, ignore_errors=True)
        finally:
            os.close(lock)


def _locked(lock: int) -> bool:
    """Whether it is ours now."""
    import fcntl

    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
