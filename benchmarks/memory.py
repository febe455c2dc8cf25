"""Memory of each part of a process that analyses speech:

python -m benchmarks.memory [--whisper base] [--checkpoint FOLDER]

The parts are loaded one after the other in this process, as `emostream serve` needs them, then utterances of
several lengths are analysed. The proportional set size (Linux) is read after each. Writes a table to standard
output.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from benchmarks.machine import commit, machine

_RATE_HZ = 16_000


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory", description=__doc__)
    parser.add_argument("--whisper", default="none", help="a Whisper model that is on this machine")
    parser.add_argument("--checkpoint", help="default: that of emostream serve with this Whisper")
    arguments = parser.parse_args()
    print(f"{machine()}; commit {commit()}; Whisper: {arguments.whisper}.\n")
    print("| after | MiB | more |\n|---|---|---|")
    before = 0.0
    for part, mib in measured(arguments.whisper, arguments.checkpoint):
        print(f"| {part} | {mib:.0f} | {mib - before:+.0f} |", flush=True)
        before = mib


def measured(whisper: str, checkpoint: str | None) -> Iterator[tuple[str, float]]:
    """Each part and the MiB of the process after it."""
    yield "Python and numpy", pss_mib()
    import emostream.streamer.cli.serve  # noqa: F401

    yield "the server's modules", pss_mib()
    from emostream.models import (
        Clip,
        Transcript,
        load_recognizer,
        load_speech_detector,
        load_transcriber,
        release_free_memory,
    )

    detector = load_speech_detector()
    yield "ONNX Runtime and Silero's detector", pss_mib()
    words: Callable[[list[Clip]], list[Transcript]] = lambda clips: [Transcript("") for _ in clips]  # noqa: E731
    transcriber = load_transcriber(whisper, device="cpu")
    if transcriber is not None:
        words = transcriber.transcribe
        yield f"CTranslate2 and {transcriber.name}", pss_mib()
    recognizer = load_recognizer(_checkpoint(checkpoint, whisper), device="cpu", cpu_threads=1)
    yield recognizer.name, pss_mib()
    release_free_memory()
    yield "given back, once all are loaded", pss_mib()

    def analyse(clips: list[Clip]) -> None:
        detector.detect(clips)
        transcripts = words(clips)
        recognizer.fuse(recognizer.encode(clips), transcripts, recognizer.align(clips, transcripts))

    from benchmarks.suite.speech import demo_recording

    speech = np.resize(demo_recording(), 30 * _RATE_HZ)
    yield "the decoder, and 30 s of speech", pss_mib()
    short, long = Clip(speech[: 4 * _RATE_HZ]), Clip(speech)
    for name, batches in (
        ("an utterance of 4 s", [[short]]),
        ("an utterance of 30 s", [[long]]),
        ("16 utterances of 4 s at once", [[short] * 16]),
        ("20 utterances of 4 s one by one", [[short]] * 20),
    ):
        for batch in batches:
            analyse(batch)
        yield name, pss_mib()


def _checkpoint(given: str | None, whisper: str) -> Path | str | None:
    from emostream.models import BUNDLED

    return given or (BUNDLED if whisper == "none" else None)


def pss_mib() -> float:
    """Of this process: its own pages, and its share of those that several processes have."""
    lines = Path("/proc/self/smaps_rollup").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


if __name__ == "__main__":
    main()
