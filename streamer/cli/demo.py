"""`emostream demo`: the bundled recording on the page."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from importlib.resources import as_file, files

from rich.console import Console

from ..audio.sources import LoopSource
from ..clock import WallClock
from ..output.sinks import ConsoleSink
from ..server.listen import bind
from ..server.local_stream import serve_local_stream
from ..server.published_stream import PublishedStream
from .console import load_engine_behind_page, print_models
from .options import ModelOptions, PageOptions

_PAUSE_S = 4.0
_AUDIO_BUFFER_S = 600  # the voice is synthetic: no privacy at stake


def demo(
    *,
    once: bool,
    page: PageOptions,
    models: ModelOptions,
) -> None:
    """Run the command; `commands.demo` has its options."""
    if page.audio_buffer is None and models.config is None:
        page = replace(page, audio_buffer=_AUDIO_BUFFER_S)
    settings = models.settings(**page.sections())
    bound = bind(settings.server)
    console = Console(stderr=True)
    clock = WallClock()
    engine = load_engine_behind_page(bound, settings, console, clock)
    print_models(console, engine.model_info)
    with as_file(files("emostream.demo") / "recording.ogg") as recording:

        async def run() -> None:
            source = LoopSource(recording, pace=clock, pause_s=_PAUSE_S, rounds=1 if once else None)
            note = "The voice is synthetic." + ("" if once else " After a pause it begins again.")
            own = PublishedStream("demo", "Bundled recording", note)
            await serve_local_stream(
                bound, source, own, engine, settings, clock, [ConsoleSink(console)], console
            )

        asyncio.run(run())
