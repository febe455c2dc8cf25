"""Files that were joined byte by byte, each part with headers of its own: WAV, Ogg, WebM, FLAC and MP4 files.

FFmpeg ends at the first WAV's data or MP4's table of contents, at an Ogg link with other parameters and at a
second WebM, and takes a FLAC with other parameters for damage, so each part is opened as a file of its own. A
WAV whose header declares another length than it has is mended here too.
"""

from __future__ import annotations

import io
import mmap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from .memory_file import MemoryFile, Recording

_UNKNOWN_SIZE: Final = 0x7FFF_0000
"""Programs that write a WAV into a pipe put this or more where its length should be."""

_LONGEST_SEARCH: Final = 1 << 30
"""Bytes. A longer file is a film: two are not joined, and a search would delay its beginning."""

_LEAST_REST_S: Final = 0.1
"""Less than that behind the declared data is padding, no sound."""

_OGG_FIRST_PAGE: Final = b"OggS\x00\x02"
_WAV: Final = (b"RIFF", b"RF64")
_EBML: Final = b"\x1a\x45\xdf\xa3"
_DOCTYPE: Final = b"\x42\x82"
_EBML_HEADER: Final = 64
"""Bytes within which the header of a Matroska or WebM file names the type of the document."""


_FLAC: Final = b"fLaC"
_STREAM_INFO: Final = (b"\x00\x00\x00\x22", b"\x80\x00\x00\x22")
"""The header of FLAC's first block of metadata; the bit is set where it is the only one."""


_Bytes = mmap.mmap | bytes


@dataclass(frozen=True, slots=True)
class Part:
    """Bytes `begin` to `end` of a file. size_at: where in the file the length of a WAV's data stands, if it
    has to be replaced by `size`. declared_s: what a WAV's header says that it has, where that is more. note:
    what is unusual, for people; empty if nothing is.
    """

    begin: int
    end: int
    size_at: int | None = None
    size: int = 0
    declared_s: float | None = None
    note: str = ""


def parts_of(path: Recording) -> list[Part]:
    """One for nearly every file, which need not be read apart then. Raises OSError."""
    with path.open("rb") as file:
        head = file.read(8)
        size = file.seek(0, io.SEEK_END)
        find = _mp4s if head[4:] == b"ftyp" else _FINDERS.get(head[:4])
        if find is None or (find is not _wavs and size > _LONGEST_SEARCH):
            return [Part(0, size)]
        if isinstance(path, MemoryFile):
            return list(find(path.data))
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return list(find(data))


class PartFile(io.RawIOBase):
    """A part as a file of its own, for `av.open`."""

    def __init__(self, path: Recording, part: Part) -> None:
        self._file = path.open("rb")
        self._part = part
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        origin = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._part.end - self._part.begin}
        self._at = max(0, origin[whence] + offset)
        return self._at

    def read(self, size: int = -1) -> bytes:
        part, first = self._part, self._part.begin + self._at
        left = max(0, part.end - first)
        self._file.seek(first)
        data = self._file.read(left if size < 0 else min(size, left))
        self._at += len(data)
        if part.size_at is not None and first < part.size_at + 4 and part.size_at < first + len(data):
            patched = bytearray(data)
            for i, byte in enumerate(min(part.size, 0xFFFF_FFFF).to_bytes(4, "little"), part.size_at - first):
                if 0 <= i < len(patched):
                    patched[i] = byte
            data = bytes(patched)
        return data

    def close(self) -> None:
        self._file.close()
        super().close()


def _ogg_links(data: _Bytes) -> Iterator[Part]:
    """A chain's links begin with first pages, one for each of their streams, that follow other pages."""
    begin, after_firsts = 0, 0
    at = data.find(_OGG_FIRST_PAGE, 0)
    while at >= 0:
        if at > after_firsts and _is_first_page(data, at):
            yield Part(begin, at)
            begin = at
        after_firsts = _page_end(data, at)
        at = data.find(_OGG_FIRST_PAGE, at + len(_OGG_FIRST_PAGE))
    yield Part(begin, len(data))


def _is_first_page(data: _Bytes, at: int) -> bool:
    """Sound may hold the same bytes by chance: a first page has position 0 and number 0, and its end is the
    beginning of another page.
    """
    end = _page_end(data, at)
    return (
        data[at + 6 : at + 14] == bytes(8)
        and data[at + 18 : at + 22] == bytes(4)
        and data[end : end + 4] == b"OggS"
    )


def _page_end(data: _Bytes, at: int) -> int:
    table = data[at + 27 : at + 27 + data[at + 26]] if at + 27 <= len(data) else b""
    return at + 27 + len(table) + sum(table)


