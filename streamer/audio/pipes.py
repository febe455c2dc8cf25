"""Recordings that come through a pipe: standard input as `-`, named pipes, a shell's `<(...)`.

Read once and forwards, as they come; what cannot be decoded so, because its index is at its end, is read into
memory first.
"""

from __future__ import annotations

import io
import os
import select
import stat
import sys
from pathlib import Path
from typing import BinaryIO, Final

from ..errors import SourceError
from .file_signatures import file_kind

STDIN: Final = Path("-")
_HEAD_BYTES: Final = 4_096
_INDEX_AT_END: Final = frozenset({"MP4", "CAF"})


def is_pipe(path: Path) -> bool:
    """Whether its bytes come once and in order: `-`, a named pipe or another process's output."""
    if path == STDIN:
        return True
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or stat.S_ISCHR(mode)


class Pipe:
    """A pipe as the file object that a decoder reads. head: its first bytes, of which none is taken.

    A read waits for what is there, not for as much as was asked for, and `interrupt` ends it from another
    thread: what is read from then on is the end.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._interrupted = False
        self._wake_read, self._wake_write = os.pipe()
        self.head = self._read_head()
        self._unread = self.head

    def _read_head(self) -> bytes:
        head = b""
        while len(head) < _HEAD_BYTES and (data := self._read_some(_HEAD_BYTES - len(head))):
            head += data
        return head

    def _read_some(self, size: int) -> bytes:
        descriptor = self._file.fileno()
        if os.name != "nt":  # select takes sockets alone there
            ready, _, _ = select.select([descriptor, self._wake_read], [], [])
            if self._wake_read in ready:
                return b""
        return os.read(descriptor, size)

    def read(self, size: int = -1) -> bytes:
        """At most `size` bytes, at least one before the end."""
        if self._interrupted:
            return b""
        if self._unread:
            data, self._unread = self._unread[:size], self._unread[size:]
            return data
        return self._read_some(size if size > 0 else 1 << 16)

    def read_all(self) -> bytes:
        rest = io.BytesIO()
        while data := self.read(1 << 20):
            rest.write(data)
        return rest.getvalue()

    def interrupt(self) -> None:
        """From any thread."""
        self._interrupted = True
        os.write(self._wake_write, b"x")

    def close(self) -> None:
        for descriptor in (self._wake_read, self._wake_write):
            os.close(descriptor)
        self._file.close()


def open_pipe(path: Path) -> Pipe:
    """Waits for the first bytes. Raises SourceError."""
    if path != STDIN:
        try:
            return Pipe(path.open("rb", buffering=0))
        except OSError as error:
            raise SourceError(
                f"expected a recording from the pipe {path}, but it cannot be read: {error.strerror}; "
                "check its rights"
            ) from error
    if sys.stdin is None or sys.stdin.closed:
        raise SourceError("expected a recording on standard input, but it is closed; name a file")
    if sys.stdin.isatty():
        raise SourceError("expected a recording on standard input, got a terminal; pipe one, or name a file")
    return Pipe(os.fdopen(os.dup(sys.stdin.fileno()), "rb", buffering=0))


def decodable(pipe: Pipe) -> Pipe | BinaryIO:
    """What FFmpeg can open: the pipe itself, or all of it where its index may be at its end."""
    return io.BytesIO(pipe.read_all()) if file_kind(pipe.head) in _INDEX_AT_END else pipe
