"""`recognize` and `plot`: the emotions of a whole recording in one call, without a server."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Coroutine, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar

import numpy as np
import numpy.typing as npt

from emostream.models import Recognizer, Transcriber

from .audio.decode import AudioFile
from .audio.samples import SamplesSource, as_float, check_rate
from .audio.sources import FileSource, Source
from .audio.tee import TeeSource
from .clock import WallClock
from .config import Adapt, Channels, ModelSettings, Settings
from .errors import AnalysisError, ConfigError
from .inference.engine import Engine
from .inference.load_models import load_models, load_speech_check
from .optional_deps import require_matplotlib
from .output.timeline_figure import Timeline, timeline_figure
from .pipeline.event_log import EventLog
from .pipeline.recording_baseline import first_pass, second_pass_settings
from .pipeline.running_baseline import SpeakerOptions
from .pipeline.session import Session, Sink
from .pipeline.session_settings import SessionSettings
from .pipeline.vad import make_vad
from .protocol import messages
from .utterances import RecognizedUtterance, Utterances

if TYPE_CHECKING:
    from matplotlib.figure import Figure

log = logging.getLogger(__name__)

Audio = str | Path | npt.NDArray[Any]
Device = Literal["auto", "cpu", "cuda"]

T = TypeVar("T")


def recognize(
    audio: Audio,
    sample_rate_hz: int | None = None,
    *,
    asr: str = "auto",
    language: str | None = None,
    checkpoint: str | Path | None = None,
    device: Device = "auto",
    adapt: Adapt = "stream",
    channels: Channels = "mix",
    track: int = 1,
) -> Utterances:
    """Cut a recording into utterances and classify the emotion of each, in this process.

    audio: the path of a file in any format that FFmpeg reads, or samples: (n,) or (n, channels), float in
    [-1, 1] or integers at full scale, at `sample_rate_hz` (1000 to 768000; only for samples). asr,
    checkpoint, device: as for `emostream replay`; `asr="none"` classifies by the audio only. language: BCP
    47, for the transcriber; None to detect it. adapt: whether an utterance is judged against the speaker's
    utterances before it (`stream`), against all of the recording (`recording`), or alone (`off`), where the
    model supports it. channels: `mix` for all of them, mixed down; `split` for each on its own, with a
    speaker of its own; or the number of one. track: of a file with several sound tracks. Both count from 1.

    The result is a list, which a notebook shows as a table and `to_pandas()` makes a data frame. Sounds
    without speech (claps, music) are not in it; it equals that of `emostream replay` for the same file. The
    models of the last combination of asr, checkpoint and device stay loaded between calls; calls from
    several threads run one after the other. The call blocks: in asyncio use
    `await asyncio.to_thread(recognize, ...)`, and for live audio `emostream.connect`.

    Raises SourceError where the audio cannot be read, ConfigError for samples without a valid rate or shape,
    ModelError where the models cannot be loaded, and AnalysisError where they fail on an utterance.
    """
    open_source = _source_opener(audio, sample_rate_hz, track)
    options = _Options(language, adapt, channels)
    with _models.use(_model_settings(asr, checkpoint, device)) as models:
        sink = _UtteranceSink(models[1].labels)
        _run(lambda: _analyze(open_source, models, options, [sink]))
    return sink.result()


def plot(
    audio: Audio,
    sample_rate_hz: int | None = None,
    *,
    title: str | None = None,
    asr: str = "auto",
    language: str | None = None,
    checkpoint: str | Path | None = None,
    device: Device = "auto",
    adapt: Adapt = "stream",
) -> Figure:
    """Draw the waveform of a recording, its utterances and the probability of every emotion over time.

    title: default is the name of the file. The other parameters, and what is raised, are those of
    `recognize`. Needs matplotlib (`pip install 'emostream[plot]'`), else ConfigError. The figure belongs to
    no window: `plot("speech.wav").savefig("speech.png")`, or the last line of a notebook's cell.
    """
    require_matplotlib("plot")
    open_source = _source_opener(audio, sample_rate_hz)
    with _models.use(_model_settings(asr, checkpoint, device)) as models:
        sink = _UtteranceSink(models[1].labels)
        timeline = Timeline(models[1].labels)

        def tapped(source: Source) -> Source:
            return TeeSource(source, [lambda item: timeline.add_audio(item, source.sample_rate_hz)])

        options = _Options(language, adapt)
        _run(lambda: _analyze(open_source, models, options, [timeline, sink], tapped))
    sink.result()
    if title is None:
        title = "" if isinstance(audio, np.ndarray) else Path(audio).name
    return timeline_figure(timeline, title)


def _model_settings(asr: str, checkpoint: str | Path | None, device: Device) -> ModelSettings:
    return ModelSettings(asr=asr, checkpoint=None if checkpoint is None else str(checkpoint), device=device)


def _source_opener(audio: Audio, sample_rate_hz: int | None, track: int = 1) -> Callable[[], Source]:
    """The source itself is made in the event loop that reads it. Unusable audio raises here, before models
    are loaded.
    """
    if isinstance(audio, np.ndarray):
        rate_hz, samples = check_rate(sample_rate_hz), as_float(audio)
        return lambda: SamplesSource(samples, rate_hz)
    if sample_rate_hz is not None:
        raise ConfigError(
            f"expected sample_rate_hz with samples only, got {sample_rate_hz} and a file; leave it out"
        )
    path = Path(audio)
    AudioFile(path, track=track).close()
    return lambda: FileSource(path, track=track)


@dataclass(frozen=True, slots=True)
class _Options:
    language: str | None
    adapt: Adapt
    channels: Channels = "mix"


async def _analyze(
    open_source: Callable[[], Source],
    models: tuple[Transcriber | None, Recognizer],
    options: _Options,
    sinks: Sequence[Sink],
    tapped: Callable[[Source], Source] = lambda source: source,
) -> None:
    """tapped: the source, with what listens to its audio."""
    clock, settings = WallClock(), Settings()
    engine = Engine(*models, clock, speech_detector=load_speech_check(settings.models), recordings=True)
    adaptation = SpeakerOptions(adapt=options.adapt != "off")
    session_settings = SessionSettings(
        settings.segmenter,
        language=options.language,
        channels=options.channels,
        speaker=adaptation,
        queued=engine.utterances_queued(1),
    )
    async with engine.running():
        if options.adapt == "recording":
            first = first_pass(
                open_source(), partial(make_vad, settings.vad), engine, session_settings, clock
            )
            await first.run()
            session_settings = second_pass_settings(session_settings, first.speakers)
        source, vad = tapped(open_source()), partial(make_vad, settings.vad)
        await Session(source, vad, engine, EventLog("recognize"), sinks, session_settings, clock).run()


def _run(start: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """In an event loop of its own; in a thread where this one runs a loop already, as notebooks do."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(_start(start))
    with ThreadPoolExecutor(1, thread_name_prefix="recognize") as pool:
        return pool.submit(lambda: asyncio.run(_start(start))).result()


