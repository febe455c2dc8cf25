"""`emostream live`"""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from ..audio.microphone import MicrophoneSource, find_device
from ..audio.sources import Source
from ..audio.tee import TeeSource
from ..clock import WallClock
from ..config import Settings
from ..display_paths import shown
from ..output.sinks import ConsoleSink
from ..pipeline.session import Sink
from ..replay.capture import SessionRecorder
from ..server.app import describe_models
from ..server.listen import bind
from ..server.local_stream import broadcast
from ..server.published_stream import PublishedStream
from . import options

MicrophoneOption = Annotated[
    str | None,
    typer.Option(
        "--microphone",
        help="Number or part of the name, see [bold]emostream devices[/bold]. Default: the system's.",
        show_default=False,
    ),
]


def live(
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
    """Listen to this machine's microphone; results in the terminal and on the page."""
    settings = options.settings_from(
        config,
        models=options.model_flags(asr, device, compute_type, dtype, checkpoint),
        vad={"name": vad},
        live={"audio_buffer_s": keep_audio},
        server={"port": port},
    )
    listen(settings, microphone)


def listen(settings: Settings, microphone: str | None, folder: Path | None = None) -> None:
    """Until Ctrl-C. folder: where the session is kept."""
    chosen = find_device(microphone)
    bound = bind(settings.server)
    console = Console(stderr=True)
    clock = WallClock()
    engine = options.load_engine(settings, console, clock, live=True)
    options.print_models(console, engine.model_info)
    said = f"Microphone: {chosen.name}, {chosen.sample_rate_hz} Hz"
    console.print(said, highlight=False, markup=False)

    async def run() -> None:
        source: Source = MicrophoneSource(chosen)
        own = PublishedStream(
            "microphone", chosen.name, None if folder is None else "This session is being kept."
        )
        sinks: list[Sink] = [ConsoleSink(console)]
        with ExitStack() as stack:
            if folder is not None:
                models = describe_models(engine, settings)
                recorder = SessionRecorder(
                    folder, chosen.name, source.sample_rate_hz, source.channels, settings, models
                )
                stack.enter_context(recorder)
                source = TeeSource(source, [recorder.take])
                sinks.append(recorder)
                console.print(f"Sound and words are kept in {shown(folder)}", highlight=False, markup=False)
            await broadcast(bound, source, own, engine, settings, clock, sinks, console)

    asyncio.run(run())
