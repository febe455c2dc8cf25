"""URIs of files outside this machine's folders, such as `s3://bucket/folder`, opened with fsspec."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from emostream.streamer.display_paths import printable
from emostream.streamer.errors import ConfigError


def is_uri(place: str) -> bool:
    """Whether it is a URI and not a path."""
    return "://" in place


def is_local_filesystem(system: Any) -> bool:
    """Whether an fsspec file system is this machine's, or derived from it."""
    from fsspec.implementations.local import LocalFileSystem

    return isinstance(system, LocalFileSystem)


def local_path(place: str) -> Path | None:
    """The path of a URI that is just another spelling of a path (`file://`); otherwise None."""
    from fsspec.implementations.local import LocalFileSystem

    if "::" in place:
        return None
    system, path = resolve_uri(place)
    return Path(path) if type(system) is LocalFileSystem else None


def resolve_uri(place: str) -> tuple[Any, str]:
    """The fsspec file system of a URI or a path, and the path in it.

    Raises ConfigError where there is no driver for it, or the driver rejects the URI.
    """
    from fsspec import filesystem
    from fsspec.core import url_to_fs

    if not is_uri(place):
        return filesystem("file"), str(Path(place).absolute())
    try:
        system, path = url_to_fs(place)
    except Exception as error:  # every driver has its own exception types
        raise ConfigError(
            f"expected an address that fsspec reaches on every node, got {printable(place)}: "
            f"{error_line(error)}; install its driver (such as s3fs for s3://), or correct the address"
        ) from error
    return system, str(path)


def error_line(error: Exception) -> str:
    """An error's message on one line."""
    return " ".join(str(error).split()) or type(error).__name__
