"""`emostream live`: the microphone, or a recording at its own pace, analyzed here and shown on the page."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import msgspec
from rich.console import Console

from ..audio.microphone import MicrophoneSource, find_device
from ..audio.sources import Source
from ..audio.tee import TeeSource
from ..clock import WallClock
from ..config import Settings
from ..display_paths import printable
from ..errors import ConfigError
from ..output.format_names import FormatName
from ..output.formats import FORMATS
from ..output.sinks import ConsoleSink
from ..pipeline.conversions import describe_models
from ..pipeline.session import Sink
from ..replay.capture import SessionRecorder
from ..replay.discovery import ReplayJob, find_jobs
from ..replay.outputs import open_document
from ..server.listen import bind
from ..server.local_stream import serve_local_stream
from ..server.published_stream import PublishedStream
from ..speakers.store import EnrolledSpeaker, SpeakerStore
from ..speakers.voice import baseline_of
from .console import (
    check_one_speaker,
    load_engine_behind_page,
    print_line,
    print_models,
    warn_of_other_models,
)
from .enroll import enroll_speaker
from .options import AudioOptions, ModelOptions, PageOptions
from .output_files import check_writable

Results = tuple[Path, FormatName]
"""A file of results and its format."""


def live(
    *,
    file: Path | None,
    microphone: str | None,
    output: Path | None,
    form: FormatName | None,
    language: str | None,
    speaker: str | None,
    enroll: str | None,
    audio: AudioOptions,
    page: PageOptions,
    models: ModelOptions,
) -> None:
    """Run the command; `commands.live` has its options."""
    settings = models.settings(audio=audio.section(), **page.sections())
    _check(file, microphone, output, form)
    if file is None:
        audio.check_microphone(settings.audio.channels)
    if enroll is not None:
        if speaker is not None or output is not None:
            raise ConfigError("expected --enroll alone, got --speaker or --output too; leave them out")
        enroll_speaker(enroll, settings, file, microphone)
        return
    enrolled = None if speaker is None else SpeakerStore().load(speaker)
    check_one_speaker(settings.audio.channels, speaker)
    results = None if output is None else (output, form or "jsonl")
    if file is None:
        run_microphone(settings, microphone, results=results, language=language, speaker=enrolled)
    else:
        _play(
            _find_recording(file, settings),
            settings,
            results,
            language,
            enrolled,
            recorded_segmentation=models.recorded_segmentation,
            recorded_channels=audio.channels is None and models.config is None,
        )


def _check(file: Path | None, microphone: str | None, output: Path | None, form: FormatName | None) -> None:
    """Raises ConfigError if options contradict each other or need a package that is not installed."""
    if file is not None and microphone is not None:
        raise ConfigError("expected --file or --microphone, got both; leave one out")
    if form is not None and output is None:
        raise ConfigError("expected --output FILE with --format, got none; add it, or leave --format out")
    if form is not None:
        FORMATS[form].require()
    if output is None:
        return
    if file is not None and output.exists() and file.exists() and output.samefile(file):
        raise ConfigError(f"expected --output to be a new file, got the recording {printable(output)}")
    check_writable(output, "--output")


def _find_recording(file: Path, settings: Settings) -> ReplayJob:
    """Raises ConfigError where it is not one recording."""
    jobs, failures = find_jobs([file], settings.audio)
    if failures:
        raise failures[0]
    if len(jobs) != 1:
        raise ConfigError(f"expected one recording with --file, got {len(jobs)}; name one")
    return jobs[0]


def run_microphone(
    settings: Settings,
    microphone: str | None,
    *,
    record_to: Path | None = None,
    results: Results | None = None,
    language: str | None = None,
    speaker: EnrolledSpeaker | None = None,
) -> None:
    """Analyze the microphone until Ctrl-C. record_to: the folder that the session is recorded to."""
    device = find_device(microphone)
    bound = bind(settings.server)
    console = Console(stderr=True)
    clock = WallClock()
    engine = load_engine_behind_page(bound, settings, console, clock)
    print_models(console, engine.model_info)
    print_line(console, f"Microphone: {device.name}, {device.sample_rate_hz} Hz")
    baseline = None if speaker is None else baseline_of(speaker.voice, engine.model_info)

    async def run() -> None:
        source: Source = MicrophoneSource(device)
        note = None if record_to is None else "This session is being recorded."
        own = PublishedStream("microphone", device.name, note)
        with ExitStack() as stack:
            sinks = [_sink(stack, results, engine.model_info.labels, device.name, console)]
            if record_to is not None:
                models = describe_models(engine, settings.vad)
                recorder = SessionRecorder(
                    record_to, device.name, source.sample_rate_hz, source.channels, settings, models
                )
                stack.enter_context(recorder)
                source = TeeSource(source, [recorder.take])
                sinks.append(recorder)
                print_line(console, f"Audio and transcript are recorded in {printable(record_to)}")
            await serve_local_stream(
                bound,
                source,
                own,
                engine,
                settings,
                clock,
                sinks,
                console,
                language=language,
                speaker=baseline,
            )

    asyncio.run(run())


def _play(
    job: ReplayJob,
    settings: Settings,
    results: Results | None,
    language: str | None,
    speaker: EnrolledSpeaker | None,
    *,
    recorded_segmentation: bool,
    recorded_channels: bool,
) -> None:
    """Play a recording at its own pace; the page stays until Ctrl-C."""
    if job.session is not None and recorded_segmentation:
        settings = msgspec.structs.replace(settings, vad=job.session.vad, segmenter=job.session.segmenter)
    if job.session is not None and recorded_channels:
        settings = msgspec.structs.replace(settings, audio=job.session.audio)
    bound = bind(settings.server)
    console = Console(stderr=True)
    clock = WallClock()
    engine = load_engine_behind_page(bound, settings, console, clock)
    print_models(console, engine.model_info)
    warn_of_other_models(
        [job],
        describe_models(engine, settings.vad),
        console,
        recorded_segmentation=recorded_segmentation,
    )
    baseline = None if speaker is None else baseline_of(speaker.voice, engine.model_info)

    async def run() -> None:
        own = PublishedStream("file", printable(job.name), "A recording, played at its own pace.")
        with ExitStack() as stack:
            sink = _sink(stack, results, engine.model_info.labels, printable(job.path), console)
            source = job.source(clock, settings.audio.track)
            await serve_local_stream(
                bound,
                source,
                own,
                engine,
                settings,
                clock,
                [sink],
                console,
                language=language,
                speaker=baseline,
            )

    asyncio.run(run())


def _sink(
    stack: ExitStack, results: Results | None, labels: Sequence[str], name: str, console: Console
) -> Sink:
    """The terminal, or a file of results, which is closed with the stack."""
    if results is None:
        return ConsoleSink(console)
    path, form = results
    return stack.enter_context(open_document(path, form, labels)).add(name)
