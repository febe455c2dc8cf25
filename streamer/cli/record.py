"""`emostream record`"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..replay.capture import create_session_folder
from . import options
from .live import MicrophoneOption, listen


def record(
    folder: Annotated[
        Path, typer.Argument(help="Where the session is kept: a folder that is empty or does not exist.")
    ],
    microphone: MicrophoneOption = None,
    port: options.PortOption = None,
    asr: options.AsrOption = None,
    vad: options.VadOption = None,
    device: options.DeviceOption = None,
    compute_type: options.ComputeTypeOption = None,
    dtype: options.DtypeOption = None,
    checkpoint: options.CheckpointOption = None,
    keep_audio: options.AudioBufferOption = None,
    config: options.ConfigOption = None,
) -> None:
    """Listen as [bold]emostream live[/bold] does, and keep the session: its sound and its events.

    [bold]emostream replay FOLDER[/bold] gives the same finals again. What is kept is somebody's voice.
    """
    settings = options.settings_from(
        config,
        models=options.model_flags(asr, device, compute_type, dtype, checkpoint),
        vad={"name": vad},
        live={"audio_buffer_s": keep_audio},
        server={"port": port},
    )
    create_session_folder(folder)
    listen(settings, microphone, folder)
