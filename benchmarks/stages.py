"""What each stage costs for one utterance of 4 s, and what a frame costs on the event loop."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib.resources import files
from pathlib import Path

from emostream.models import Clip, Transcript, load_recognizer, load_transcriber
from emostream.streamer.audio.decode import decode_file
from emostream.streamer.audio.frontend import Samples
from emostream.streamer.bench.load_generator import BLOCK_SAMPLES
from emostream.streamer.config import FRAME_SAMPLES, SegmenterSettings, VadSettings
from emostream.streamer.pipeline.segmenter import Segmenter
from emostream.streamer.pipeline.vad import make_vad

SECONDS = 4
REPEATS = 15


@dataclass(frozen=True)
class Row:
    """Milliseconds or microseconds, see `unit`, over the repeats."""

    what: str
    unit: str
    median: float
    low: float
    high: float


def rows(whisper: str | None) -> Iterator[Row]:
    """whisper: a model name or folder, None leaves it out."""
    sound = bundled_recording()
    clip = Clip(sound[16_000 : 16_000 * (1 + SECONDS)])
    recognizer = load_recognizer(device="cpu")
    (code,) = recognizer.encode([clip])
    transcript = Transcript(text="the next train leaves at nine in the morning", language="en")
    (alignment,) = recognizer.align([clip], [transcript])
    yield _timed("audio encoder", lambda: recognizer.encode([clip]))
    yield _timed("alignment", lambda: recognizer.align([clip], [transcript]))
    yield _timed("text encoder and fusion", lambda: recognizer.fuse([code], [transcript], [alignment]))
    yield _timed(
        "emotion, all of it",
        lambda: recognizer.fuse(
            recognizer.encode([clip]), [transcript], recognizer.align([clip], [transcript])
        ),
    )
    for name in filter(None, ("pocketsphinx", whisper)):
        transcriber = load_transcriber(name)
        if transcriber is not None:
            yield _timed(f"words, {transcriber.name}", partial(transcriber.transcribe, [clip]))
    yield from _per_frame(sound)


def bundled_recording() -> Samples:
    """(N,) at 16 kHz."""
    return decode_file(Path(str(files("emostream.demo") / "recording.ogg")))


def _per_frame(sound: Samples) -> Iterator[Row]:
    frames = sound[: len(sound) // FRAME_SAMPLES * FRAME_SAMPLES].reshape(-1, FRAME_SAMPLES)
    block = BLOCK_SAMPLES // FRAME_SAMPLES
    flags: list[bool] = []
    for settings in (VadSettings(name="webrtc"), VadSettings(name="silero")):

        def detect(settings: VadSettings = settings) -> list[bool]:
            vad = make_vad(settings)
            starts = range(0, len(frames), block)
            return [flag for start in starts for flag in vad.is_speech(frames[start : start + block])]

        flags = flags or detect()
        yield _timed(f"VAD {settings.name}, a frame", detect, unit="us", count=len(frames))

    def segment() -> None:
        segmenter = Segmenter(SegmenterSettings())
        for frame, flag in zip(frames, flags, strict=True):
            segmenter.push(frame, flag)

    yield _timed("segmenter, a frame", segment, unit="us", count=len(frames))


def _timed(what: str, call: Callable[[], object], *, unit: str = "ms", count: int = 1) -> Row:
    call()  # warm
    scale = {"ms": 1e3, "us": 1e6}[unit] / count
    times = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        call()
        times.append((time.perf_counter() - began) * scale)
    return Row(what, unit, statistics.median(times), min(times), max(times))