def _matroskas(data: _Bytes) -> Iterator[Part]:
    begin, at = 0, len(_EBML)
    while (at := data.find(_EBML, at)) >= 0:
        header = data[at : at + _EBML_HEADER]
        if _DOCTYPE in header and (b"webm" in header or b"matroska" in header):
            yield Part(begin, at)
            begin = at
        at += len(_EBML)
    yield Part(begin, len(data))


def _flacs(data: _Bytes) -> Iterator[Part]:
    begin, at = 0, len(_FLAC)
    while (at := data.find(_FLAC, at)) >= 0:
        if data[at + 4 : at + 8] in _STREAM_INFO:
            yield Part(begin, at)
            begin = at
        at += len(_FLAC)
    yield Part(begin, len(data))


def _mp4s(data: _Bytes) -> Iterator[Part]:
    """Box by box; another `ftyp` begins another file where the one before has its table of contents."""
    begin, at, complete = 0, 0, False
    while at + 8 <= len(data):
        size, name = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        if size == 1:  # a long one
            size = int.from_bytes(data[at + 8 : at + 16], "big")
        if name == b"ftyp" and complete:
            yield Part(begin, at)
            begin, complete = at, False
        complete = complete or name == b"moov"
        if size < 8:
            break  # to the end of the file, or no box
        at += size
    yield Part(begin, len(data))


def _wavs(data: _Bytes) -> Iterator[Part]:
    at = 0
    while at < len(data):
        part = _wav(data, at)
        yield part
        at = part.end


def _wav(data: _Bytes, begin: int) -> Part:
    chunk, bytes_a_second, long_size = begin + 12, 0, 0
    while chunk + 8 <= len(data):
        name, size = data[chunk : chunk + 4], _size(data, chunk)
        if name == b"data":
            return _with_data(data, begin, chunk, long_size or size, bytes_a_second)
        if name == b"fmt ":
            bytes_a_second = int.from_bytes(data[chunk + 16 : chunk + 20], "little")
        elif name == b"ds64":
            long_size = int.from_bytes(data[chunk + 16 : chunk + 24], "little")
        chunk += 8 + size + size % 2
    return Part(begin, len(data))


def _with_data(data: _Bytes, begin: int, chunk: int, size: int, bytes_a_second: int) -> Part:
    first, size_at, rate = chunk + 8, chunk + 4, max(1, bytes_a_second)
    declared_end = first + size
    unknown = size == 0 or _UNKNOWN_SIZE <= size < 1 << 32
    if not unknown and declared_end <= len(data):
        # Some writers leave the padding out.
        for at in (declared_end + size % 2, declared_end):
            if (end := _end_of_chunks(data, at)) is not None:
                return Part(begin, end)
    following = _next_wav(data, first)
    stop = len(data) if following is None else following
    if unknown or declared_end > stop:
        declared_s = None if unknown else size / rate
        if following is None:  # FFmpeg reads to the end
            return Part(begin, stop, declared_s=declared_s)
        return Part(begin, stop, size_at, stop - first, declared_s)
    if stop - declared_end < _LEAST_REST_S * rate or not any(
        data[declared_end : min(stop, declared_end + rate)]
    ):
        return Part(begin, stop)
    note = (
        f"expected {size / rate:.1f} s of sound by the header, got {(stop - first) / rate:.1f} s: "
        "all of it is heard"
    )
    return Part(begin, stop, size_at, stop - first, note=note)


def _end_of_chunks(data: _Bytes, at: int) -> int | None:
    """Where the chunks after the sound end: the file's end or the next WAV; None where they are no chunks."""
    while at + 8 <= len(data):
        if _is_wav(data, at):
            return at
        name, size = data[at : at + 4], _size(data, at)
        if not all(0x20 <= byte < 0x7F for byte in name) or at + 8 + size > len(data):
            return None
        at += 8 + size + size % 2
    return len(data)


def _next_wav(data: _Bytes, at: int) -> int | None:
    while (at := data.find(b"WAVE", at)) >= 0:
        if at >= 8 and _is_wav(data, at - 8):
            return at - 8
        at += 4
    return None


def _is_wav(data: _Bytes, at: int) -> bool:
    return data[at : at + 4] in _WAV and data[at + 8 : at + 12] == b"WAVE"


def _size(data: _Bytes, chunk: int) -> int:
    return int.from_bytes(data[chunk + 4 : chunk + 8], "little")


_FINDERS: Final[dict[bytes, Callable[[_Bytes], Iterator[Part]]]] = {
    b"OggS": _ogg_links,
    b"RIFF": _wavs,
    b"RF64": _wavs,
    _EBML: _matroskas,
    _FLAC: _flacs,
}
"""By the first four bytes."""
