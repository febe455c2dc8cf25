"""Discovery of a batch job's recordings in folders, by glob patterns and at URIs; no file is opened."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from glob import has_magic
from pathlib import Path, PurePosixPath
from typing import Any

from emostream.models import MEDIA_SUFFIXES
from emostream.streamer.audio.pipes import STDIN
from emostream.streamer.display_paths import printable
from emostream.streamer.errors import ConfigError, SourceError
from emostream.streamer.replay.discovery import find_paths, is_hidden

from .uris import error_line, is_uri, local_path, resolve_uri


@dataclass(frozen=True, slots=True)
class RecordingRef:
    """A recording that was found. name: as given, for the results. address: valid on every node, an absolute
    path or a URI; unique per recording. size_bytes: 0 where unknown.
    """

    name: str
    address: str
    size_bytes: int = 0


def find_recordings(places: Sequence[str]) -> tuple[list[RecordingRef], list[SourceError]]:
    """Files, folders (searched recursively), glob patterns and URIs of these -> each recording once, and the
    errors of those that were not found.

    Raises ConfigError where there is no driver for a URI.
    """
    found: dict[str, RecordingRef] = {}
    failures: list[SourceError] = []
    for place in places:
        path = local_path(place) if is_uri(place) else Path(place)
        matches = _remote_recordings(place, failures) if path is None else _local_recordings(path, failures)
        for recording in matches:
            found.setdefault(recording.address, recording)
    return list(found.values()), failures


def _local_recordings(place: Path, failures: list[SourceError]) -> Iterator[RecordingRef]:
    if place == STDIN:
        failures.append(
            SourceError("expected recordings that every node can read, got -; use emostream replay -")
        )
        return
    for path, _ in find_paths([place], failures):
        try:
            size_bytes = path.stat().st_size
        except OSError:  # reported where the file is opened
            size_bytes = 0
        yield RecordingRef(str(path), _identity(path), size_bytes)


def _identity(path: Path) -> str:
    """One canonical form for all spellings of a path; a link in a folder is a recording of its own."""
    return str(path.resolve() if path.is_dir() else path.parent.resolve() / path.name)


def _remote_recordings(given: str, failures: list[SourceError]) -> Iterator[RecordingRef]:
    place = _absolute(given)
    system, path = resolve_uri(place)
    try:
        sizes = _file_sizes(system, path)
    except Exception as error:  # every driver has its own exception types
        failures.append(
            SourceError(
                f"expected recordings at {printable(given)}, got: {error_line(error)}; "
                "check the address and the rights"
            )
        )
        return
    if not sizes:
        failures.append(
            SourceError(f"expected recordings at {printable(given)}, found none; check the address")
        )
    for inside, size_bytes in sorted(sizes.items()):
        yield RecordingRef(_address(given, path, inside), _address(place, path, inside), size_bytes)


def _absolute(place: str) -> str:
    """A chained URI may end in a path (after `::`), which is made absolute so that it is valid on all
    nodes."""
    *before, last = place.split("::")
    if not before:
        return place
    path = local_path(last) if is_uri(last) else Path(last)
    return place if path is None else "::".join([*before, _identity(path)])


def _file_sizes(system: Any, path: str) -> dict[str, int]:
    """Path -> size in bytes."""
    if has_magic(path) and not system.exists(path):
        listed = system.glob(path, detail=True)
    elif system.isdir(path):
        listed = {
            inside: info
            for inside, info in system.find(path, detail=True).items()
            if PurePosixPath(inside).suffix.lower() in MEDIA_SUFFIXES
            and not is_hidden(PurePosixPath(inside.removeprefix(path)))
        }
    else:
        listed = {path: system.info(path)}
    # Some drivers report links as neither files nor folders.
    files = {inside: info for inside, info in listed.items() if info["type"] != "directory"}
    return {inside: info.get("size") or 0 for inside, info in files.items()}


def _address(place: str, path: str, inside: str) -> str:
    """The address of a file in the same file system: everything around the path, such as a host, is kept."""
    first, *rest = place.split("::")
    return "::".join([inside if "://" in inside else _prefix(first, path) + inside, *rest])


def _prefix(first: str, path: str) -> str:
    """The scheme of a URI, with the host where the file system's own path does not include it."""
    scheme, _, rest = first.partition("://")
    rest, path = rest.rstrip("/"), path.rstrip("/")
    host = rest.split("/")[0]
    if rest.endswith(path):
        return f"{scheme}://{rest.removesuffix(path)}"
    return f"{scheme}://" if path.lstrip("/").split("/")[0] == host else f"{scheme}://{host}"


def recording_suffix(address: str) -> str:
    """The file name suffix, if it is that of an audio format; a web address may end in anything."""
    first = address.split("::")[0]
    if first.startswith(("http://", "https://")):
        first = first.partition("#")[0].partition("?")[0]
    suffix = PurePosixPath(first).suffix
    return suffix if suffix.lower() in MEDIA_SUFFIXES else ""


def fetch(address: str, into: Path) -> None:
    """Copy a recording to a local file, because decoders seek in their files.

    Raises SourceError, and ConfigError where this machine has no driver for the URI.
    """
    try:
        system, path = resolve_uri(address)
        with system.open(path, "rb") as source, into.open("wb") as target:
            shutil.copyfileobj(source, target, 1 << 20)
    except ConfigError:
        raise
    except Exception as error:  # every driver has its own exception types
        raise SourceError(
            f"expected a recording at {printable(address)}, but it cannot be read: {error_line(error)}; "
            "check the address"
        ) from error
