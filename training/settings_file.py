"""Settings of a training run from a TOML file. Unknown keys are refused: a typo is not a default."""

from __future__ import annotations

import codecs
import tomllib
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from .errors import SettingsError

SettingsT = TypeVar("SettingsT", bound=msgspec.Struct)

_UTF_16: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def read_table(path: Path, defaults: SettingsT, what: str = "a training run") -> SettingsT:
    """The settings of a TOML file in place of the defaults. what: it describes, for the message.

    Raises SettingsError for a missing file, invalid TOML, an unknown key or a wrong type.
    """
    table = read_toml(path, what)
    try:
        return msgspec.convert(_merged(msgspec.to_builtins(defaults), table), type(defaults))
    except msgspec.ValidationError as error:
        raise SettingsError(f"{path}: {error}") from error


def read_toml(path: Path, what: str) -> dict[str, Any]:
    """The tables of a TOML file, in UTF-8 or, as Windows writes it, UTF-16. what: as of `read_table`.

    Raises SettingsError for a missing file, another encoding or invalid TOML.
    """
    try:
        data = path.read_bytes()
        return tomllib.loads(data.decode("utf-16" if data.startswith(_UTF_16) else "utf-8-sig"))
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"expected a TOML file of {what} at {path}: {error}") from error


def _merged(defaults: dict[str, Any], table: dict[str, Any]) -> dict[str, Any]:
    """The defaults with the values of `table` in their place, table by table."""
    return defaults | {
        name: _merged(defaults[name], value)
        if isinstance(value, dict) and isinstance(defaults.get(name), dict)
        else value
        for name, value in table.items()
    }
