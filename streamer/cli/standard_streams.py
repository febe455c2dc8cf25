"""Standard input, output and error of a process that was started without them, or whose reader has gone."""

from __future__ import annotations

import errno
import io
import os
import sys
from typing import Final

_DISK_ERRORS: Final = (errno.ENOSPC, errno.EIO)
_DESCRIPTORS: Final = (0, 1, 2)


def open_missing() -> None:
    """Let a standard stream that is closed (`>&-`, some service managers) be the null device.

    Otherwise the next file or socket would get its descriptor, and whatever a library prints.
    """
    for descriptor in _DESCRIPTORS:
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest free descriptor, which is this one
    if sys.stdout is None:
        sys.stdout = io.TextIOWrapper(io.FileIO(1, "w", closefd=False), encoding="utf-8")
    if sys.stderr is None:
        sys.stderr = io.TextIOWrapper(io.FileIO(2, "w", closefd=False), encoding="utf-8", line_buffering=True)


def is_full_disk(error: OSError) -> bool:
    return error.errno in _DISK_ERRORS


def report_full_disk(error: OSError) -> int:
    """Print the line, and return the exit status."""
    print(f"emostream: expected to write the results, got: {error.strerror}; make room", file=sys.stderr)
    return 2


def flush_output(status: int) -> int:
    """Write what is buffered for standard output. Return the exit status: `status` where it is not 0, else 1
    where the reader has closed the pipe, and 2 where the disk is full.
    """
    try:
        sys.stdout.flush()
    except OSError as error:
        # Python would try once more as it exits, and print a traceback.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if status:
            return status
        return report_full_disk(error) if is_full_disk(error) else 1
    return status
