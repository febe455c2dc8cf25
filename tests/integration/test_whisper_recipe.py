"""The recipe of models/bundled_whisper from end to end, on synthetic voices and a random Whisper."""

from __future__ import annotations

import csv
import gzip
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace

from emostream.models import Clip, EmotionInput, SpeakerBaseline, Transcript
from emostream.models.checkpoint import load_checkpoint
from emostream.models.checkpoint_files import WEIGHTS_FILE
from emostream.models.recognizer import EmotionRecognizer
from emostream.training.__main__ import main
from emostream.training.errors import SettingsError
from emostream.training.whisper_recipe.pipeline import WhisperPaths, prepare, run_whisper_recipe
from emostream.training.whisper_recipe.settings import WhisperRunSettings, read_whisper_settings
from tests.support.speech_collection import write_collection
from tests.support.tiny_emotion import SENTENCES, noise
from tests.support.tiny_whisper import make_tiny_whisper

CONDITIONS = 9
"""Each clip for itself, and eight kinds of stream."""
TOML = """
[data]
views = 1
epoch_clips = 16
[head.trainer]
epochs = 1
batch = 8
keep = "last"
[encoder]
mix_width = 16
[fusion]
epochs = 1
batch = 8
[choice]
neutral_offsets = [0.0, 0.5]
prior_counts = [5.0]
neutral_weights = [0.0]
"""


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> WhisperPaths:
    root = tmp_path_factory.mktemp("recipe")
    data = write_collection(root / "data", ("ravdess", "nemo", "banglaser"))
    columns = ["corpus", "split", "text", "emotion", "emotion_orig", "dialogue_id", "in_meld_devtest"]
    with gzip.open(data / "text.csv.gz", "wt", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        for split in ("train", "dev"):
            for text, label in zip(SENTENCES, ("happy", "angry", "sad", "neutral"), strict=True):
                row = {"corpus": "goemotions", "split": split, "text": text, "emotion": label}
                writer.writerow(row | {"emotion_orig": label, "dialogue_id": "", "in_meld_devtest": "0"})
    whisper = make_tiny_whisper(root / "whisper", encoder_layers=5)
    return WhisperPaths(data, whisper, root / "work")


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> WhisperRunSettings:
    file = tmp_path_factory.mktemp("settings") / "tiny.toml"
    file.write_text(TOML, encoding="utf-8")
    return read_whisper_settings(file)


@pytest.fixture(scope="module")
def checkpoint(paths: WhisperPaths, settings: WhisperRunSettings) -> Path:
    out = paths.work / "checkpoint"
    run_whisper_recipe(settings, paths, out)
    return out


def test_the_checkpoint_recognizes_and_names_its_encoder(checkpoint: Path, paths: WhisperPaths) -> None:
    loaded = load_checkpoint(checkpoint, paths.whisper)
    recognizer = EmotionRecognizer.load(checkpoint, device="cpu", whisper=paths.whisper)
    clip = Clip(noise(16_000))
    (alone,) = recognizer.recognize([EmotionInput(clip, Transcript("i am so happy"))])
    assert alone.error_probability is not None
    (code,) = recognizer.encode([clip])
    assert recognizer.baseline is not None
    assert code.voice is not None
    known = SpeakerBaseline().updated(code.voice, 0.5, recognizer.baseline)
    (judged,) = recognizer.fuse([code], [None], recognizer.align([clip], [None]), [known])
    assert np.isfinite(judged.probabilities).all()
    assert not any("backbone" in name for name in _stored_names(checkpoint) if name.startswith("audio"))
    assert loaded.model.config.shared_encoder is not None


def _stored_names(folder: Path) -> list[str]:
    from safetensors import safe_open

    with safe_open(folder / WEIGHTS_FILE, "pt") as file:
        return list(file.keys())


def test_the_card_and_the_speakers_are_written(checkpoint: Path) -> None:
    card = (checkpoint / "README.md").read_text(encoding="utf-8")
    assert "| **mean** | cold |" in card
    assert "nan" not in card
    used = (checkpoint / "audio_used.csv").read_text(encoding="utf-8")
    assert "head and fusion,ravdess,ravdess_0,train" in used
    assert "calibration,nemo,nemo_3,dev" in used
    assert "head and fusion,ravdess,ravdess_3" not in used


def test_a_finished_run_is_not_trained_again(
    checkpoint: Path, paths: WhisperPaths, settings: WhisperRunSettings
) -> None:
    weights = (checkpoint / WEIGHTS_FILE).read_bytes()
    again = paths.work / "again"
    run_whisper_recipe(settings, paths, again)
    assert (again / WEIGHTS_FILE).read_bytes() == weights


def test_the_table_of_unseen_corpora(
    checkpoint: Path, paths: WhisperPaths, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Resumes from the states and fits of the recipe's run."""
    config = tmp_path / "tiny.toml"
    config.write_text(TOML, encoding="utf-8")
    folders = ["--data", str(paths.data), "--work", str(paths.work), "--output-dir", str(tmp_path / "out")]
    assert main(["table", "unseen", "--whisper", str(paths.whisper), "--config", str(config), *folders]) == 0
    printed = capsys.readouterr().out
    assert "| ravdess | cold |" in printed
    assert "| nemo | 70 % neutral |" in printed
    assert "Chosen without banglaser: neutral offset" in printed
    with (tmp_path / "out" / "unseen.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 3 * CONDITIONS
    assert all(0.0 <= float(row["low"]) <= float(row["ua"]) <= float(row["high"]) <= 1.0 for row in rows)


def test_a_run_is_not_resumed_with_other_settings(
    paths: WhisperPaths, settings: WhisperRunSettings, checkpoint: Path
) -> None:
    other = replace(settings, encoder=replace(settings.encoder, layers=(1, 2)))
    with pytest.raises(SettingsError, match="expected the settings that"):
        prepare(other, paths)


def test_a_folder_without_the_corpora_is_one_line(
    paths: WhisperPaths, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["table", "unseen", "--whisper", str(paths.whisper), "--data", str(tmp_path)]
    assert main([*arguments, "--work", str(tmp_path / "work")]) == 2
    assert "expected manifest.csv" in capsys.readouterr().err
