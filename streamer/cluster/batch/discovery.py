"""Recordings for an archive: found in folders, by patterns and at addresses, none of them opened."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from glob import has_magic
from pathlib import Path, PurePosixPath
from typing import Any

from emostream.streamer.audio.decode import MEDIA_SUFFIXES
from emostream.streamer.display_paths import shown
from emostream.streamer.errors import ConfigError, SourceError
from emostream.streamer.replay.discovery import find_paths

from .uris import is_uri, line_of, local_path, opened


@dataclass(frozen=True, slots=True)
class Recording:
    """name: as it was found, for the results. address: where every node finds it, a whole path or an fsspec
    address; no two recordings share one. size_bytes: 0 where nobody says.
    """

    name: str
    address: str
    size_bytes: int = 0


def find_recordings(places: Sequence[str]) -> tuple[list[Recording], list[SourceError]]:
    """Files, folders (searched whole), patterns and addresses of these -> each recording once, and what is
    missing.

    Raises ConfigError where there is no driver for an address.
    """
    found: dict[str, Recording] = {}
    failures: list[SourceError] = []
    for place in places:
        path = local_path(place) if is_uri(place) else Path(place)
        inside = _far(place, failures) if path is None else _near(path, failures)
        for recording in inside:
            found.setdefault(recording.address, recording)
    return list(found.values()), failures


def _near(place: Path, failures: list[SourceError]) -> Iterator[Recording]:
    for path, _ in find_paths([place], failures):
        try:
            size_bytes = path.stat().st_size
        except OSError:  # told by whoever opens it
            size_bytes = 0
        yield Recording(str(path), _identity(path), size_bytes)


def _identity(path: Path) -> str:
    """One for all spellings of a path; a link in a folder is a recording of its own."""
    return str(path.resolve() if path.is_dir() else path.parent.resolve() / path.name)


def _far(named: str, failures: list[SourceError]) -> Iterator[Recording]:
    place = _whole(named)
    system, path = opened(place)
    try:
        sizes = _listed(system, path)
    except Exception as error:  # every driver has errors of its own
        failures.append(
            SourceError(
                f"expected recordings at {shown(named)}, got: {line_of(error)}; "
                "check the address and the rights"
            )
        )
        return
    if not sizes:
        failures.append(SourceError(f"expected recordings at {shown(named)}, found none; check the address"))
    for inside, size_bytes in sorted(sizes.items()):
        yield Recording(_address(named, path, inside), _address(place, path, inside), size_bytes)


def _whole(place: str) -> str:
    """An archive may lie at a path, behind `::`, which is another one on other nodes where it is relative."""
    *before, last = place.split("::")
    if not before:
        return place
    path = local_path(last) if is_uri(last) else Path(last)
    return place if path is None else "::".join([*before, _identity(path)])


def _listed(system: Any, path: str) -> dict[str, int]:
    """Path -> bytes."""
    if has_magic(path) and not system.exists(path):
        listed = system.glob(path, detail=True)
    elif system.isdir(path):
        listed = {
            inside: about
            for inside, about in system.find(path, detail=True).items()
            if PurePosixPath(inside).suffix.lower() in MEDIA_SUFFIXES
        }
    else:
        listed = {path: system.info(path)}
    # Links are neither files nor folders to some drivers.
    found = {inside: about for inside, about in listed.items() if about["type"] != "directory"}
    return {inside: about.get("size") or 0 for inside, about in found.items()}


def _address(place: str, path: str, inside: str) -> str:
    """Of a file in the same file system: what stands before and behind the path stays, such as a host."""
    first, *behind = place.split("::")
    return "::".join([inside if "://" in inside else _head(first, path) + inside, *behind])


def _head(first: str, path: str) -> str:
    """Of an address: its scheme, and the host where the file system's own path is without."""
    scheme, _, rest = first.partition("://")
    rest, path = rest.rstrip("/"), path.rstrip("/")
    host = rest.split("/")[0]
    if rest.endswith(path):
        return f"{scheme}://{rest.removesuffix(path)}"
    return f"{scheme}://" if path.lstrip("/").split("/")[0] == host else f"{scheme}://{host}"


def recording_suffix(address: str) -> str:
    """Where it says what kind of recording that is; a web address may end with anything."""
    first = address.split("::")[0]
    if first.startswith(("http://", "https://")):
        first = first.partition("#")[0].partition("?")[0]
    suffix = PurePosixPath(first).suffix
    return suffix if suffix.lower() in MEDIA_SUFFIXES else ""


def fetch(address: str, into: Path) -> None:
    """Copy a recording here: decoders jump about in their files.

    Raises SourceError, and ConfigError where this machine has no driver for the address.
    """
    try:
        system, path = opened(address)
        with system.open(path, "rb") as far, into.open("wb") as near:
            shutil.copyfileobj(far, near, 1 << 20)
    except ConfigError:
        raise
    except Exception as error:  # every driver has errors of its own
        raise SourceError(
            f"expected a recording at {shown(address)}, but it cannot be read: {line_of(error)}; "
            "check the address"
        ) from error
