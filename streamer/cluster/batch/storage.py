"""A folder that every node can access through fsspec, with atomic writes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final
from uuid import uuid4

from emostream.streamer.display_paths import printable
from emostream.streamer.errors import ConfigError

from .uris import error_line, is_local_filesystem, is_uri, resolve_uri

UNFINISHED: Final = "unfinished"


class Storage:
    """place: a path or a URI. Names in it are `folder/file`. Raises ConfigError where there is no driver."""

    def __init__(self, place: str) -> None:
        self.place = place
        self._system, self._root = resolve_uri(place)

    @property
    def absolute_uri(self) -> str:
        """The place, valid also for a process with another working directory."""
        if not is_uri(self.place):
            return self._root
        return (
            str(self._system.unstrip_protocol(self._root))
            if is_local_filesystem(self._system)
            else self.place
        )

    def prepare(self, folders: tuple[str, ...]) -> None:
        """Create the folders. Raises ConfigError where the place cannot be written to."""
        try:
            for folder in (*folders, UNFINISHED):
                self._system.makedirs(self._path(folder), exist_ok=True)
            self.write(f"{UNFINISHED}/trial", b"")
        except Exception as error:  # every driver has its own exception types
            reason = getattr(error, "strerror", None) or error_line(error)
            raise ConfigError(
                f"expected a folder at {printable(self.place)}, got: {reason}; choose another --output-dir"
            ) from error

    def read(self, name: str) -> bytes | None:
        """The content of a file; None where there is none."""
        try:
            return bytes(self._system.cat_file(self._path(name)))
        except FileNotFoundError:
            return None

    def read_all(self, folder: str, names: Sequence[str]) -> dict[str, bytes]:
        """Name in the folder -> its content, for the files that exist."""
        paths = [self._path(f"{folder}/{name}") for name in names]
        # Concurrent where the driver supports it; unlike `cat`, it does not treat names as patterns.
        found = dict(zip(names, self._system.cat_ranges(paths, None, None) if paths else [], strict=True))
        for data in found.values():
            if isinstance(data, Exception) and not isinstance(data, FileNotFoundError):
                raise data
        return {name: bytes(data) for name, data in found.items() if not isinstance(data, Exception)}

    def names(self, folder: str) -> list[str]:
        """The names of the files and folders in it."""
        root = self._path(folder)
        self._system.invalidate_cache()  # other processes write there
        try:
            listed = self._system.ls(root, detail=False)
        except FileNotFoundError:
            return []
        # An object store may list the folder itself.
        paths = (path.rstrip("/") for path in listed)
        return sorted(path.rsplit("/", 1)[-1] for path in paths if not root.endswith(path))

    def write(self, name: str, data: bytes) -> None:
        unfinished = self._path(f"{UNFINISHED}/{uuid4().hex}")
        self._system.pipe_file(unfinished, data)
        self._move(unfinished, self._path(name))

    def put(self, file: Path, name: str) -> None:
        """Upload a file of this machine."""
        unfinished = self._path(f"{UNFINISHED}/{uuid4().hex}")
        self._system.put_file(str(file), unfinished)
        self._move(unfinished, self._path(name))

    def _move(self, source: str, target: str) -> None:
        """Rename with the driver's own `mv`; fsspec's generic one would treat brackets as a pattern."""
        from fsspec import AbstractFileSystem

        if type(self._system).mv is not AbstractFileSystem.mv:
            self._system.mv(source, target)
            return
        self._system.cp_file(source, target)
        self._system.rm_file(source)

    def remove(self, name: str) -> None:
        """Delete a file if it exists."""
        with suppress(FileNotFoundError):
            self._system.rm_file(self._path(name))

    def clear(self, folder: str, ours: re.Pattern[str]) -> None:
        """Delete the files whose names match."""
        for name in self.names(folder):
            if ours.fullmatch(name):
                self.remove(f"{folder}/{name}")

    def remove_empty(self, folder: str) -> None:
        """Remove the folder if it is empty. Some drivers would remove a full one, others have no empty
        ones."""
        if not self.names(folder):
            with suppress(Exception):  # an empty folder does no damage
                self._system.rmdir(self._path(folder))

    def _path(self, name: str) -> str:
        return f"{self._root.rstrip('/')}/{name}"
