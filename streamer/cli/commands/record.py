"""`emostream record`: its options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..option_groups import with_option_groups
from ..options import MicrophoneOption, ModelOptions, PageOptions


@with_option_groups
def record(
    *,
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="FOLDER", help="Folder to record the session to: empty, or one that does not exist."
        ),
    ],
    microphone: MicrophoneOption = None,
    page: PageOptions,
    models: ModelOptions,
) -> None:
    """Analyze the microphone as [bold]emostream live[/bold] does, and record the session: audio and events.

    [bold]emostream replay FOLDER[/bold] gives the same finals again. The recording contains a person's voice.
    """
    from ..record import record as run_record

    run_record(
        folder=folder,
        microphone=microphone,
        page=page,
        models=models,
    )
