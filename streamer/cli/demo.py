"""`emostream demo`"""

from __future__ import annotations

import asyncio
from importlib.resources import as_file, files
from typing import Annotated

import typer
from rich.console import Console

from ..audio.sources import LoopSource
from ..clock import WallClock
from ..output.sinks import ConsoleSink
from ..server.listen import bind
from ..server.local_stream import broadcast
from ..server.published_stream import PublishedStream
from . import options

_PAUSE_S = 4.0
_KEPT_S = 600  # nobody's voice


def demo(
    once: Annotated[
        bool, typer.Option("--once", help="Play the recording once instead of again and again.")
    ] = False,
    port: options.PortOption = None,
    asr: options.AsrOption = None,
    vad: options.VadOption = None,
    device: options.DeviceOption = None,
    checkpoint: options.CheckpointOption = None,
    keep_audio: options.AudioBufferOption = None,
    config: options.ConfigOption = None,
) -> None:
    """Play the bundled recording through the whole pipeline and show it on a page.

    Needs no microphone, no account and, once installed, no network. The voice is synthetic.
    """
    if keep_audio is None and config is None:
        keep_audio = _KEPT_S
    settings = options.settings_from(
        config,
        models={"asr": asr, "device": device, "checkpoint": checkpoint},
        vad={"name": vad},
        live={"audio_buffer_s": keep_audio},
        server={"port": port},
    )
    bound = bind(settings.server)
    console = Console(stderr=True)
    clock = WallClock()
    engine = options.load_engine(settings, console, clock, live=True)
    options.print_models(console, engine.model_info)
    with as_file(files("emostream.demo") / "recording.ogg") as recording:

        async def run() -> None:
            source = LoopSource(recording, pace=clock, pause_s=_PAUSE_S, rounds=1 if once else None)
            own = PublishedStream("demo", "Bundled recording", "The voice is synthetic.")
            await broadcast(bound, source, own, engine, settings, clock, [ConsoleSink(console)], console)

        asyncio.run(run())
