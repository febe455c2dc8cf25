"""`python -m benchmarks.speech_presence`: which utterances are taken for speech; writes speech_presence.md.

Every sound is cut into utterances by a voice activity detector and the segmenter; then the detector of
finished utterances (`models/speech_presence.py`) looks at each. A clip with several utterances counts as
speech if one of them does.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.machine import commit, machine
from benchmarks.sounds import MISREAD, SOUNDS
from emostream.models import Clip, Samples, SpeechPresence, load_speech_detector
from emostream.streamer.audio.decode import decode_file
from emostream.streamer.config import FRAME_SAMPLES, SAMPLE_RATE_HZ, SegmenterSettings, VadSettings
from emostream.streamer.pipeline.segmenter import Segmenter, Utterance
from emostream.streamer.pipeline.vad import make_vad
from emostream.training.corpora.csv_reader import read_table
from emostream.training.corpora.manifest import DEFAULT_DATA

RESULTS: Final = Path(__file__).with_name("speech_presence.md")
SPEECH: Final = ("ravdess", "crema_d", "nemo", "banglaser", "aesdd", "librispeech")
_OWN_MANIFEST: Final = ("ravdess", "nemo")
"""Not: they are listed in the manifest of the whole folder."""
_REPEATS: Final = 20
_SPOKEN: Final = 12
"""Clips of each speech corpus that are misread."""
_SILERO: Final = VadSettings(name="silero")


@dataclass(slots=True)
class Tally:
    """Counts of clips. cut: with an utterance; silero: with one where Silero is the detector that cuts.
    speech: with one that is taken for speech; sure: without doubt.
    """

    clips: int = 0
    cut: int = 0
    silero: int = 0
    speech: int = 0
    sure: int = 0

    def add(self, found: Sequence[SpeechPresence], silero: bool) -> None:
        self.clips += 1
        self.cut += bool(found)
        self.silero += silero
        self.speech += any(one.reason is None for one in found)
        self.sure += any(one.reason is None and not one.doubtful for one in found)


def corpus_files(data: Path, corpus: str) -> list[Path]:
    """The audio files of a corpus in the shared data, without copies, in the manifest's order."""
    whole = corpus in _OWN_MANIFEST
    manifest = data / "manifest.csv" if whole else data / corpus / "manifest.csv"
    rows = [row.cells for row in read_table(manifest, ("path",))]
    return [
        manifest.parent / row["path"]
        for row in rows
        if not whole or (row["corpus"] == corpus and not row.get("dup_of"))
    ]


