"""The stages on a made-up corpus: they learn, and a stopped one goes on as if it had not stopped."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from emostream.models import LABELS
from emostream.models.emotion import EmotionModel
from emostream.training.corpora.example import Example
from emostream.training.errors import SettingsError
from emostream.training.log import Log
from emostream.training.preparation.sounds import Sounds
from emostream.training.recipe.distill import DistilData, distil
from emostream.training.recipe.fusion import FusionData, train_fusion
from emostream.training.recipe.pairs import Pairing
from emostream.training.recipe.settings import (
    DistilSettings,
    FusionSettings,
    StudentSize,
    TextSettings,
)
from emostream.training.recipe.student import PHASES, gabor_filters, new_student
from emostream.training.recipe.teacher import TeacherStates
from emostream.training.recipe.textstudent import TextData, teach_text, text_recall

from .tiny_emotion import SENTENCES, noise, tiny_model, tiny_tokenizer

CLIPS = [
    Example(
        corpus="c",
        key=f"{i}.flac",
        speaker=f"s{i % 3}",
        emotion=LABELS[i % 4],
        emotion_orig=LABELS[i % 4],
        split="train",
    )
    for i in range(16)
]


LINES = [
    Example(corpus="c", key=text, split="train", words=text, emotion=label, emotion_orig=label)
    for text, label in zip(SENTENCES, ("happy", "angry", "sad", "neutral"), strict=True)
]


def sounds() -> Sounds:
    """Each label has its own pitch: an easy corpus."""
    pieces, spans, position = [], {}, 0
    for index, clip in enumerate(CLIPS):
        hertz = 200.0 * (1 + LABELS.index(clip.emotion))
        tone = np.sin(2 * np.pi * hertz * np.arange(8000) / 16_000) + noise(8000, seed=index)
        pieces.append((8000 * tone).astype(np.int16))
        spans[clip.key] = (position, position + 8000)
        position += 8000
    return Sounds(np.concatenate(pieces), spans)


def teacher() -> TeacherStates:
    rng = np.random.default_rng(0)
    states = np.concatenate([np.tile(rng.standard_normal(6), (25, 1)) for _ in CLIPS]).astype(np.float16)
    spans = {clip.key: (25 * index, 25 * (index + 1)) for index, clip in enumerate(CLIPS)}
    six, twelve = np.ones(6, np.float32), np.ones(12, np.float32)
    return TeacherStates(states, spans, 0 * six, six, 0 * twelve, twelve)


def same(first: EmotionModel, second: EmotionModel) -> bool:
    return all(
        torch.equal(weights, second.state_dict()[name]) for name, weights in first.state_dict().items()
    )


class KilledError(Exception):
    """Somebody pulled the plug."""


class PluggedOutLog(Log):
    """Fails as the second epoch ends: what is left is the first one's snapshot."""

    def line(self, text: str) -> None:
        if text.startswith("distil 2/2"):
            raise KilledError


def test_distillation_goes_on_where_it_stopped(tmp_path: Path) -> None:
    data = DistilData(CLIPS, CLIPS[:4], sounds(), teacher())
    settings = DistilSettings(epochs=2, batch_seconds=4.0, learning_rate=1e-3)
    log = Log(tmp_path / "log.txt")
    whole, resumed = tiny_model(), tiny_model(seed=7)
    distil(whole, data, settings, 1, tmp_path / "whole.pt", log)
    with pytest.raises(KilledError):
        distil(tiny_model(), data, settings, 1, tmp_path / "stopped.pt", PluggedOutLog(tmp_path / "log.txt"))
    distil(resumed, data, settings, 1, tmp_path / "stopped.pt", log)
    assert not same(whole, tiny_model())
    for name, weights in whole.audio_encoder.state_dict().items():
        torch.testing.assert_close(resumed.audio_encoder.state_dict()[name], weights)


