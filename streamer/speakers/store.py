"""Enrolled speakers as files in the user's data folder, one each: means of hidden states, no sound.

A file tells whose voice was enrolled, when, and with which model; it can be read and deleted by its owner
alone. It needs neither numpy nor the models: clients import it.
"""

from __future__ import annotations

import datetime
import re
from importlib.metadata import version
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Final, Literal

import msgspec
from platformdirs import user_data_path

from ..display_paths import printable
from ..errors import ConfigError
from ..protocol.messages import EnrolledVoice

_SUFFIX: Final = ".json"
_NAME: Final = re.compile(r"[\w][\w .-]{0,63}")


class EnrolledSpeaker(msgspec.Struct, frozen=True, kw_only=True):
    """One file. emostream: the version that wrote it. enrolled: UTC, ISO 8601. model: the emotion model, for
    people; `voice.probe` decides whether another one may use it.
    """

    format: Literal[1] = 1
    emostream: str
    enrolled: str
    model: str
    voice: EnrolledVoice


def new_speaker(voice: EnrolledVoice, model: str) -> EnrolledSpeaker:
    """Enrolled now."""
    return EnrolledSpeaker(
        emostream=version("emostream"),
        enrolled=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        model=model,
        voice=voice,
    )


class SpeakerStore:
    """folder: None for the one of this user on this platform."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or user_data_path("emostream", appauthor=False) / "speakers"

    def save(self, name: str, speaker: EnrolledSpeaker) -> Path:
        """Atomically, in place of an older one of this name. Raises ConfigError."""
        path = self._path(name)
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            # Accessible to the user alone, as all temporary files are.
            with NamedTemporaryFile(dir=self.folder, suffix=".tmp", delete=False) as file:
                file.write(msgspec.json.encode(speaker))
            Path(file.name).replace(path)
        except OSError as error:
            raise ConfigError(
                f"expected to write {printable(path)}, got: {error.strerror}; make the folder writable"
            ) from error
        return path

    def load(self, name: str) -> EnrolledSpeaker:
        """Raises ConfigError."""
        path = self._path(name)
        try:
            return msgspec.json.decode(path.read_bytes(), type=EnrolledSpeaker)
        except FileNotFoundError:
            known = ", ".join(self.names()) or "none"
            raise ConfigError(
                f"expected an enrolled speaker ({known}), got {name!r}; "
                f"enroll one with emostream live --enroll {name!r}"
            ) from None
        except (OSError, msgspec.DecodeError) as error:
            raise ConfigError(
                f"expected an enrolled speaker in {printable(path)}, got: {error}; enroll again"
            ) from error

    def names(self) -> list[str]:
        """In alphabetical order."""
        return sorted(path.stem for path in self.folder.glob(f"*{_SUFFIX}"))

    def delete(self, name: str) -> None:
        """Raises ConfigError where there is none of this name."""
        path = self._path(name)
        try:
            path.unlink()
        except FileNotFoundError:
            known = ", ".join(self.names()) or "none"
            raise ConfigError(f"expected an enrolled speaker ({known}), got {name!r}") from None
        except OSError as error:
            raise ConfigError(f"expected to delete {printable(path)}, got: {error.strerror}") from error

    def check_name(self, name: str) -> None:
        """Raises ConfigError for what could lead out of the folder."""
        if not _NAME.fullmatch(name):
            raise ConfigError(
                f"expected a name of letters, digits, spaces, dots and dashes (at most 64), got {name!r}"
            )

    def _path(self, name: str) -> Path:
        self.check_name(name)
        return self.folder / f"{name}{_SUFFIX}"
