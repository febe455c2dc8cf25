"""Recordings for an archive: found in folders, by patterns and at addresses, none of them opened."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from glob import has_magic
from pathlib import Path, PurePosixPath
from typing import Any

from emostream.streamer.errors import ConfigError, SourceError
from emostream.streamer.file_names import shown
from emostream.streamer.replaying import SUFFIXES, search

from .addresses import is_address, opened


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
        inside = _far(place, failures) if is_address(place) else _near(Path(place), failures)
        for recording in inside:
            found.setdefault(recording.address, recording)
    return list(found.values()), failures


def _near(place: Path, failures: list[SourceError]) -> Iterator[Recording]:
    for path, _ in search([place], failures):
        try:
            size_bytes = path.stat().st_size
        except OSError:  # told by whoever opens it
            size_bytes = 0
        yield Recording(str(path), str(path.absolute()), size_bytes)


def _far(named: str, failures: list[SourceError]) -> Iterator[Recording]:
    place = _whole(named)
    system, path = opened(place)
    try:
        sizes = _listed(system, path)
    except Exception as error:  # every driver has errors of its own
        said = " ".join(str(error).split()) or type(error).__name__
        failures.append(
            SourceError(
                f"expected recordings at {shown(named)}, got: {said}; check the address and the rights"
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
    return place if is_address(last) or not before else "::".join([*before, str(Path(last).absolute())])


def _listed(system: Any, path: str) -> dict[str, int]:
    """Path -> bytes."""
    if has_magic(path) and not system.exists(path):
        listed = system.glob(path, detail=True)
    elif system.isdir(path):
        listed = {
            inside: about
            for inside, about in system.find(path, detail=True).items()
            if PurePosixPath(inside).suffix.lower() in SUFFIXES
        }
    else:
        listed = {path: system.info(path)}
    return {inside: about.get("size") or 0 for inside, about in listed.items() if about["type"] == "file"}


def _address(place: str, path: str, inside: str) -> str:
    """Of a file in the same file system: what stands before and behind the path stays, such as a host."""
    first, *behind = place.split("::")
    head = first.removesuffix(path) if first.endswith(path) else f"{first.split('://')[0]}://"
    return "::".join([inside if "://" in inside else head + inside, *behind])


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
        said = " ".join(str(error).split()) or type(error).__name__
        raise SourceError(
            f"expected a recording at {shown(address)}, but it cannot be read: {said}; check the address"
        ) from error
