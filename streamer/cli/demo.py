"""`emostream demo`: the bundled recording on the page."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from importlib.resources import as_file, files

from rich.console import Console

from ..audio.sources import FileSource
from ..clock import WallClock
from ..output.sinks import ConsoleSink
from ..server.listen import bind
from ..server.local_stream import serve_local_stream
from ..server.published_stream import PublishedStream
from .console import load_engine_behind_page, print_line, print_models
from .options import ModelOptions, PageOptions

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
            note = "The voice is synthetic." + ("" if once else " It plays again and again, each time anew.")
            own = PublishedStream("demo", "Bundled recording", note)

            def next_round() -> FileSource:
                print_line(console, "The recording begins again, in a new session.")
                return FileSource(recording, pace=clock)

            await serve_local_stream(
                bound,
                FileSource(recording, pace=clock),
                own,
                engine,
                settings,
                clock,
                [ConsoleSink(console)],
                console,
                next_round=None if once else next_round,
            )

        asyncio.run(run())
