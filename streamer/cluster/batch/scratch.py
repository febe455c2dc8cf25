"""Scratch folders of workers, with removal of those that killed workers left behind."""

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
_MIN_AGE_S: Final = 60.0
"""A younger folder may not be locked yet."""


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """A folder for unfinished files, locked for the lifetime of this process, however it ends."""
    folder = Path(tempfile.gettempdir()) / f"emostream-part-{uuid4().hex}"
    folder.mkdir(mode=0o700)
    lock = os.open(folder / _LOCK, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        _try_lock(lock)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def remove_stale_scratch() -> None:
    """Remove the unlocked scratch folders of any run on this machine."""
    for folder in Path(tempfile.gettempdir()).iterdir():
        if not _SCRATCH.fullmatch(folder.name):
            continue
        try:
            status = folder.lstat()
            if status.st_uid != os.getuid() or time.time() - status.st_mtime < _MIN_AGE_S:
                continue
            lock = os.open(folder / _LOCK, os.O_RDWR)
        except OSError:  # another process is removing it
            continue
        try:
            if _try_lock(lock):
                shutil.rmtree(folder, ignore_errors=True)
        finally:
            os.close(lock)


def _try_lock(lock: int) -> bool:
    """Whether the lock was acquired."""
    import fcntl

    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
