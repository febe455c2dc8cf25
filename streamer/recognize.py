"""`recognize`: the emotions of a whole recording in one call, without a server."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from emostream.models import Recognizer, Transcriber

from .audio.decode import AudioFile
from .audio.frontend import Samples
from .audio.sources import FileSource, Item, Pcm, Source
from .clock import WallClock
from .config import ModelSettings, Settings
from .errors import AnalysisError, ConfigError, SourceError
from .inference.engine import Engine
from .inference.load_models import load_models
from .pipeline.event_log import EventLog
from .pipeline.session import Session, SessionSettings
from .pipeline.vad import make_vad
from .protocol import messages

_BLOCK_S: Final = 4
_MAX_CHANNELS: Final = 8


@dataclass(frozen=True, slots=True)
class RecognizedUtterance:
    """One utterance of a recording.

    start_ms, end_ms: position in the recording. probabilities: calibrated, by label, sum 1; confidence is
    that of `label`. text: empty without a transcriber. language: BCP 47, None where unknown. words: each with
    its span in milliseconds. uncertain: reasons for doubt, empty if none (docs/protocol.md lists them).
    """

    start_ms: int
    end_ms: int
    label: str
    confidence: float
    probabilities: dict[str, float]
    text: str
    language: str | None
    words: tuple[messages.Word, ...]
    uncertain: tuple[str, ...]


def recognize(
    audio: str | Path | npt.NDArray[Any],
    sample_rate_hz: int | None = None,
    *,
    asr: str = "auto",
    language: str | None = None,
    checkpoint: str | Path | None = None,
    device: Literal["auto", "cpu", "cuda"] = "auto",
) -> list[RecognizedUtterance]:
    """Cut a recording into utterances and classify the emotion of each, in this process.

    audio: the path of a file in any format that FFmpeg reads, or samples: (n,) or (n, channels), float in
    [-1, 1] or integers at full scale, at `sample_rate_hz` (8000 to 96000; for samples only). asr, checkpoint,
    device: as for `emostream replay`; `asr="none"` classifies by the audio only. language: BCP 47, for the
    transcriber; None to detect it.

    The result equals that of `emostream replay` for the same file. The models of the last combination of asr,
    checkpoint and device stay loaded between calls; calls from several threads run one after the other. The
    call blocks: in asyncio use `await asyncio.to_thread(recognize, ...)`, and for live audio
    `emostream.connect`.

    Raises SourceError where the audio cannot be read, ConfigError for samples without a valid rate or shape,
    ModelError where the models cannot be loaded, and AnalysisError where they fail on an utterance.
    """
    settings = ModelSettings(
        asr=asr, checkpoint=None if checkpoint is None else str(checkpoint), device=device
    )
    if isinstance(audio, np.ndarray):
        samples = _checked(audio, sample_rate_hz)
    elif sample_rate_hz is not None:
        raise ConfigError(
            f"expected sample_rate_hz with samples only, got {sample_rate_hz} and a file; leave it out"
        )
    else:
        AudioFile(Path(audio)).close()  # an unreadable file is an error before models are loaded
    with _models.use(settings) as (transcriber, recognizer):

        async def run() -> list[RecognizedUtterance]:
            # Made here: a source belongs to the event loop that reads it.
            if isinstance(audio, np.ndarray):
                assert sample_rate_hz is not None
                source: Source = _SamplesSource(samples, sample_rate_hz)
            else:
                source = FileSource(Path(audio))
            return await _recognize(source, transcriber, recognizer, language)

        return _run(run)


async def _recognize(
    source: Source, transcriber: Transcriber | None, recognizer: Recognizer, language: str | None
) -> list[RecognizedUtterance]:
    clock, settings, sink = WallClock(), Settings(), _UtteranceSink()
    engine = Engine(transcriber, recognizer, clock)
    session = Session(
        source,
        make_vad(settings.vad),
        engine,
        EventLog("recognize"),
        [sink],
        SessionSettings(settings.segmenter, language=language),
        clock,
    )
    async with engine.running():
        await session.run()
    if sink.failure is not None:
        raise AnalysisError(sink.failure.message)
    return sink.utterances


def _run(run: Callable[[], Coroutine[Any, Any, list[RecognizedUtterance]]]) -> list[RecognizedUtterance]:
    """In an event loop of its own; in a thread where this one runs a loop already, as notebooks do."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(run())
    with ThreadPoolExecutor(1, thread_name_prefix="recognize") as pool:
        return pool.submit(lambda: asyncio.run(run())).result()


class _UtteranceSink:
    def __init__(self) -> None:
        self.utterances: list[RecognizedUtterance] = []
        self.failure: messages.Error | None = None

    async def send(self, event: messages.ServerEvent) -> None:
        match event:
            case messages.Emotion(final=True):
                self.utterances.append(
                    RecognizedUtterance(
                        start_ms=event.start_ms,
                        end_ms=event.end_ms,
                        label=event.label,
                        confidence=event.confidence,
                        probabilities=event.probabilities,
                        text=event.text,
                        language=event.language,
                        words=event.words,
                        uncertain=event.uncertain,
                    )
                )
            case messages.Error(code=AnalysisError.code):
                self.failure = self.failure or event


class _SamplesSource:
    """Samples in memory as a source. samples: (n, channels) float32."""

    def __init__(self, samples: Samples, sample_rate_hz: int) -> None:
        self._samples = samples
        self.sample_rate_hz = sample_rate_hz
        self.channels = samples.shape[1]
        self._stopped = False

    def stop(self) -> None:
        self._stopped = True

    async def items(self) -> AsyncIterator[Item]:
        size = _BLOCK_S * self.sample_rate_hz
        for first in range(0, len(self._samples), size):
            if self._stopped:
                return
            yield Pcm(self._samples[first : first + size])


def _checked(samples: npt.NDArray[Any], sample_rate_hz: int | None) -> Samples:
    """(n,) or (n, channels), float or integer -> (n, channels) float32. Raises ConfigError."""
    if sample_rate_hz is None or not 8_000 <= sample_rate_hz <= 96_000:
        raise ConfigError(
            f"expected sample_rate_hz of 8000 to 96000 with samples, got {sample_rate_hz}; pass it"
        )
    if samples.ndim not in (1, 2) or (samples.ndim == 2 and not 1 <= samples.shape[1] <= _MAX_CHANNELS):
        raise ConfigError(
            f"expected samples of the shape (n,) or (n, channels) with at most {_MAX_CHANNELS} channels, "
            f"got {samples.shape}; transpose them"
        )
    if not (np.issubdtype(samples.dtype, np.floating) or np.issubdtype(samples.dtype, np.signedinteger)):
        raise ConfigError(f"expected float or signed integer samples, got {samples.dtype}; convert them")
    if not len(samples):
        raise SourceError("expected audio, got no samples; pass at least one")
    columns = samples.reshape(len(samples), -1)
    if np.issubdtype(columns.dtype, np.signedinteger):
        return (columns / -float(np.iinfo(columns.dtype).min)).astype(np.float32)
    return columns.astype(np.float32)


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
