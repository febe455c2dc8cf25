"""`emostream live`"""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer
from rich.console import Console

from ..broadcast import broadcast
from ..clock import WallClock
from ..listening import bind
from ..microphone import MicrophoneSource, find_device
from ..sinks import ConsoleSink
from ..watching import OwnStream
from . import options


def live(
    microphone: Annotated[
        str | None,
        typer.Option(
            "--microphone",
            help="Number or part of the name, see [bold]emostream devices[/bold]. Default: the system's.",
            show_default=False,
        ),
    ] = None,
    port: options.PortOption = None,
    asr: options.AsrOption = None,
    vad: options.VadOption = None,
    device: options.DeviceOption = None,
    compute_type: options.ComputeTypeOption = None,
    dtype: options.DtypeOption = None,
    checkpoint: options.CheckpointOption = None,
    keep_audio: options.KeepAudioOption = None,
    config: options.ConfigOption = None,
) -> None:
    """Listen to this machine's microphone; results in the terminal and on the page."""
    settings = options.settings_from(
        config,
        models=options.model_flags(asr, device, compute_type, dtype, checkpoint),
        vad={"name": vad},
        live={"keep_audio_s": keep_audio},
        server={"port": port},
    )
    chosen = find_device(microphone)
    bound = bind(settings.server)
    console = Console(stderr=True)
    clock = WallClock()
    engine = options.load_engine(settings, console, clock, live=True)
    options.say_who_speaks(console, engine)
    said = f"Microphone: {chosen.name}, {chosen.sample_rate_hz} Hz"
    console.print(said, highlight=False, markup=False)

    async def run() -> None:
        own = OwnStream("microphone", chosen.name)
        sinks = [ConsoleSink(console)]
        await broadcast(bound, MicrophoneSource(chosen), own, engine, settings, clock, sinks, console)

    asyncio.run(run())
