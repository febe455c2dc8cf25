"""`emostream record`: the microphone as a session that can be replayed."""

from __future__ import annotations

from pathlib import Path

from ..replay.capture import create_session_folder
from .live import run_microphone
from .options import ModelOptions, PageOptions


def record(
    *,
    folder: Path,
    microphone: str | None,
    page: PageOptions,
    models: ModelOptions,
) -> None:
    """Run the command; `commands.record` has its options."""
    settings = models.settings(**page.sections())
    create_session_folder(folder)
    run_microphone(settings, microphone, record_to=folder)
