"""What each stage costs for one utterance of 4 s, and what a frame costs on the event loop."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Final

from benchmarks.suite.parts import Failure, Part, Progress, Setup, table
from benchmarks.suite.speech import demo_recording
from emostream.models import Clip, Transcript, load_recognizer, load_transcriber
from emostream.models.checkpoint_files import BUNDLED
from emostream.models.errors import ModelError
from emostream.streamer.audio.frontend import Samples
from emostream.streamer.bench.load_generator import BLOCK_SAMPLES
from emostream.streamer.config import FRAME_SAMPLES, SegmenterSettings, VadSettings
from emostream.streamer.pipeline.segmenter import Segmenter
from emostream.streamer.pipeline.vad import make_vad

SECONDS: Final = 4
REPEATS: Final = 15
_CHECKPOINTS: Final = {"self-contained model": BUNDLED, "model on Whisper's encoder": None}
_TRANSCRIBERS: Final = ("tiny.en", "base", "pocketsphinx")
_WORDS: Final = "the next train leaves at nine in the morning"
_SCALE: Final = {"ms": 1e3, "us": 1e6}


def measure(setup: Setup) -> Iterator[Part]:
    repeats = 1 if setup.smoke else REPEATS
    clip = Clip(demo_recording()[16_000 : 16_000 * (1 + SECONDS)])
    yield f"One utterance of {SECONDS} s, one at a time, warm, {repeats} repeats on the demo's recording.\n\n"
    rows: list[list[str]] = []
    yield Progress("emotion")
    for name, checkpoint in _CHECKPOINTS.items():
        recognizer = load_recognizer(checkpoint, device="cpu")
        transcript = Transcript(text=_WORDS, language="en")
        (code,), (alignment,) = recognizer.encode([clip]), recognizer.align([clip], [transcript])
        stages: dict[str, Callable[[], object]] = {
            "audio encoder": partial(recognizer.encode, [clip]),
            "text encoder and fusion": partial(recognizer.fuse, [code], [transcript], [alignment]),
        }
        rows += [_row(f"{stage}, {name}", _times(call, repeats), "ms") for stage, call in stages.items()]
    for asr in _TRANSCRIBERS[:1] if setup.smoke else _TRANSCRIBERS:
        yield Progress(f"words, {asr}")
        try:
            transcriber = load_transcriber(asr)
        except ModelError as error:
            yield Failure(f"words, {asr}: {error}")
            continue
        assert transcriber is not None
        call = partial(transcriber.transcribe, [clip])
        rows.append(_row(f"words, {transcriber.name}", _times(call, repeats), "ms"))
    yield Progress("VAD and segmenter")
    rows += _per_frame(demo_recording(), repeats)
    yield table(("what", "median", "min", "max", "unit"), rows)


def _per_frame(sound: Samples, repeats: int) -> Iterator[list[str]]:
    frames = sound[: len(sound) // FRAME_SAMPLES * FRAME_SAMPLES].reshape(-1, FRAME_SAMPLES)
    block = BLOCK_SAMPLES // FRAME_SAMPLES

    def detect(settings: VadSettings) -> list[bool]:
        vad = make_vad(settings)
        starts = range(0, len(frames), block)
        return [flag for start in starts for flag in vad.is_speech(frames[start : start + block])]

    for settings in (VadSettings(name="webrtc"), VadSettings(name="silero")):
        times = _times(partial(detect, settings), repeats)
        yield _row(f"VAD {settings.name}, a frame", times, "us", count=len(frames))
    flags = detect(VadSettings(name="webrtc"))

    def segment() -> None:
        segmenter = Segmenter(SegmenterSettings())
        for frame, flag in zip(frames, flags, strict=True):
            segmenter.push(frame, flag)

    yield _row("segmenter, a frame", _times(segment, repeats), "us", count=len(frames))


def _times(call: Callable[[], object], repeats: int) -> list[float]:
    """Seconds of each call, after one that is warm."""
    call()
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    return times


def _row(what: str, times: list[float], unit: str, count: int = 1) -> list[str]:
    scaled = (_SCALE[unit] / count * one for one in (statistics.median(times), min(times), max(times)))
    return [what, *(f"{one:.3g}" for one in scaled), unit]
