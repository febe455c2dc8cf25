"""Make the recording that `emostream demo` plays: demo/recording.ogg and demo/RECORDING.md.

    python scripts/make_recording.py [--output-dir demo]

The voice is synthetic (flite, Debian package `flite`), so no person's speech is published. flite was
chosen because a weak recognizer transcribes it: on eight test sentences PocketSphinx had a word error
rate of 0.1 with flite's voices and 0.4 with espeak-ng's. The emotion is expressed by what a synthesizer can
control: wording, rate, mean and range of the pitch, loudness and vocal effort (spectral tilt).

The same flite and the same libopus give the same bytes: all randomness comes from one seed.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import wave
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import av
import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.float32]

RATE_HZ: Final = 16_000
SEED: Final = 20_261_121
LEAD_S: Final = 0.8
TAIL_S: Final = 1.4
PAUSE_S: Final = (1.0, 1.6)
NOISE_DBFS: Final = -66.0
BITRATE: Final = 28_000


class RecordingError(Exception):
    """The recording cannot be made; the message names what to install."""


@dataclass(frozen=True, slots=True)
class Prosody:
    """How an emotion is spoken.

    stretch: duration factor (1 = the voice's own rate). pitch, pitch_range: factors on the mean and
    the standard deviation of the voice's pitch. level_dbfs: RMS over the utterance.
    effort: in [-1, 1]; above 0 a pressed, bright voice, below 0 a soft, dull one.
    """

    stretch: float
    pitch: float
    pitch_range: float
    level_dbfs: float
    effort: float


@dataclass(frozen=True, slots=True)
class Voice:
    """A flite voice with the mean (Hz) and standard deviation (Hz) of its own pitch."""

    name: str
    pitch_hz: float
    pitch_std_hz: float


@dataclass(frozen=True, slots=True)
class Line:
    emotion: str
    voice: Voice
    words: str


@dataclass(frozen=True, slots=True)
class Placed:
    """A line with the samples [start, end) that it fills in the recording."""

    line: Line
    start: int
    end: int


AWB: Final = Voice("awb", pitch_hz=124.0, pitch_std_hz=14.0)
"""One voice for all lines, as of one person: what differs between them is the emotion."""

# Directions as the literature on acted speech has them: anger and joy are fast, high, wide and loud
# with more energy above 1 kHz, sadness is slow, flat and soft. How far was chosen by the bundled models.
PROSODY: Final = {
    "angry": Prosody(stretch=0.75, pitch=2.15, pitch_range=4.2, level_dbfs=-13.0, effort=0.93),
    "happy": Prosody(stretch=0.89, pitch=2.53, pitch_range=11.9, level_dbfs=-18.9, effort=0.49),
    "sad": Prosody(stretch=1.44, pitch=1.69, pitch_range=0.18, level_dbfs=-27.5, effort=-0.79),
    "neutral": Prosody(stretch=1.05, pitch=1.0, pitch_range=0.6, level_dbfs=-22.0, effort=-0.2),
}

LINES: Final = (
    Line("neutral", AWB, "The meeting starts at ten in the second room."),
    Line("happy", AWB, "We are getting married in May, this is great news."),
    Line("angry", AWB, "Stop it, you broke my phone and you lied to me about it."),
    Line("sad", AWB, "We lost him last night and I cannot stop crying."),
    Line("neutral", AWB, "The train to the city leaves from platform four."),
    Line("happy", AWB, "What a beautiful day, I love this place."),
    Line("angry", AWB, "Shut up, I am sick of your lies."),
    Line("sad", AWB, "I miss my mother so much, I feel so alone."),
)


def make(lines: Sequence[Line]) -> tuple[Samples, list[Placed]]:
    """The whole recording, (N,) float32 at 16 kHz, and where each line lies in it."""
    rng = np.random.default_rng(SEED)
    parts: list[Samples] = [np.zeros(round(LEAD_S * RATE_HZ), np.float32)]
    placed: list[Placed] = []
    for index, line in enumerate(lines):
        start = sum(map(len, parts))
        speech = perform(line)
        placed.append(Placed(line, start, start + len(speech)))
        last = index == len(lines) - 1
        pause_s = TAIL_S if last else float(rng.uniform(*PAUSE_S))
        parts += [speech, np.zeros(round(pause_s * RATE_HZ), np.float32)]
    clean = np.concatenate(parts)
    noise = rng.normal(0.0, amplitude(NOISE_DBFS), len(clean))
    return np.clip(clean + noise, -1.0, 1.0).astype(np.float32), placed


def perform(line: Line) -> Samples:
    """One line, trimmed to its speech, at its emotion's level and with its emotion's effort."""
    prosody = PROSODY[line.emotion]
    shaped = tilt(trim(synthesise(line, prosody)), prosody.effort)
    rms = float(np.sqrt(np.mean(np.square(shaped))))
    levelled = shaped * (amplitude(prosody.level_dbfs) / rms)
    return np.asarray(0.75 * np.tanh(levelled / 0.75), np.float32)  # soft, so a loud peak never clicks


def synthesise(line: Line, prosody: Prosody) -> Samples:
    """flite's rendering of a line, (N,) float32 at 16 kHz."""
    features = {
        "duration_stretch": prosody.stretch,
        "int_f0_target_mean": line.voice.pitch_hz * prosody.pitch,
        "int_f0_target_stddev": line.voice.pitch_std_hz * prosody.pitch_range,
    }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "line.wav"
        settings = [part for key, value in features.items() for part in ("--setf", f"{key}={value:.3f}")]
        command = ["flite", "-voice", line.voice.name, *settings, "-t", line.words, "-o", str(path)]
        subprocess.run(command, check=True, capture_output=True)
        with wave.open(str(path)) as sound:
            if (sound.getframerate(), sound.getnchannels()) != (RATE_HZ, 1):
                raise RecordingError(
                    f"expected 16 kHz mono from flite voice {line.voice.name}, got {sound.getframerate()} Hz "
                    f"with {sound.getnchannels()} channels; install Debian's package flite"
                )
            pcm = np.frombuffer(sound.readframes(sound.getnframes()), "<i2")
    return (pcm / 32768.0).astype(np.float32)


def trim(samples: Samples, below_peak_db: float = 35.0, frame: int = 160) -> Samples:
    """Without the quiet at both ends: 10 ms frames more than 35 dB under the loudest one."""
    whole = samples[: len(samples) // frame * frame].reshape(-1, frame)
    power = np.mean(np.square(whole), axis=1)
    loud = np.flatnonzero(power > power.max() * 10 ** (-below_peak_db / 10))
    return samples[loud[0] * frame : (loud[-1] + 1) * frame]


def tilt(samples: Samples, effort: float) -> Samples:
    """Vocal effort as spectral tilt: y[n] = x[n] - effort * x[n - 1].

    The gain runs from 1 - effort at 0 Hz to 1 + effort at the highest frequency, which is the direction
    in which glottal pulses change when a voice is pressed or soft.
    """
    before = np.concatenate([np.zeros(1, np.float32), samples[:-1]])
    return np.asarray(samples - effort * before, np.float32)


def amplitude(dbfs: float) -> float:
    """Decibels relative to full scale as a factor."""
    return float(10 ** (dbfs / 20))


def encode(samples: Samples, path: Path) -> None:
    """Write Opus in Ogg. Bit-exact mode keeps the stream's serial number from being random."""
    with av.open(str(path), "w", format="ogg", options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream("libopus", rate=RATE_HZ, layout="mono")
        stream.bit_rate = BITRATE
        stream.codec_context.options = {"application": "voip", "flags": "+bitexact"}
        pcm = np.round(samples * 32767.0).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(pcm[np.newaxis, :], format="s16", layout="mono")
        frame.sample_rate = RATE_HZ
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)


def describe(placed: Sequence[Placed], samples: Samples) -> str:
    """RECORDING.md: licence, origin, and each line with its emotion and times."""
    rows = [
        f"| {number} | {item.start / RATE_HZ:.2f} | {item.end / RATE_HZ:.2f} | {item.line.emotion} "
        f"| {item.line.voice.name} | {item.line.words} |"
        for number, item in enumerate(placed, 1)
    ]
    return TEMPLATE.format(seconds=len(samples) / RATE_HZ, count=len(placed), rows="\n".join(rows))


TEMPLATE: Final = """\
# The bundled recording

`recording.ogg`: {seconds:.1f} s, mono, 16 kHz, Opus in Ogg, {count} utterances. **The voice is synthetic**:
no person speaks here. It was made by

    python scripts/make_recording.py

with flite 2.2 (Debian package `flite`, voice `awb`, which was built from the CMU ARCTIC recordings; flite and
its voices may be used and redistributed freely, also commercially). The sentences were
written for this project. Audio and text of the recording are under Apache-2.0 like the code.

Each emotion is expressed by wording, speaking rate, pitch and its range, loudness and spectral tilt; a
constant noise floor of {noise:.0f} dBFS is added. **Sentences and prosody were chosen so that both bundled
models predict the intended emotions** from audio and text: all eight, with the default model all of them
reliably. The recording shows how the program works; it is no measure of how well it recognizes emotions of
people, for which see the models' cards.

| # | start (s) | end (s) | intended emotion | voice | words |
|---|---|---|---|---|---|
{rows}
""".replace("{noise:.0f}", f"{NOISE_DBFS:.0f}")


def require_flite(voices: Sequence[str]) -> None:
    """Raises RecordingError, in one line, where flite or one of its voices is missing."""
    if shutil.which("flite") is None:
        raise RecordingError("expected the program flite on the path, found none; apt install flite")
    listed = subprocess.run(["flite", "-lv"], check=True, capture_output=True, text=True).stdout.split()
    missing = sorted(set(voices) - set(listed))
    if missing:
        raise RecordingError(
            f"expected flite's voices {', '.join(voices)}, missing {', '.join(missing)}; "
            "install Debian's package flite, which carries them"
        )


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Make demo/recording.ogg and demo/RECORDING.md.")
    parser.add_argument("--output-dir", type=Path, default=Path(__file__).resolve().parents[1] / "demo")
    out: Path = parser.parse_args(arguments).output_dir
    try:
        require_flite(sorted({line.voice.name for line in LINES}))
        samples, placed = make(LINES)
    except RecordingError as error:
        print(f"make_recording: {error}", file=sys.stderr)
        return 2
    out.mkdir(parents=True, exist_ok=True)
    encode(samples, out / "recording.ogg")
    (out / "RECORDING.md").write_text(describe(placed, samples), encoding="utf-8")
    size_kb = (out / "recording.ogg").stat().st_size / 1000
    print(
        f"{out / 'recording.ogg'}: {len(samples) / RATE_HZ:.1f} s, {len(placed)} utterances, {size_kb:.0f} KB"
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
