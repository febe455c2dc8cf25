"""`python -m benchmarks.vad`: every voice activity detector on sessions of real clips, clean and in noise.

Acted clips of RAVDESS's test speakers, trimmed to speech, with gaps of 0.8 to 2 s; ours is the whole way from
sound to utterance, so a row is of a detector *and* the segmenter behind it. Writes vad.md.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.machine import commit, machine
from emostream.streamer.audio.decode import decode_file
from emostream.streamer.audio.frontend import Samples
from emostream.streamer.bench.load_generator import BLOCK_SAMPLES
from emostream.streamer.bench.workload import Workload, make_workload, trim_silence
from emostream.streamer.config import FRAME_SAMPLES, SAMPLE_RATE_HZ, SegmenterSettings, VadSettings
from emostream.streamer.pipeline.segmenter import Segmenter, Utterance
from emostream.streamer.pipeline.vad import make_vad
from emostream.training.augmentation.waveform import coloured_noise, mix_at_snr
from emostream.training.corpora.manifest import DEFAULT_DATA, read_manifest

_BLOCK_FRAMES: Final = BLOCK_SAMPLES // FRAME_SAMPLES
RESULTS: Final = Path(__file__).with_name("vad.md")
SECONDS: Final = 300.0
DETECTORS: Final = (
    *(VadSettings(name="webrtc", aggressiveness=level) for level in range(4)),
    *(VadSettings(name="silero", threshold=threshold) for threshold in (0.1, 0.2, 0.3, 0.5, 0.7)),
)
_LEVEL: Final = 0.05


@dataclass(slots=True)
class Tally:
    """starts, ends: of clips that one utterance alone belongs to, seconds too late (early: negative)."""

    clips: int = 0
    missed: int = 0
    split: int = 0
    merged: int = 0
    false_alarms: int = 0
    starts: list[float] = field(default_factory=list)
    ends: list[float] = field(default_factory=list)
    frame_us: list[float] = field(default_factory=list)


def conditions(load: Workload, model_info: Sequence[Samples]) -> Iterator[tuple[str, Samples]]:
    """The session as it is, and with background sounds. Levels are relative to speech."""
    clean = load.samples
    spoken = np.concatenate([clean[start:end] for start, end in load.spans])
    # The ratio is that to speech: `mix_at_snr` measures what it is given, pauses and all.
    share_db = 10 * np.log10((clean**2).mean() / (spoken**2).mean())
    rng = np.random.default_rng(0)
    noise, music, babble = (
        coloured_noise(len(clean), rng),
        _music(len(clean), rng),
        _babble(len(clean), model_info),
    )
    yield "clean", clean
    for snr in (20, 10, 5, 0):
        yield f"noise, {snr} dB", mix_at_snr(clean, noise, snr + share_db)
    for snr in (20, 10):
        yield f"music, {snr} dB", mix_at_snr(clean, music, snr + share_db)
    for snr in (20, 10):
        yield f"babble of six, {snr} dB", mix_at_snr(clean, babble, snr + share_db)


def _music(length: int, rng: np.random.Generator) -> np.ndarray:
    """Four chords in turn, plucked twice a second, eight harmonics a note: made up, rich in pitch."""
    beat = SAMPLE_RATE_HZ // 2
    when = np.arange(beat) / SAMPLE_RATE_HZ
    chords = [(0, 4, 7), (-3, 0, 4), (-7, -3, 0), (-5, -1, 2)]
    beats = []
    for number in range(length // beat + 1):
        steps = chords[number // 4 % len(chords)]
        notes = [262.0 * 2 ** ((step + 12 * int(rng.integers(0, 2))) / 12) for step in steps]
        tones = [np.sin(2 * np.pi * k * note * when) / k for note in notes for k in range(1, 9)]
        beats.append(np.sum(tones, 0) * np.exp(-4.0 * when))
    return np.concatenate(beats)[:length]


def _babble(length: int, model_info: Sequence[Samples]) -> np.ndarray:
    """All at once, each on and on."""
    levelled = [voice / np.sqrt((voice**2).mean()) for voice in model_info]
    babble: np.ndarray = np.sum([np.resize(voice, length) for voice in levelled], 0)
    return babble


def segmented(samples: Samples, settings: VadSettings) -> tuple[list[tuple[int, int]], float]:
    """First and last sample of each utterance; and what a frame cost the detector, in microseconds."""
    vad, segmenter, spent = make_vad(settings), Segmenter(SegmenterSettings()), 0.0
    frames = samples[: len(samples) // FRAME_SAMPLES * FRAME_SAMPLES].reshape(-1, FRAME_SAMPLES)
    happened = []
    for start in range(0, len(frames), _BLOCK_FRAMES):
        block = frames[start : start + _BLOCK_FRAMES]
        began = time.perf_counter()
        flags = vad.is_speech(block)
        spent += time.perf_counter() - began
        for frame, is_speech in zip(block, flags, strict=True):
            happened += segmenter.push(frame, is_speech)
    happened += segmenter.flush("end_of_stream")
    spans = [(one.start, one.end) for one in happened if isinstance(one, Utterance)]
    return spans, 1e6 * spent / len(frames)


def note(tally: Tally, load: Workload, found: Sequence[tuple[int, int]]) -> None:
    """An utterance and a clip belong together where they overlap."""
    touching = [
        [clip for clip, (a, b) in enumerate(load.spans) if min(b, end) > max(a, start)]
        for start, end in found
    ]
    tally.clips += len(load.spans)
    tally.false_alarms += sum(not clips for clips in touching)
    tally.merged += sum(len(clips) > 1 for clips in touching)
    for clip, (start, end) in enumerate(load.spans):
        own = [number for number, clips in enumerate(touching) if clip in clips]
        tally.missed += not own
        tally.split += len(own) > 1
        if len(own) == 1 and touching[own[0]] == [clip]:
            tally.starts.append((found[own[0]][0] - start) / SAMPLE_RATE_HZ)
            tally.ends.append((found[own[0]][1] - end) / SAMPLE_RATE_HZ)


def main() -> None:
    examples = [e for e in read_manifest(DEFAULT_DATA / "manifest.csv") if e.corpus == "ravdess"]
    clips = [_level(trim_silence(decode_file(e.audio_path))) for e in examples if e.split == "test"]
    others: dict[str, list[Samples]] = {}
    for example in examples:
        if example.split == "train" and len(others.setdefault(example.speaker, [])) < 12:
            others[example.speaker].append(trim_silence(decode_file(example.audio_path)))
    model_info = [np.concatenate(part) for part in list(others.values())[:6]]
    load = make_workload(clips, SECONDS)
    tallies: dict[tuple[str, str], Tally] = {}
    for condition, samples in conditions(load, model_info):
        for settings in DETECTORS:
            name = make_vad(settings).name
            tally = tallies.setdefault((condition, name), Tally())
            found, cost = segmented(samples, settings)
            tally.frame_us.append(cost)
            note(tally, load, found)
        print(condition, flush=True)
    text = (
        "# Voice activity detectors\n\n"
        f"Regenerated by `python -m benchmarks.vad` on {datetime.now(UTC):%Y-%m-%d}, commit {commit()}.\n"
        f"{machine()}.\n\n"
        f"One session of {SECONDS:.0f} s: {len(load.spans)} clips of RAVDESS's test speakers (all eight "
        "emotions, all at one level), trimmed to speech, gaps of 0.8 to 2 s, the segmenter's defaults. "
        "Levels are against speech. The music is made up (plucked chords), the babble six training speakers "
        "at once. Edges: median of the start and of the end of clips that are one utterance, milliseconds "
        "late.\n\n"
        "| sound | detector | missed | split | merged | false alarms | start | end | us a frame |\n"
        "|---|---|---|---|---|---|---|---|---|\n"
    )
    text += "".join(_line(*key, tally) for key, tally in tallies.items())
    RESULTS.write_text(text, encoding="utf-8")
    print(text)


def _line(condition: str, name: str, tally: Tally) -> str:
    shares = [f"{100 * count / tally.clips:.0f} %" for count in (tally.missed, tally.split)]
    edges = [f"{1_000 * statistics.median(part):+.0f}" if part else "" for part in (tally.starts, tally.ends)]
    counts = [str(tally.merged), str(tally.false_alarms)]
    cost = f"{statistics.median(tally.frame_us):.0f}"
    return "| " + " | ".join([condition, name, *shares, *counts, *edges, cost]) + " |\n"


def _level(clip: Samples) -> Samples:
    levelled: Samples = (clip * (_LEVEL / np.sqrt((clip**2).mean()))).astype(np.float32)
    return levelled


if __name__ == "__main__":
    main()
