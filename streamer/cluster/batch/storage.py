"""A folder that every node sees, wherever fsspec reaches: files appear in it whole."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final
from uuid import uuid4

from emostream.streamer.display_paths import shown
from emostream.streamer.errors import ConfigError

from .uris import is_local_filesystem, is_uri, line_of, opened

UNFINISHED: Final = "unfinished"


class Storage:
    """place: a path or an address. Names in it are `folder/file`. Raises ConfigError where no driver is."""

    def __init__(self, place: str) -> None:
        self.place = place
        self._system, self._root = opened(place)

    @property
    def absolute_uri(self) -> str:
        """The same for a process that works in another folder."""
        if not is_uri(self.place):
            return self._root
        return (
            str(self._system.unstrip_protocol(self._root))
            if is_local_filesystem(self._system)
            else self.place
        )

    def prepare(self, folders: tuple[str, ...]) -> None:
        """Raises ConfigError where it cannot be written to."""
        try:
            for folder in (*folders, UNFINISHED):
                self._system.makedirs(self._path(folder), exist_ok=True)
            self.write(f"{UNFINISHED}/trial", b"")
        except Exception as error:  # every driver has errors of its own
            said = getattr(error, "strerror", None) or line_of(error)
            raise ConfigError(
                f"expected a folder at {shown(self.place)}, got: {said}; choose another --output-dir"
            ) from error

    def read(self, name: str) -> bytes | None:
        """None where there is no such file."""
        try:
            return bytes(self._system.cat_file(self._path(name)))
        except FileNotFoundError:
            return None

    def read_all(self, folder: str, names: Sequence[str]) -> dict[str, bytes]:
        """Name in the folder -> its content, of those that are there."""
        paths = [self._path(f"{folder}/{name}") for name in names]
        # Many at a time where the driver can; unlike `cat`, it takes no name for a pattern.
        found = dict(zip(names, self._system.cat_ranges(paths, None, None) if paths else [], strict=True))
        for data in found.values():
            if isinstance(data, Exception) and not isinstance(data, FileNotFoundError):
                raise data
        return {name: bytes(data) for name, data in found.items() if not isinstance(data, Exception)}

    def names(self, folder: str) -> list[str]:
        """Of files and folders in it."""
        whole = self._path(folder)
        self._system.invalidate_cache()  # others write there
        try:
            listed = self._system.ls(whole, detail=False)
        except FileNotFoundError:
            return []
        # An object store may list the folder in itself.
        paths = (path.rstrip("/") for path in listed)
        return sorted(path.rsplit("/", 1)[-1] for path in paths if not whole.endswith(path))

    def write(self, name: str, data: bytes) -> None:
        unfinished = self._path(f"{UNFINISHED}/{uuid4().hex}")
        self._system.pipe_file(unfinished, data)
        self._move(unfinished, self._path(name))

    def put(self, file: Path, name: str) -> None:
        """A file of this machine."""
        unfinished = self._path(f"{UNFINISHED}/{uuid4().hex}")
        self._system.put_file(str(file), unfinished)
        self._move(unfinished, self._path(name))

    def _move(self, source: str, target: str) -> None:
        """A driver's own `mv` renames; the one that all have takes brackets for a pattern."""
        from fsspec import AbstractFileSystem

        if type(self._system).mv is not AbstractFileSystem.mv:
            self._system.mv(source, target)
            return
        self._system.cp_file(source, target)
        self._system.rm_file(source)

    def remove(self, name: str) -> None:
        """If it is there."""
        with suppress(FileNotFoundError):
            self._system.rm_file(self._path(name))

    def clear(self, folder: str, ours: re.Pattern[str]) -> None:
        """Of files with such names."""
        for name in self.names(folder):
            if ours.fullmatch(name):
                self.remove(f"{folder}/{name}")

    def remove_empty(self, folder: str) -> None:
        """Some drivers would remove a full one, and others know no empty one."""
        if not self.names(folder):
            with suppress(Exception):  # it harms nobody where it stays
                self._system.rmdir(self._path(folder))

    def _path(self, name: str) -> str:
        return f"{self._root.rstrip('/')}/{name}"
