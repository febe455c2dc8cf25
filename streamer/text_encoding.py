"""Text files as editors and shells write them: UTF-8, or UTF-16 as Windows does, with or without a mark."""

from __future__ import annotations

import codecs
from typing import Final

_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


def encoding_of(head: bytes) -> tuple[str, int]:
    """The encoding of a text by its first four bytes, and the length of its byte order mark.

    Without a mark, zero bytes beside ASCII characters tell UTF-16; everything else is UTF-8.
    """
    for mark, encoding in _MARKS:
        if head.startswith(mark):
            return encoding, len(mark)
    if len(head) >= 2 and head[0] and not head[1]:
        return "utf-16-le", 0
    if len(head) >= 2 and not head[0] and head[1]:
        return "utf-16-be", 0
    return "utf-8", 0


def decode_text(data: bytes) -> str:
    """Raises UnicodeDecodeError."""
    encoding, mark_bytes = encoding_of(data[:4])
    return data[mark_bytes:].decode(encoding)
