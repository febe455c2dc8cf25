"""SHA-256 of large files, computed once per process."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path


def sha256_of(file: Path) -> str:
    """Hexadecimal SHA-256 of a file. Computed again only where path, size or modification time change.

    Raises OSError.
    """
    real = file.resolve(strict=True)  # the hub's cache links to one copy from several places
    status = real.stat()
    return _sha256(real, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=16)
def _sha256(file: Path, _size: int, _modified_ns: int) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
