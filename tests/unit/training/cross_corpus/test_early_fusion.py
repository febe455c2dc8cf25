"""Early fusion on frozen encoders and heads."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from msgspec.structs import replace as replace_settings

from emostream.models import LABELS, Alignment
from emostream.models.emotion import EmotionModel
from emostream.training.cross_corpus.early_fusion import FusionData, train_fusion
from emostream.training.cross_corpus.pairs import PairSampler
from emostream.training.cross_corpus.settings import FusionSettings
from emostream.training.data.frozen_features import FrozenFeatures, View
from tests.support.recipe_run import CLIPS, LINES, KilledError, OneEpoch, first_and_last, runtime, same
from tests.support.tiny_emotion import tiny_model, tiny_tokenizer
from tests.support.training_task import fresh_accelerator, one_thread

SETTINGS = FusionSettings(epochs=2, batch=8, learning_rate=3e-3, frames_per_clip=10, average_decay=0.5)
FROZEN = ("audio_encoder", "text_encoder", "audio_pool", "audio_head", "text_pool", "text_head")
LEARNED = ("early", "audio_projection", "text_projection", "absent_audio", "absent_text")


@pytest.fixture(autouse=True)
def _one_thread_and_no_accelerator() -> Iterator[None]:
    with one_thread(), fresh_accelerator():
        yield


def audio_features(model: EmotionModel) -> FrozenFeatures:
    """Two views of every clip, of 9 to 13 frames: each label has its own states, in noise."""
    rng = np.random.default_rng(0)
    shape = (model.audio_encoder.states, model.audio_encoder.state_size)
    own = rng.standard_normal((4, *shape))
    states, places, position = [], {}, 0
    for number, clip in enumerate(CLIPS):
        views = []
        for frames in (9 + number % 5, 13 - number % 5):
            states.append(own[LABELS.index(clip.emotion)] + 0.3 * rng.standard_normal((frames, *shape)))
            views.append(View(position, frames, Alignment()))
            position += frames
        places[clip.key] = views
    return FrozenFeatures(np.concatenate(states).astype(np.float16), places)


def sampler(settings: FusionSettings = SETTINGS) -> PairSampler:
    return PairSampler(LINES, LABELS, ["strange"], settings)


def data(model: EmotionModel) -> FusionData:
    numbers = {clip.key: LABELS.index(clip.emotion) for clip in CLIPS}
    features = audio_features(model)
    return FusionData(CLIPS, CLIPS[:4], features, numbers, sampler(), sampler(), tiny_tokenizer())


def test_the_loss_falls(tmp_path: Path) -> None:
    model = tiny_model()
    history = train_fusion(model, data(model), replace_settings(SETTINGS, epochs=12), 1, runtime(tmp_path))
    first, last = first_and_last(history, "cross_entropy")
    assert last < 0.8 * first
    assert history.kept == 11
    assert history.epochs[-1]["ua"] > 0.5
    assert not model.training


def test_frozen_parts_stay_bit_identical_and_the_rest_is_trained(tmp_path: Path) -> None:
    before, model = tiny_model().state_dict(), tiny_model()
    train_fusion(model, data(model), SETTINGS, 1, runtime(tmp_path))
    moved = {name for name, weights in model.state_dict().items() if not torch.equal(weights, before[name])}
    assert {name for name in before if name.startswith(LEARNED)} >= moved
    assert not {name for name in moved if name.startswith(FROZEN)}
    for part in LEARNED:
        assert [name for name in moved if name.startswith(part)], part


@pytest.mark.long
def test_an_interrupted_run_resumes_exactly(tmp_path: Path) -> None:
    complete, interrupted, resumed = tiny_model(), tiny_model(), tiny_model()
    train_fusion(complete, data(complete), SETTINGS, 1, runtime(tmp_path / "complete"))
    with pytest.raises(KilledError):
        once = runtime(tmp_path / "interrupted", OneEpoch())
        train_fusion(interrupted, data(interrupted), SETTINGS, 1, once)
    with torch.no_grad():  # trained weights must come from disk
        for name, weights in resumed.named_parameters():
            weights += float(name.startswith(LEARNED))
    train_fusion(resumed, data(resumed), SETTINGS, 1, runtime(tmp_path / "interrupted"))
    assert same(complete, resumed)
    assert not same(complete, tiny_model())
