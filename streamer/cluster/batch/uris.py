"""Files beyond this machine's folders, through whatever fsspec has a driver for: `s3://bucket/folder`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from emostream.streamer.display_paths import shown
from emostream.streamer.errors import ConfigError


def is_uri(place: str) -> bool:
    """Whether it is no path."""
    return "://" in place


def is_local_filesystem(system: Any) -> bool:
    """Whether an fsspec file system is that of this machine, or one that is made of it."""
    from fsspec.implementations.local import LocalFileSystem

    return isinstance(system, LocalFileSystem)


def local_path(place: str) -> Path | None:
    """Of an address that is just another spelling of a path (`file://`); otherwise None."""
    from fsspec.implementations.local import LocalFileSystem

    if "::" in place:
        return None
    system, path = opened(place)
    return Path(path) if type(system) is LocalFileSystem else None


def opened(place: str) -> tuple[Any, str]:
    """The fsspec file system of an address or a path, and the path in it.

    Raises ConfigError where there is no driver for it, or it does not take the address.
    """
    from fsspec import filesystem
    from fsspec.core import url_to_fs

    if not is_uri(place):
        return filesystem("file"), str(Path(place).absolute())
    try:
        system, path = url_to_fs(place)
    except Exception as error:  # every driver has errors of its own
        raise ConfigError(
            f"expected an address that fsspec reaches on every node, got {shown(place)}: {line_of(error)}; "
            "install its driver (such as s3fs for s3://), or correct the address"
        ) from error
    return system, str(path)


def line_of(error: Exception) -> str:
    """What it says, on one line."""
    return " ".join(str(error).split()) or type(error).__name__
