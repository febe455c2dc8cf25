"""The bundled recording: RECORDING.md describes it correctly, and the script reproduces it."""

from __future__ import annotations

import itertools
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import av
import numpy as np
import numpy.typing as npt
import pytest
import webrtcvad

ROOT: Final = Path(__file__).resolve().parents[3]
RECORDING: Final = ROOT / "demo" / "recording.ogg"
CARD: Final = ROOT / "demo" / "RECORDING.md"
SCRIPT: Final = ROOT / "scripts" / "make_recording.py"
RATE_HZ: Final = 16_000


@dataclass(frozen=True)
class Row:
    start_s: float
    end_s: float
    emotion: str
    words: str


def documented() -> list[Row]:
    """The table of RECORDING.md."""
    found = re.findall(r"^\| \d+ \| ([\d.]+) \| ([\d.]+) \| (\w+) \| \w+ \| (.+) \|$", CARD.read_text(), re.M)
    return [Row(float(start), float(end), emotion, words) for start, end, emotion, words in found]


@pytest.fixture(scope="module")
def samples() -> npt.NDArray[np.float32]:
    """(N,) float32 at 16 kHz, decoded with FFmpeg."""
    with av.open(str(RECORDING)) as container:
        assert container.format.name == "ogg"
        stream = container.streams.audio[0]
        assert (stream.codec_context.name, stream.channels) in (("opus", 1), ("libopus", 1))
        resampler = av.AudioResampler(format="flt", layout="mono", rate=RATE_HZ)
        frames = [out for frame in container.decode(stream) for out in resampler.resample(frame)]
        frames += resampler.resample(None)
    return np.concatenate([frame.to_ndarray()[0] for frame in frames])


def level_db(samples: npt.NDArray[np.float32], start_s: float, end_s: float) -> float:
    """RMS between two times, in dB relative to full scale."""
    part = samples[round(start_s * RATE_HZ) : round(end_s * RATE_HZ)]
    return float(20 * np.log10(np.sqrt(np.mean(np.square(part, dtype=np.float64))) + 1e-9))


def test_it_is_short_and_small(samples: npt.NDArray[np.float32]) -> None:
    assert 20 <= len(samples) / RATE_HZ <= 40
    assert RECORDING.stat().st_size <= 150_000
    assert np.abs(samples).max() <= 1.0


def test_every_emotion_occurs_and_no_sentence_twice() -> None:
    rows = documented()
    assert len(rows) >= 8
    assert {row.emotion for row in rows} == {"angry", "happy", "sad", "neutral"}
    assert len({row.words for row in rows}) == len(rows)


def test_speech_is_at_the_documented_times_and_the_pauses_are_quiet(samples: npt.NDArray[np.float32]) -> None:
    rows = documented()
    ends = [0.0, *(row.end_s for row in rows)]
    starts = [*(row.start_s for row in rows), len(samples) / RATE_HZ]
    for row in rows:
        assert level_db(samples, row.start_s, row.end_s) > -30, row
    for end, start in zip(ends[1:-1], starts[1:-1], strict=True):
        assert 0.9 <= start - end <= 1.65
    for end, start in zip(ends, starts, strict=True):
        assert level_db(samples, end + 0.05, start - 0.05) < -58, (end, start)


@pytest.mark.parametrize("aggressiveness", [0, 1, 2, 3])
def test_a_voice_activity_detector_finds_the_pauses(
    samples: npt.NDArray[np.float32], aggressiveness: int
) -> None:
    """WebRTC's, 20 ms at a time: at least 0.8 s without speech between any two sentences."""
    detector = webrtcvad.Vad(aggressiveness)
    pcm = np.round(np.clip(samples, -1, 1) * 32767).astype("<i2")
    speech = [
        detector.is_speech(pcm[at : at + 320].tobytes(), RATE_HZ) for at in range(0, len(pcm) - 319, 320)
    ]
    rows = documented()
    for row, following in itertools.pairwise(rows):
        pause = speech[round(row.end_s * 50) : round(following.start_s * 50)]
        longest = max(len(run) for run in "".join("x" if s else "." for s in pause).split("x"))
        assert longest * 0.02 >= 0.8, (row, longest)


def test_no_pause_inside_a_sentence_could_end_it(samples: npt.NDArray[np.float32]) -> None:
    """20 ms of level above peak - 40 dB at least every 0.3 s, well under any endpointer's silence."""
    for row in documented():
        part = samples[round(row.start_s * RATE_HZ) : round(row.end_s * RATE_HZ)]
        frames = part[: len(part) // 320 * 320].reshape(-1, 320)
        power = np.mean(np.square(frames), axis=1)
        loud = np.flatnonzero(power > power.max() * 1e-4)
        assert np.diff(loud, prepend=-1, append=len(power)).max() <= 15, row


def test_loudness_follows_the_emotion(samples: npt.NDArray[np.float32]) -> None:
    levels = {row.emotion: level_db(samples, row.start_s, row.end_s) for row in documented()}
    assert levels["angry"] > levels["happy"] > levels["neutral"] > levels["sad"]


def test_the_card_states_that_the_voice_is_synthetic() -> None:
    card = CARD.read_text()
    for expected in ("synthetic", "python scripts/make_recording.py", "Apache-2.0", "flite"):
        assert expected in card


@pytest.mark.long
@pytest.mark.skipif(shutil.which("flite") is None, reason="expected flite on the path, found none")
def test_the_script_reproduces_it(tmp_path: Path) -> None:
    """The same card as the one in the tree, and the same bytes in two runs."""
    for name in ("once", "twice"):
        done = subprocess.run(
            [sys.executable, SCRIPT, "--output-dir", tmp_path / name], capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
    once, twice = ((tmp_path / name / "recording.ogg").read_bytes() for name in ("once", "twice"))
    assert once == twice
    assert (tmp_path / "once" / "RECORDING.md").read_text() == CARD.read_text()


def test_a_missing_synthesizer_is_reported_in_one_line(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, SCRIPT, "--output-dir", tmp_path / "out"],
        capture_output=True,
        text=True,
        env={**os.environ, "PATH": str(tmp_path)},
    )
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "make_recording: expected the program flite on the path, found none; apt install flite"
    ]
    assert not (tmp_path / "out").exists()
