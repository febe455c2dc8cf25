"""File names as valid Unicode, for output.

On Linux a name may be any bytes. Python decodes bytes that are not UTF-8 as lone surrogates, which open the
file again but which no terminal, JSON encoder or font accepts.
"""

from __future__ import annotations

import os


def printable(name: str | os.PathLike[str]) -> str:
    """A path, or a message with one in it, with U+FFFD in place of bytes that are not UTF-8."""
    return os.fsencode(name).decode("utf-8", "replace")
