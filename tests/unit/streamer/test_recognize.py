"""`recognize` with fake models: what it accepts, returns, caches and raises."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import soundfile

from emostream.models import LABELS, Recognizer, Transcriber
from emostream.streamer import recognize as module
from emostream.streamer.audio.frontend import Samples
from emostream.streamer.config import ModelSettings
from emostream.streamer.errors import AnalysisError, ConfigError, SourceError
from emostream.streamer.recognize import plot, recognize
from tests.support.fakes import (
    AdaptiveRecognizer,
    FakeRecognizer,
    FakeSpeechDetector,
    FakeTranscriber,
    silence,
    voice,
)

TWO = np.concatenate([silence(300), voice(1_000), silence(900), voice(600, seed=1), silence(700)])


class Loader:
    """Stands for `load_models`. calls: the settings of each call."""

    def __init__(self) -> None:
        self.calls: list[ModelSettings] = []
        self.recognizer: FakeRecognizer = FakeRecognizer()

    def __call__(self, settings: ModelSettings) -> tuple[Transcriber | None, Recognizer]:
        self.calls.append(settings)
        return (None if settings.asr == "none" else FakeTranscriber()), self.recognizer


@pytest.fixture(autouse=True)
def loader(monkeypatch: pytest.MonkeyPatch) -> Loader:
    fake = Loader()
    monkeypatch.setattr(module, "load_models", fake)
    monkeypatch.setattr(module, "_models", module._ModelCache())
    monkeypatch.setattr(module, "load_speech_check", lambda settings: FakeSpeechDetector())
    return fake


def test_every_utterance_has_its_emotion_and_its_words() -> None:
    first, second = recognize(TWO, 16_000)
    assert abs(first.start_ms - 300) <= 200
    assert 1_300 <= first.end_ms <= 1_600
    assert second.start_ms >= first.end_ms
    for utterance in (first, second):
        assert sum(utterance.probabilities.values()) == pytest.approx(1)
        assert utterance.confidence == utterance.probabilities[utterance.label] == 0.7
        assert utterance.text.endswith("milliseconds")
        assert (utterance.language, utterance.uncertain) == ("en", ())
        assert [word.text for word in utterance.words] == utterance.text.split()


def test_sounds_without_speech_are_left_out() -> None:
    sounds = np.concatenate([TWO, voice(1_000, seed=3, level=0.01), silence(700)])
    spans = [(one.start_ms, one.end_ms) for one in recognize(sounds, 16_000)]
    assert spans == [(one.start_ms, one.end_ms) for one in recognize(TWO, 16_000)]


@pytest.mark.parametrize(
    ("adapt", "behind"), [("stream", [0, 1]), ("recording", [2, 2]), ("off", [None] * 2)]
)
def test_utterances_are_judged_against_the_speaker_s_others(
    loader: Loader, adapt: Literal["stream", "recording", "off"], behind: list[int | None]
) -> None:
    loader.recognizer = AdaptiveRecognizer()
    assert [one.baseline_utterances for one in recognize(TWO, 16_000, adapt=adapt)] == behind


def test_audio_only() -> None:
    assert [(one.text, one.words, one.uncertain) for one in recognize(TWO, 16_000, asr="none")] == [
        ("", (), ())
    ] * 2


def test_silence_has_no_utterances() -> None:
    assert recognize(silence(2_000), 16_000) == []


@pytest.mark.parametrize(
    "samples",
    [
        TWO[:, None],
        np.stack([TWO, TWO], axis=1),
        TWO.astype(np.float64),
        np.rint(TWO * 32_768).astype(np.int16),
        np.rint(TWO.astype(np.float64) * 2**31).astype(np.int32),
    ],
    ids=["column", "stereo", "float64", "int16", "int32"],
)
def test_samples_of_any_shape_and_type(samples: np.ndarray) -> None:
    assert [(one.start_ms, one.end_ms) for one in recognize(samples, 16_000)] == [
        (one.start_ms, one.end_ms) for one in recognize(TWO, 16_000)
    ]


@pytest.mark.parametrize("kind", [str, Path])
def test_a_file_is_the_same_as_its_samples(kind: Any, tmp_path: Path) -> None:
    path = tmp_path / "two.wav"
    soundfile.write(path, TWO, 16_000, subtype="FLOAT")
    assert recognize(kind(path)) == recognize(TWO, 16_000)


def test_models_stay_loaded_for_the_same_settings(loader: Loader) -> None:
    for _ in range(2):
        recognize(TWO, 16_000)
    assert loader.calls == [ModelSettings()]
    recognize(TWO, 16_000, asr="none", checkpoint=Path("folder"), device="cpu")
    recognize(TWO, 16_000, asr="none", checkpoint="folder", device="cpu")
    assert loader.calls[1:] == [ModelSettings(asr="none", checkpoint="folder", device="cpu")]


async def test_where_an_event_loop_runs_already() -> None:
    assert len(recognize(TWO, 16_000)) == 2  # as in a notebook
    assert len(await asyncio.to_thread(recognize, TWO, 16_000)) == 2


def test_a_failing_model_is_an_error(loader: Loader) -> None:
    class Broken(FakeRecognizer):
        def encode(self, clips: Any) -> Any:
            raise RuntimeError("no GPU left")

    loader.recognizer = Broken()
    with pytest.raises(AnalysisError, match="no GPU left"):
        recognize(TWO, 16_000)


@pytest.mark.parametrize(
    ("samples", "rate_hz", "error", "message"),
    [
        (TWO, None, ConfigError, "sample_rate_hz of 1000 to 768000"),
        (TWO, 400, ConfigError, "got 400"),
        (np.zeros((2, 16_000), np.float32), 16_000, ConfigError, "transpose"),
        (np.zeros(16_000, np.uint8), 16_000, ConfigError, "uint8"),
        (np.zeros(0, np.float32), 16_000, SourceError, "no samples"),
    ],
)
def test_samples_that_cannot_be_used(
    samples: Samples, rate_hz: int | None, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        recognize(samples, rate_hz)


def test_a_rate_is_for_samples_only(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="leave it out"):
        recognize(tmp_path / "a.wav", 16_000)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no such file"):
        recognize(tmp_path / "a.wav")


def test_a_plot_has_the_waveform_the_utterances_and_a_row_for_each_emotion(tmp_path: Path) -> None:
    path = tmp_path / "two.wav"
    soundfile.write(path, TWO, 16_000, subtype="FLOAT")
    figure = plot(path)
    assert len(figure.axes) == 2 + len(LABELS)
    assert "two.wav" in figure.axes[0].get_title(loc="left") + figure.axes[0].get_title()
    assert figure.axes[0].get_xlim() == pytest.approx((0, len(TWO) / 16_000))
    assert len(plot(TWO, 16_000, title="samples").axes) == len(figure.axes)


def test_the_name_is_public_and_lazy() -> None:
    program = (
        "import sys, emostream\n"
        "assert {'connect', 'subscribe', 'recognize', 'plot', '__version__'} <= set(dir(emostream))\n"
        "assert 'numpy' not in sys.modules\n"
        "emostream.recognize, emostream.connect, emostream.subscribe\n"
        "assert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
