"""On a GPU: the masked group norm, a training step in each precision, and one encoder for two libraries."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import ctranslate2
import numpy as np
import pytest
import torch

from emostream.models.encoders.group_norm import extract_batched, extract_per_clip
from emostream.models.encoders.log_mel import log_mel
from emostream.models.encoders.shared import fill_shared_encoder, shared_config
from emostream.models.encoders.whisper import WhisperAudioEncoder
from emostream.training.emotion.predict import PredictionRuntime, predict
from emostream.training.trainer.callbacks import NoCallback
from emostream.training.trainer.runtime import Runtime, make_accelerator
from emostream.training.trainer.settings import TrainerSettings
from emostream.training.trainer.trainer import fit
from tests.support.tiny_emotion import tiny_model
from tests.support.training_task import corpus, emotion_task, fresh_accelerator
from tests.support.whisper_weights import packaged_whisper

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU"),
]


@pytest.fixture(autouse=True)
def _no_accelerator() -> Iterator[None]:
    with fresh_accelerator():
        yield


@torch.inference_mode()
def test_the_masked_group_norm_of_a_batch_is_that_of_each_clip() -> None:
    extract = tiny_model("group").audio_encoder.backbone.feature_extractor
    samples, counts = torch.randn(3, 16_000), torch.tensor([16_000, 9_000, 4_321])
    for row, count in enumerate(counts):
        samples[row, count:] = 0
    alone = extract_per_clip(extract, samples, counts)
    together = extract_batched(extract.to("cuda"), samples.to("cuda"), counts.to("cuda")).cpu()
    for row, clip in enumerate(alone):
        own = int((clip.abs().sum(0) > 0).sum())
        torch.testing.assert_close(together[row, :, :own], clip[:, :own], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("precision", ["no", "bf16", "fp16", "auto"])
def test_a_run_trains_and_predicts_in_every_precision(tmp_path: Path, precision: str) -> None:
    if precision == "bf16" and torch.cuda.get_device_capability() < (8, 0):
        pytest.skip("this GPU has no bfloat16")
    settings = TrainerSettings(epochs=2, batch=4, patience=0, gradient_checkpointing=True)
    task = emotion_task(corpus(8), settings)
    task.module.model.audio_encoder.checkpoint_gradients()
    accelerator = make_accelerator(precision)  # type: ignore[arg-type]
    runtime = PredictionRuntime(accelerator.device, 4.0, accelerator.autocast)
    history = fit(
        dataclasses.replace(task, prediction=runtime),
        settings,
        1,
        Runtime(accelerator, tmp_path, NoCallback()),
    )
    assert all(np.isfinite(step["loss"]) for step in history.steps)
    found = predict(task.module.model, task.collator, task.validation, runtime)
    assert all(torch.isfinite(one.logits["audio"]).all() for one in found)


def test_ctranslate2s_encoder_and_torchs_have_one_output_for_the_same_weights() -> None:
    compare_encoders("cuda")


@torch.inference_mode()
def compare_encoders(device: str) -> None:
    """What one pass for transcription and emotion rests on."""
    folder = packaged_whisper("tiny.en")
    encoder = WhisperAudioEncoder(shared_config(folder))
    fill_shared_encoder(encoder, folder)
    encoder.to(device).eval()
    samples = 0.05 * torch.randn(1, 30 * 16_000, device=device)
    states, _ = encoder.layers(samples, torch.ones_like(samples, dtype=torch.bool))
    mel = log_mel(samples, torch.tensor([samples.shape[1]], device=device), 80)[..., :3000]
    model = ctranslate2.models.Whisper(str(folder), device=device, compute_type="float32")
    features = mel.cpu().contiguous().numpy()  # the view below does not own it
    output = model.encode(ctranslate2.StorageView.from_array(features))
    shared = torch.from_numpy(np.array(output.to_device(ctranslate2.Device.cpu)))
    torch.testing.assert_close(shared, states[-1].cpu(), rtol=0, atol=5e-2)