async def _start(start: Callable[[], Coroutine[Any, Any, T]]) -> T:
    return await start()


class _UtteranceSink:
    """Collects the finals, and the first failure of the models."""

    def __init__(self, labels: tuple[str, ...]) -> None:
        self._utterances = Utterances(labels=labels)
        self._failure: messages.Error | None = None

    def result(self) -> Utterances:
        """Raises AnalysisError."""
        if self._failure is not None:
            raise AnalysisError(self._failure.message)
        return self._utterances

    async def send(self, event: messages.ServerEvent) -> None:
        match event:
            case messages.Emotion(final=True):
                self._utterances.append(RecognizedUtterance.of(event))
            case messages.Error(code=AnalysisError.code):
                self._failure = self._failure or event
            case messages.Error(fatal=False):
                log.warning("%s", event.message)


class _ModelCache:
    """The models of the last call, used by one call at a time: no two threads may call one model."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loaded: tuple[ModelSettings, tuple[Transcriber | None, Recognizer]] | None = None

    @contextmanager
    def use(self, settings: ModelSettings) -> Iterator[tuple[Transcriber | None, Recognizer]]:
        """Raises ModelError."""
        with self._lock:
            if self._loaded is None or self._loaded[0] != settings:
                self._loaded = None  # two sets of models need not fit into memory
                self._loaded = settings, load_models(settings)
            yield self._loaded[1]


_models: Final = _ModelCache()