def clips_of(samples: Samples, settings: VadSettings | None = None) -> list[Samples]:
    """The clips of its utterances. settings: the detector's; None for the default."""
    vad, segmenter = make_vad(settings or VadSettings()), Segmenter(SegmenterSettings())
    padded = np.concatenate([samples, np.zeros(SAMPLE_RATE_HZ, np.float32)])
    frames = padded[: len(padded) // FRAME_SAMPLES * FRAME_SAMPLES].reshape(-1, FRAME_SAMPLES)
    outcomes = []
    for frame, is_speech in zip(frames, vad.is_speech(frames), strict=True):
        outcomes += segmenter.push(frame, is_speech)
    outcomes += segmenter.flush("end_of_stream")
    return [outcome.samples for outcome in outcomes if isinstance(outcome, Utterance)]


def sounds(data: Path, per_corpus: int) -> Iterator[tuple[str, Iterable[Samples]]]:
    """Groups of clips by name."""
    for path_group, paths in _noise(data):
        yield path_group, map(decode_file, paths)
    rng = np.random.default_rng(0)
    for name, make in SOUNDS.items():
        made = [make(rng).astype(np.float32) for _ in range(20)]
        yield f"made up: {name.replace('_', ' ')}", made
    spoken = [decode_file(p) for corpus in SPEECH for p in _spread(corpus_files(data, corpus), _SPOKEN)]
    for kind, misread in MISREAD.items():
        yield f"misread: {kind}", (misread(clip).astype(np.float32) for clip in spoken)
    for corpus in SPEECH:
        yield f"speech: {corpus}", map(decode_file, _spread(corpus_files(data, corpus), per_corpus))


def _noise(data: Path) -> Iterator[tuple[str, list[Path]]]:
    groups: dict[str, list[Path]] = {}
    for path in corpus_files(data, "noise"):
        groups.setdefault(path.name.split("-")[0].replace("_", " "), []).append(path)
    for name, paths in groups.items():
        yield f"noise: {name}", paths


def _spread(paths: Sequence[Path], count: int) -> list[Path]:
    if count >= len(paths):
        return list(paths)
    return [paths[place] for place in np.linspace(0, len(paths) - 1, count).astype(int)]


def tally(clips: Iterable[Samples]) -> Tally:
    detector, counts = load_speech_detector(), Tally()
    for samples in clips:
        found = detector.detect([Clip(clip) for clip in clips_of(samples)])
        counts.add(found, bool(clips_of(samples, _SILERO)))
    return counts


def cost_ms(seconds: float) -> tuple[float, float]:
    """CPU time of one look at a clip of speech, and of noise (looked at twice), in milliseconds."""
    speech = decode_file(Path(__file__).parents[1] / "demo" / "recording.ogg")
    noise = SOUNDS["white_noise"](np.random.default_rng(0)).astype(np.float32)
    detector, costs = load_speech_detector(), []
    for samples in (speech, noise):
        clip = Clip(np.resize(samples, int(seconds * SAMPLE_RATE_HZ)))
        detector.detect([clip])
        began = time.process_time()
        for _ in range(_REPEATS):
            detector.detect([clip])
        costs.append(1_000 * (time.process_time() - began) / _REPEATS)
    return costs[0], costs[1]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speech_presence", description=__doc__)
    parser.add_argument("--data", type=Path, default=DEFAULT_DATA, help="the folder of the corpora")
    parser.add_argument("--clips", type=int, default=400, help="of each speech corpus, evenly spread")
    arguments = parser.parse_args()
    rows: list[str] = []
    groups: dict[str, Tally] = {}
    for name, clips in sounds(arguments.data, arguments.clips):
        counts = tally(clips)
        print(name, counts, flush=True)
        rows.append(_line(name, counts))
        total = groups.setdefault(name.split(":")[0], Tally())
        for field in ("clips", "cut", "silero", "speech", "sure"):
            setattr(total, field, getattr(total, field) + getattr(counts, field))
    rows += [_line(f"**{name}, all**", counts) for name, counts in groups.items()]
    costs = [(seconds, *cost_ms(seconds)) for seconds in (1.0, 4.0, 20.0)]
    RESULTS.write_text(
        "# Speech or not\n\n"
        f"Regenerated by `python -m benchmarks.speech_presence` on {datetime.now(UTC):%Y-%m-%d}, commit "
        f"{commit()}.\n{machine()}.\n\n"
        "Clips, and in how many of them something is: an utterance by WebRTC at level 2 (the default), by "
        "Silero at 0.3 in its place; of WebRTC's utterances one that the second look takes for speech, and "
        "one that it takes for speech without doubt. Corpora of speech: evenly spread clips.\n\n"
        "| sound | clips | WebRTC | Silero | speech | without doubt |\n|---|---|---|---|---|---|\n"
        f"{''.join(rows)}\n"
        "CPU time of the second look, one thread:\n\n| clip | speech | noise |\n|---|---|---|\n"
        + "".join(f"| {seconds:g} s | {a:.1f} ms | {b:.1f} ms |\n" for seconds, a, b in costs),
        encoding="utf-8",
    )


def _line(name: str, counts: Tally) -> str:
    cells = (name, counts.clips, counts.cut, counts.silero, counts.speech, counts.sure)
    return "| " + " | ".join(map(str, cells)) + " |\n"


if __name__ == "__main__":
    main()
