"""`live --enroll` and `speakers` with a fake model: a voice is saved, listed and deleted."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import soundfile

from emostream.streamer.cli import enroll
from emostream.streamer.cli.main import run
from emostream.streamer.config import Settings
from emostream.streamer.inference.engine import Engine
from emostream.streamer.inference.voice_probe import voice_probe
from emostream.streamer.speakers import store
from tests.support.fakes import AdaptiveRecognizer, FakeRecognizer, LoudnessVad, silence, voice

SPEECH = np.concatenate([silence(400), voice(7_000), silence(800), voice(1_500, seed=1), silence(700)])


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Of this user's data."""
    monkeypatch.setattr(store, "user_data_path", lambda *_, **__: tmp_path / "data")
    return tmp_path / "data" / "speakers"


@pytest.fixture(autouse=True)
def recognizer(monkeypatch: pytest.MonkeyPatch) -> FakeRecognizer:
    """Stands for the models; a test may replace it with one that takes no baseline."""
    model = AdaptiveRecognizer()

    def load(settings: Settings, console: object, clock: object) -> Engine:
        assert settings.models.asr == "none"
        return Engine(None, model, clock, voice_probe=voice_probe(model))  # type: ignore[arg-type]

    monkeypatch.setattr(enroll, "load_engine", load)
    monkeypatch.setattr(enroll, "make_vad", lambda settings: LoudnessVad())
    return model


def recording(folder: Path, samples: np.ndarray) -> str:
    path = folder / "talk.wav"
    soundfile.write(path, samples, 16_000)
    return str(path)


def test_a_voice_is_learned_listed_and_deleted(
    tmp_path: Path, folder: Path, recognizer: FakeRecognizer, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["live", "--enroll", "me", "--file", recording(tmp_path, SPEECH)]) == 0
    enrolled = re.search(r"me is enrolled with (\d+) utterances", capsys.readouterr().err)
    assert enrolled is not None
    assert int(enrolled[1]) >= 4  # seven seconds without a pause count for at least three
    assert recognizer.batches[0] == 1  # the probe
    assert [path.name for path in folder.iterdir()] == ["me.json"]

    assert run(["speakers"]) == 0
    listed = capsys.readouterr().out
    assert "me" in listed
    assert recognizer.name in listed

    assert run(["speakers", "--delete", "me"]) == 0
    assert list(folder.iterdir()) == []
    assert run(["speakers"]) == 0
    assert "No speaker is enrolled" in capsys.readouterr().out


def test_silence_is_no_voice(tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["live", "--enroll", "me", "--file", recording(tmp_path, silence(2_000))]) == 2
    assert "expected some seconds of speech, got none" in capsys.readouterr().err
    assert not folder.exists()


def test_a_model_without_a_baseline_learns_no_voice(
    tmp_path: Path, recognizer: FakeRecognizer, capsys: pytest.CaptureFixture[str]
) -> None:
    recognizer.baseline = None
    assert run(["live", "--enroll", "me", "--file", recording(tmp_path, SPEECH)]) == 2
    assert "expected an emotion model that knows speakers" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["live", "--enroll", "../me", "--file", "x.wav"], "expected a name of letters"),
        (["live", "--enroll", "me", "--speaker", "you"], "expected --enroll alone"),
        (["live", "--speaker", "me"], "expected an enrolled speaker (none), got 'me'"),
        (["replay", "x.wav", "--speaker", "me"], "expected an enrolled speaker (none), got 'me'"),
        (["client", "x.wav", "--speaker", "me"], "expected an enrolled speaker (none), got 'me'"),
        (["speakers", "--delete", "me"], "expected an enrolled speaker (none), got 'me'"),
        (["live", "--adapt", "recording"], "expected speaker.adapt stream or off for live audio"),
        (["serve", "--adapt", "recording"], "expected speaker.adapt stream or off for live audio"),
    ],
)
def test_what_cannot_be_is_one_line(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments) == 2
    printed = capsys.readouterr().err
    assert message in printed
    assert printed.count("\n") == 1
