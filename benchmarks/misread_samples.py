"""`python -m benchmarks.misread_samples`: how often misread speech is told, and what is right; prints it.

For each rate and encoding: how many clips are taken for misread (`streamer/audio/misread_samples.py`).
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import soxr

from benchmarks.sounds import SOUNDS, a_law, int24, mu_law
from benchmarks.speech_presence import SPEECH, corpus_files
from emostream.models import SAMPLE_RATE_HZ, Samples
from emostream.streamer.audio.decode import decode_file
from emostream.streamer.audio.frontend import encode_pcm
from emostream.streamer.audio.misread_samples import MisreadDetector
from emostream.training.corpora.manifest import DEFAULT_DATA

RATES_HZ: Final = (8_000, 16_000, 48_000)
GAINS: Final = {"as recorded": 1.0, "clipped": 30.0}
SENT: Final[dict[str, Callable[[Samples], bytes]]] = {
    "16 bits": lambda x: encode_pcm(x, "pcm_s16le"),
    "16 bits, swapped": lambda x: np.frombuffer(encode_pcm(x, "pcm_s16le"), "<i2").byteswap().tobytes(),
    "16 bits, off by one byte": lambda x: encode_pcm(x, "pcm_s16le")[1:],
    "24 bits": int24,
    "32 bits": lambda x: (x.astype(np.float64) * (2**31 - 1)).astype("<i4").tobytes(),
    "float": lambda x: x.astype("<f4").tobytes(),
    "float, swapped": lambda x: x.astype(">f4").tobytes(),
    "float, off by one byte": lambda x: x.astype("<f4").tobytes()[1:],
    "64-bit float": lambda x: x.astype("<f8").tobytes(),
    # The companders take every second sample.
    "mu-law": lambda x: mu_law(np.repeat(x, 2)).tobytes(),
    "A-law": lambda x: a_law(np.repeat(x, 2)).tobytes(),
    "8 bits, unsigned": lambda x: (np.rint(x * 127) + 128).astype(np.uint8).tobytes(),
}
READ: Final[dict[str, Callable[[bytes], Samples]]] = {
    "pcm_s16le": lambda data: (np.frombuffer(data[: len(data) // 2 * 2], "<i2") / 32_768).astype(np.float32),
    "pcm_f32le": lambda data: np.frombuffer(data[: len(data) // 4 * 4], "<f4"),
}
RIGHT: Final = {("16 bits", "pcm_s16le"), ("float", "pcm_f32le")}


def is_told(samples: Samples, rate_hz: int) -> bool:
    whole = np.resize(samples, max(len(samples), rate_hz))
    return any(kind is not None for _, kind in MisreadDetector(rate_hz).push(whole[:, None]))


def line(name: str, told: Iterable[bool]) -> str:
    found = list(told)
    return f"{name}: {sum(found)} of {len(found)}"


def at_rate(clips: Sequence[Samples], rate_hz: int) -> list[Samples]:
    """Of 16 kHz, in [-1, 1]."""
    return [np.clip(soxr.resample(clip, SAMPLE_RATE_HZ, rate_hz), -1, 1).astype(np.float32) for clip in clips]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.misread_samples", description=__doc__)
    parser.add_argument("--data", type=Path, default=DEFAULT_DATA, help="the folder of the corpora")
    parser.add_argument("--clips", type=int, default=40, help="of each corpus")
    arguments = parser.parse_args()

    def clips(corpus: str) -> list[Samples]:
        files = corpus_files(arguments.data, corpus)
        return [decode_file(files[at]) for at in np.linspace(0, len(files) - 1, arguments.clips).astype(int)]

    speech, noise = [clip for corpus in SPEECH for clip in clips(corpus)], clips("noise")
    rng = np.random.default_rng(0)
    made = [make(rng).astype(np.float32) for name, make in SOUNDS.items() if name != "random_bytes"]
    for rate_hz in RATES_HZ:
        for encoding, read in READ.items():
            print(f"\n{rate_hz} Hz, read as {encoding}")
            for name, group in (("speech", speech), ("noise", noise), ("made-up sounds", made)):
                for kind, gain in GAINS.items():
                    sounds = [np.clip(gain * clip, -1, 1) for clip in at_rate(group, rate_hz)]
                    right = SENT["16 bits" if encoding == "pcm_s16le" else "float"]
                    told = (is_told(read(right(sound)), rate_hz) for sound in sounds)
                    print(line(f"right: {name}, {kind}", told), flush=True)
            spoken = at_rate(speech, rate_hz)
            for name, send in SENT.items():
                if (name, encoding) not in RIGHT:
                    told = (is_told(read(send(clip)), rate_hz) for clip in spoken)
                    print(line(f"misread: {name}", told), flush=True)


if __name__ == "__main__":
    main()
