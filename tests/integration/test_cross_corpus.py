"""The recipe of both bundled models from end to end, on synthetic voices and random encoders."""

from __future__ import annotations

import csv
import gzip
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace

from emostream.models import Clip, EmotionInput, SpeakerBaseline, Transcript
from emostream.models.checkpoint import load_checkpoint, save_checkpoint
from emostream.models.checkpoint_files import WEIGHTS_FILE
from emostream.models.recognizer import EmotionRecognizer
from emostream.training.__main__ import main
from emostream.training.cross_corpus.pipeline import CrossCorpusPaths, prepare, run_cross_corpus
from emostream.training.cross_corpus.settings import CrossCorpusSettings, read_cross_corpus_settings
from emostream.training.distillation.audio_student import new_student
from emostream.training.distillation.settings import StudentSize
from emostream.training.errors import SettingsError
from tests.support.speech_collection import write_collection
from tests.support.tiny_emotion import SENTENCES, noise, tiny_tokenizer
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
def paths(tmp_path_factory: pytest.TempPathFactory) -> CrossCorpusPaths:
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
    return CrossCorpusPaths(data, whisper, root / "work")


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> CrossCorpusSettings:
    file = tmp_path_factory.mktemp("settings") / "tiny.toml"
    file.write_text(TOML, encoding="utf-8")
    return read_cross_corpus_settings(file)


@pytest.fixture(scope="module")
def checkpoint(paths: CrossCorpusPaths, settings: CrossCorpusSettings) -> Path:
    out = paths.work / "checkpoint"
    run_cross_corpus(settings, paths, out)
    return out


def test_the_checkpoint_recognizes_and_names_its_encoder(checkpoint: Path, paths: CrossCorpusPaths) -> None:
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


def test_sound_alone_is_left_to_the_audio_only_head(checkpoint: Path, paths: CrossCorpusPaths) -> None:
    """Its figures are then those of the pattern; the weights of the heads sum to one in each."""
    config = load_checkpoint(checkpoint, paths.whisper).model.config
    assert config.late_weights["audio"] == {"early": 0.0, "audio": 1.0}
    assert config.temperatures["fused_audio"] == config.temperatures["audio"]
    for pattern, weights in config.late_weights.items():
        assert set(weights) == set(config.fused_heads(pattern))
        assert sum(weights.values()) == pytest.approx(1.0)
    assert config.text_prior is not None
    assert sum(config.text_prior) == pytest.approx(1.0)


def test_the_same_on_the_audio_encoder_of_a_checkpoint(
    paths: CrossCorpusPaths, settings: CrossCorpusSettings, tmp_path: Path
) -> None:
    """It is part of the checkpoint, which needs nothing else, and keeps what its encoder has heard."""
    size = StudentSize(
        mel_bins=40, audio_width=64, mix_width=16, text_width=16, vocabulary=120, max_tokens=32
    )
    encoders = tmp_path / "encoders"
    save_checkpoint(new_student(size), tiny_tokenizer(), encoders)
    stage = "distillation,nemo,nemo_0,train,2,0"
    (encoders / "audio_used.csv").write_text(
        f"stage,corpus,speaker,split,clips,sha256_of_paths\n{stage}\ncalibration,old,old_1,dev,1,0\n"
    )
    own = replace(settings, encoder=replace(settings.encoder, source="checkpoint", layers=(1, 2)))
    out = tmp_path / "out"
    run_cross_corpus(own, CrossCorpusPaths(paths.data, None, tmp_path / "work", encoders), out)
    (alone,) = EmotionRecognizer.load(out, device="cpu").recognize([EmotionInput(Clip(noise(16_000)))])
    assert alone.error_probability is not None
    used = (out / "audio_used.csv").read_text(encoding="utf-8")
    assert stage in used
    assert "old_1" not in used
    assert "head and fusion,ravdess,ravdess_0,train" in used
    assert "It needs nothing beside this folder." in (out / "README.md").read_text(encoding="utf-8")


def test_a_finished_run_is_not_trained_again(
    checkpoint: Path, paths: CrossCorpusPaths, settings: CrossCorpusSettings
) -> None:
    weights = (checkpoint / WEIGHTS_FILE).read_bytes()
    again = paths.work / "again"
    run_cross_corpus(settings, paths, again)
    assert (again / WEIGHTS_FILE).read_bytes() == weights


def test_the_table_of_unseen_corpora(
    checkpoint: Path, paths: CrossCorpusPaths, tmp_path: Path, capsys: pytest.CaptureFixture[str]
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
    paths: CrossCorpusPaths, settings: CrossCorpusSettings, checkpoint: Path
) -> None:
    other = replace(settings, encoder=replace(settings.encoder, layers=(1, 2)))
    with pytest.raises(SettingsError, match="expected the settings that"):
        prepare(other, paths)


def test_a_folder_without_the_corpora_is_one_line(
    paths: CrossCorpusPaths, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["table", "unseen", "--whisper", str(paths.whisper), "--data", str(tmp_path)]
    assert main([*arguments, "--work", str(tmp_path / "work")]) == 2
    assert "expected manifest.csv" in capsys.readouterr().err
