"""Settings of a training run from a TOML file. Unknown keys are refused: a typo is not a default."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from .errors import SettingsError

SettingsT = TypeVar("SettingsT", bound=msgspec.Struct)


def read_table(path: Path, defaults: SettingsT) -> SettingsT:
    """The settings of a TOML file in place of the defaults.

    Raises SettingsError for a missing file, invalid TOML, an unknown key or a wrong type.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"expected a TOML file of a training run at {path}: {error}") from error
    try:
        return msgspec.convert(_merged(msgspec.to_builtins(defaults), table), type(defaults))
    except msgspec.ValidationError as error:
        raise SettingsError(f"{path}: {error}") from error


def _merged(defaults: dict[str, Any], table: dict[str, Any]) -> dict[str, Any]:
    """The defaults with the values of `table` in their place, table by table."""
    return defaults | {
        name: _merged(defaults[name], value)
        if isinstance(value, dict) and isinstance(defaults.get(name), dict)
        else value
        for name, value in table.items()
    }
