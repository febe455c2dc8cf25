"""Dependencies that only an extra installs."""

from __future__ import annotations

from importlib import import_module

from .errors import ConfigError


def require(package: str, wanted_by: str, extra: str) -> None:
    """Raises ConfigError, which names the extra to install, if the package cannot be imported."""
    try:
        import_module(package)
    except ImportError as error:
        raise ConfigError(
            f"expected {package} for {wanted_by}, but it is not installed: pip install 'emostream[{extra}]'"
        ) from error


def require_matplotlib(wanted_by: str) -> None:
    """For figures. Raises ConfigError where it is not installed."""
    require("matplotlib", wanted_by, "plot")
