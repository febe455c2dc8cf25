"""File names as they can be written anywhere.

Linux lets a name be any bytes. Python keeps those that are no UTF-8 as lone surrogates, which open the file
again but which no terminal, JSON or font takes.
"""

from __future__ import annotations

import os


def shown(name: str | os.PathLike[str]) -> str:
    """A path, or a message with one in it, for people and programs: U+FFFD stands for what is no UTF-8."""
    return os.fsencode(name).decode("utf-8", "replace")
