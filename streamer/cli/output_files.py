"""Checks of the files that a command will write, before it loads or reads anything."""

from __future__ import annotations

from pathlib import Path

from ..display_paths import printable
from ..errors import ConfigError
from ..optional_deps import require_matplotlib


def check_png(png: Path) -> None:
    """Raises ConfigError unless a figure can be drawn and written to this file."""
    if png.suffix.lower() != ".png":
        raise ConfigError(f"expected --png to name a file that ends in .png, got {printable(png)}; rename it")
    require_matplotlib("--png")
    check_writable(png, "--png")


def check_writable(path: Path, flag: str) -> None:
    """Raises ConfigError, which names the option, if the file cannot be written. Leaves no new file."""
    existed = path.exists()
    try:
        path.open("ab").close()  # trying covers rights, read-only disks and folders of that name
    except OSError as error:
        raise ConfigError(
            f"expected to write to {printable(path)}, got: {error.strerror}; choose another {flag}"
        ) from error
    if not existed:
        path.unlink()
