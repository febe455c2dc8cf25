"""Distillation with a fake teacher: it learns, and an interrupted run resumes exactly."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from msgspec.structs import replace as replace_settings

from emostream.models import Samples
from emostream.models.emotion import EmotionModel
from emostream.models.inputs import WaveformSpec, prepare
from emostream.training.distillation.audio_student import new_student
from emostream.training.distillation.audio_teacher import WhisperTeacher
from emostream.training.distillation.distill import (
    DistillationBatch,
    DistillationData,
    DistillationModule,
    DistillationTask,
    augmented_clip,
    distill_audio_encoder,
    distillation_batch,
    fit_state_normalizer,
)
from emostream.training.distillation.settings import DistillationSettings, StudentSize
from tests.support.recipe_run import CLIPS, KilledError, OneEpoch, first_and_last, runtime, same, tones
from tests.support.tiny_emotion import noise
from tests.support.tiny_encoders import tiny_audio_encoder
from tests.support.training_task import fresh_accelerator, one_thread

SMALL = StudentSize(mel_bins=40, audio_width=64, audio_layers=2, mix_width=16, text_width=16, vocabulary=60)
SETTINGS = DistillationSettings(
    epochs=2, batch=4, max_seconds=0.4, learning_rate=3e-3, teacher_layers=(0, 1), clips_per_corpus=12
)


@pytest.fixture(autouse=True)
def _one_thread_and_no_accelerator() -> Iterator[None]:
    with one_thread(), fresh_accelerator():
        yield


class FakeTeacher(WhisperTeacher):
    """Two layers of log power in six frequency bands per frame."""

    def __init__(self) -> None:
        self.width = 6

    def states(self, clips: Sequence[Samples]) -> tuple[torch.Tensor, torch.Tensor]:
        rows = []
        for clip in clips:
            frames = prepare(clip, WaveformSpec(1)).reshape(-1, 320)
            power = np.abs(np.fft.rfft(frames, axis=1)[:, 2:26]) ** 2
            bands = torch.from_numpy(np.log(power.reshape(-1, 6, 4).sum(2) + 1.0)).float()
            rows.append(torch.stack([bands, bands.flip(1)], dim=1))
        lengths = torch.tensor([len(row) for row in rows])
        states = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
        return states, torch.arange(states.shape[1]) < lengths[:, None]


def student(seed: int = 0) -> EmotionModel:
    torch.manual_seed(seed)
    return new_student(SMALL)


def data() -> DistillationData:
    return DistillationData(CLIPS, CLIPS[:4], {"": tones()})


@pytest.mark.long
def test_the_loss_falls(tmp_path: Path) -> None:
    clean = replace_settings(SETTINGS, epochs=8, corrupted=0.0, speed=0.0, voice=0.0)
    history = distill_audio_encoder(student(), data(), FakeTeacher(), clean, 1, runtime(tmp_path))
    first, last = first_and_last(history)
    assert last < 0.3 * first
    assert history.epochs[-1]["agreement"] > history.epochs[0]["agreement"]
    assert history.kept == 7


@pytest.mark.long
def test_an_interrupted_run_resumes_exactly(tmp_path: Path) -> None:
    complete, interrupted, resumed = student(), student(), student(seed=7)
    distill_audio_encoder(complete, data(), FakeTeacher(), SETTINGS, 1, runtime(tmp_path / "complete"))
    with pytest.raises(KilledError):
        distill_audio_encoder(
            interrupted, data(), FakeTeacher(), SETTINGS, 1, runtime(tmp_path / "interrupted", OneEpoch())
        )
    distill_audio_encoder(resumed, data(), FakeTeacher(), SETTINGS, 1, runtime(tmp_path / "interrupted"))
    assert same(complete.audio_encoder, resumed.audio_encoder)
    assert not same(complete.audio_encoder, student().audio_encoder)


def test_only_the_encoder_is_trained(tmp_path: Path) -> None:
    before, after = student().state_dict(), student()
    settings = replace_settings(SETTINGS, epochs=1)
    distill_audio_encoder(after, data(), FakeTeacher(), settings, 1, runtime(tmp_path))
    moved = {name for name, weights in after.state_dict().items() if not torch.equal(weights, before[name])}
    assert moved
    assert {name.split(".")[0] for name in moved} == {"audio_encoder"}


def a_batch(settings: DistillationSettings = SETTINGS) -> DistillationBatch:
    clips = [noise(9_600), noise(4_800, seed=1)]
    normalizer = fit_state_normalizer(data(), FakeTeacher(), settings, 1)
    return distillation_batch(clips, clips, FakeTeacher(), normalizer, student().audio_encoder.waveform_spec)


def test_predicting_the_mean_costs_the_variance() -> None:
    """A map of zeros: the mean squared error is then the targets' own mean square, over the clips' frames."""
    module = DistillationModule(student().audio_encoder, 2, 6, clip_weight=0.0)
    for weights in module.frames.parameters():
        torch.nn.init.zeros_(weights)
    batch = a_batch()
    own = np.concatenate([batch.targets[0, :30].numpy(), batch.targets[1, :15].numpy()])
    assert float(module(batch)["loss"].detach()) == pytest.approx(float((own**2).mean()), rel=1e-4)


def test_padding_is_excluded_from_the_loss() -> None:
    module = DistillationModule(student().audio_encoder, 2, 6, clip_weight=0.5).eval()
    batch = a_batch()
    corrupted = torch.where(batch.mask[..., None, None], batch.targets, torch.tensor(1e3))
    with torch.no_grad():
        clean, other = module(batch), module(replace(batch, targets=corrupted))
    torch.testing.assert_close(clean, other)


def test_a_student_with_too_few_layers_is_refused() -> None:
    with pytest.raises(ValueError, match="expected a student of 4 layers or more, got 3"):
        DistillationModule(tiny_audio_encoder("wav2vec2, mel"), 5, 6, 0.5)


def test_a_larger_corpus_contributes_other_clips_every_epoch() -> None:
    examples = [replace(clip, corpus="small") if row < 5 else clip for row, clip in enumerate(CLIPS)]
    settings = replace_settings(SETTINGS, clips_per_corpus=6)
    module = DistillationModule(student().audio_encoder, 2, 6, 0.5)
    normalizer = fit_state_normalizer(data(), FakeTeacher(), settings, 1)
    task = DistillationTask(module, replace(data(), train=examples), FakeTeacher(), normalizer, settings, 1)
    plans = [[item for batch in task.epoch_batches(epoch) for item in batch] for epoch in range(8)]
    for plan in plans:
        assert len(set(plan)) == len(plan)
        assert Counter(examples[item].corpus for item in plan) == {"small": 5, "tones": 6}
    assert {item for plan in plans for item in plan} == set(range(16))
    assert plans[0] == [item for batch in task.epoch_batches(0) for item in batch]


def test_each_corpus_has_its_own_audio() -> None:
    here, there = tones(), tones()
    there.samples[:] = 0
    both = DistillationData([], [], {"": here, "silence": there})
    assert np.abs(both.clip(CLIPS[0])).max() > 0
    assert not both.clip(replace(CLIPS[0], corpus="silence")).any()


@pytest.mark.parametrize("length", [100, 5_000, 60_000])
def test_an_augmented_clip_is_whole_frames_and_not_too_long(length: int) -> None:
    for seed in range(10):
        clip = augmented_clip(
            noise(length), DistillationSettings(max_seconds=2.0), np.random.default_rng(seed)
        )
        assert len(clip) % 320 == 0
        assert 15 * 320 <= len(clip) <= 32_000
