"""A folder that every node sees, wherever fsspec reaches: files appear in it whole."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Final
from uuid import uuid4

from emostream.streamer.errors import ConfigError
from emostream.streamer.file_names import shown

from .addresses import is_address, opened

_UNFINISHED: Final = "unfinished"


class Storage:
    """place: a path or an address. Names in it are `folder/file`. Raises ConfigError where no driver is."""

    def __init__(self, place: str) -> None:
        self.place = place
        self._system, self._root = opened(place)

    @property
    def whole_place(self) -> str:
        """The same for a process that works in another folder."""
        return self.place if is_address(self.place) else self._root

    def prepare(self, folders: tuple[str, ...]) -> None:
        """Raises ConfigError where it cannot be written to."""
        try:
            for folder in (*folders, _UNFINISHED):
                self._system.makedirs(self._path(folder), exist_ok=True)
            self.write(f"{_UNFINISHED}/trial", b"")
        except Exception as error:  # every driver has errors of its own
            said = getattr(error, "strerror", None) or " ".join(str(error).split()) or type(error).__name__
            raise ConfigError(
                f"expected a folder at {shown(self.place)}, got: {said}; choose another --out"
            ) from error

    def read(self, name: str) -> bytes | None:
        """None where there is no such file."""
        try:
            return bytes(self._system.cat_file(self._path(name)))
        except FileNotFoundError:
            return None

    def read_all(self, folder: str) -> dict[str, bytes]:
        """Name in the folder -> its content."""
        names = self.names(folder)
        if not names:
            return {}
        found = self._system.cat([self._path(f"{folder}/{name}") for name in names])
        return {path.rsplit("/", 1)[-1]: bytes(data) for path, data in found.items()}

    def names(self, folder: str) -> list[str]:
        self._system.invalidate_cache()  # others write there
        try:
            listed = self._system.ls(self._path(folder), detail=True)
        except FileNotFoundError:
            return []
        return sorted(one["name"].rsplit("/", 1)[-1] for one in listed if one["type"] == "file")

    def write(self, name: str, data: bytes) -> None:
        unfinished = self._path(f"{_UNFINISHED}/{uuid4().hex}")
        self._system.pipe_file(unfinished, data)
        self._system.mv(unfinished, self._path(name))

    def put(self, file: Path, name: str) -> None:
        """A file of this machine."""
        unfinished = self._path(f"{_UNFINISHED}/{uuid4().hex}")
        self._system.put_file(str(file), unfinished)
        self._system.mv(unfinished, self._path(name))

    def remove(self, name: str) -> None:
        """If it is there."""
        with suppress(FileNotFoundError):
            self._system.rm_file(self._path(name))

    def clear(self, folder: str) -> None:
        for name in self.names(folder):
            self.remove(f"{folder}/{name}")

    def tidy(self, folders: tuple[str, ...]) -> None:
        """Leave nothing of these folders behind, nor of what was being written."""
        for folder in (*folders, _UNFINISHED):
            with suppress(FileNotFoundError):  # an object store has no empty folders
                self._system.rm(self._path(folder), recursive=True)

    def _path(self, name: str) -> str:
        return f"{self._root.rstrip('/')}/{name}"