def test_text_is_learned(tmp_path: Path) -> None:
    lines = LINES * 8
    data = TextData(lines, LINES, np.ones((len(lines), 384), np.float16), ["strange"])
    model, tokenizer = tiny_model(), tiny_tokenizer()
    settings = TextSettings(epochs=30, batch=8, learning_rate=3e-3)
    teach_text(model, tokenizer, data, settings, tmp_path / "text.pt", Log(tmp_path / "log.txt"))
    assert text_recall(model, tokenizer, lines) == 1.0


def test_fusion_lowers_its_loss_and_leaves_an_average(tmp_path: Path) -> None:
    settings = FusionSettings(epochs=6, batch=8, learning_rate=3e-3, encoder_rate=3e-3, average_decay=0.5)
    data = fusion_data(settings)
    log = tmp_path / "log.txt"
    model = tiny_model()
    averaged = train_fusion(model, data, settings, 1, tmp_path / "fusion.pt", Log(log))
    losses = [float(line.split(" loss ")[1].split(" ")[0]) for line in log.read_text().splitlines()]
    assert losses[-1] < losses[0]
    assert not averaged.training
    assert not same(averaged, model)
    again = train_fusion(tiny_model(seed=3), data, settings, 1, tmp_path / "fusion.pt", Log(log))
    assert same(again, averaged)


def fusion_data(settings: FusionSettings) -> FusionData:
    pairing = Pairing(LINES, LABELS, ["strange"], settings)
    return FusionData(CLIPS, CLIPS[:4], sounds(), pairing, tiny_tokenizer())


def test_what_is_frozen_stays_and_the_rest_learns(tmp_path: Path) -> None:
    settings = FusionSettings(epochs=1, batch=8, audio_frozen=1, text_frozen="all", average_decay=0.5)
    before = tiny_model().state_dict()
    after = train_fusion(
        tiny_model(), fusion_data(settings), settings, 1, tmp_path / "fusion.pt", Log(tmp_path / "log.txt")
    ).state_dict()
    moved = {name for name, weights in after.items() if not torch.equal(weights, before[name])}
    frozen = (
        "text_encoder.backbone",
        "audio_encoder.backbone.feature",
        "audio_encoder.backbone.encoder.layers.0",
    )
    assert not [name for name in moved if name.startswith(frozen)]
    learned = (
        "text_encoder.mix",
        "audio_encoder.mix",
        "audio_encoder.backbone.encoder.layers.1",
        "early.head",
    )
    for part in learned:
        assert [name for name in moved if name.startswith(part)], part


def test_freezing_more_than_there_is(tmp_path: Path) -> None:
    settings = FusionSettings(audio_frozen=9)
    with pytest.raises(SettingsError, match="audio_frozen, text_frozen: expected a freeze depth out of"):
        train_fusion(
            tiny_model(), fusion_data(settings), settings, 1, tmp_path / "f.pt", Log(tmp_path / "log.txt")
        )


def test_the_first_filters_ring_at_their_own_pitch() -> None:
    filters = gabor_filters(16, 400)
    assert filters.shape == (16 * PHASES, 400)
    spectrum = np.abs(np.fft.rfft(filters, 16_000))
    peaks = spectrum.argmax(1).reshape(16, PHASES)
    assert (np.diff(peaks[:, 0]) > 0).all()
    assert np.abs(peaks - peaks[:, :1]).max() <= 60  # the four phases of a band share it, within its width


def test_speech_leaves_the_filterbank_at_unit_power() -> None:
    torch.manual_seed(0)
    speech = [noise(16_000, seed) for seed in range(4)]
    model = new_student(StudentSize(filters=32, audio_width=20, vocabulary=60), speech)
    conv = model.audio_encoder.backbone.feature_extractor.conv_layers[0].conv
    clip = torch.from_numpy(speech[0] / speech[0].std())
    with torch.no_grad():
        out = torch.nn.functional.conv1d(clip[None, None], conv.weight, stride=160)
    assert 0.7 < out.square().mean().sqrt().item() < 1.4
