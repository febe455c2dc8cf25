"""Adapters: what is trained, at which rate, and that the merged network is an ordinary one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from msgspec.structs import replace

from emostream.models.checkpoint import load_checkpoint, save_checkpoint
from emostream.models.encoders.factory import freeze
from emostream.models.encoders.text import TEXT_ENCODERS
from emostream.training.emotion.lora import add_adapters, has_adapters, merge_adapters, merge_encoder
from emostream.training.emotion.predict import PredictionRuntime, predict
from emostream.training.emotion.settings import ModelSettings
from emostream.training.emotion.task import EmotionTask
from emostream.training.errors import SettingsError
from emostream.training.experiments.experiment import Experiment, check_consistency
from emostream.training.trainer.settings import TrainerSettings
from tests.support.tiny_emotion import tiny_tokenizer
from tests.support.tiny_encoders import LAYERS, audio_configs, tiny_audio_encoder, tiny_text_encoder
from tests.support.training_task import corpus, emotion_task, fresh_accelerator, network, one_thread, run

pytest.importorskip("peft", reason="LoRA needs the package peft")

SETTINGS = TrainerSettings(epochs=1, batch=4, patience=0, learning_rate=0.0, adapter_rate=1e-2)


@pytest.fixture(autouse=True)
def _one_thread_and_no_accelerator() -> Iterator[None]:
    with one_thread(), fresh_accelerator():
        yield


def adapted_task() -> EmotionTask:
    model = network(granularities=("frame",))
    freeze(model.audio_encoder, "front_end")
    add_adapters(model.audio_encoder, rank=2, alpha=4)
    add_adapters(model.text_encoder, rank=2, alpha=4)
    return emotion_task(corpus(8, complete=True), SETTINGS, model=model)


def test_only_adapters_of_the_encoders_are_trained_at_their_own_rate() -> None:
    task = adapted_task()
    model = task.module.model
    backbones = (model.audio_encoder.backbone, model.text_encoder.backbone)
    trained = [name for part in backbones for name, w in part.named_parameters() if w.requires_grad]
    assert trained
    assert all(".lora_A." in name or ".lora_B." in name for name in trained)
    rates = {id(w): group["lr"] for group in task.parameter_groups() for w in group["params"]}  # type: ignore[attr-defined]
    of_adapters = {rates[id(w)] for part in backbones for w in part.parameters() if w.requires_grad}
    assert of_adapters == {SETTINGS.adapter_rate}
    assert not any(".lora_" in name for name, _ in backbones[0].feature_extractor.named_parameters())


def test_the_merged_checkpoint_is_served_as_any_other(tmp_path: Path) -> None:
    task = adapted_task()
    model = task.module.model
    names = set(network(granularities=("frame",)).state_dict())
    before = predict(model, task.collator, task.validation, PredictionRuntime(torch.device("cpu")))
    run(task, SETTINGS, tmp_path / "run")
    adapted = predict(model, task.collator, task.validation, PredictionRuntime(torch.device("cpu")))
    assert not torch.allclose(before[0].logits["audio"], adapted[0].logits["audio"], atol=1e-3)
    merge_adapters(model)
    assert set(model.state_dict()) == names
    assert not has_adapters(model.audio_encoder)
    merged = predict(model, task.collator, task.validation, PredictionRuntime(torch.device("cpu")))
    for one, other in zip(adapted, merged, strict=True):
        torch.testing.assert_close(one.logits, other.logits, rtol=0, atol=1e-5)
    save_checkpoint(model, tiny_tokenizer(), tmp_path / "served")
    loaded = load_checkpoint(tmp_path / "served").model
    weight = "audio_encoder.backbone.encoder.layers.0.attention.q_proj.weight"
    torch.testing.assert_close(loaded.state_dict()[weight], model.state_dict()[weight], rtol=0, atol=1e-3)


@pytest.mark.parametrize("kind", [*audio_configs(), *TEXT_ENCODERS])
def test_every_adapter_gets_a_gradient(kind: str) -> None:
    audio = kind in audio_configs()
    encoder = tiny_audio_encoder(kind) if audio else tiny_text_encoder(kind)
    add_adapters(encoder, rank=2, alpha=4)
    torch.manual_seed(0)
    inputs = torch.randn(2, 8000) if audio else torch.randint(5, 20, (2, 6))
    features, _ = encoder(inputs, torch.ones(inputs.shape, dtype=torch.bool))
    features.square().mean().backward()
    found = {name: w.grad for name, w in encoder.backbone.named_parameters() if ".lora_B." in name}
    assert found
    assert [name for name, gradient in found.items() if gradient is None or not gradient.any()] == []


@pytest.mark.parametrize("kind", ["wavlm", "wavlm, stable"])
def test_every_projection_of_wavlms_attention_is_adapted(kind: str) -> None:
    """Before they have learned, the outputs are those of transformers' own attention; merged, it is back."""
    encoder = tiny_audio_encoder(kind)
    torch.manual_seed(0)
    samples = torch.randn(2, 8000)
    mask = torch.arange(8000) < torch.tensor([8000, 5000])[:, None]
    plain, frames = encoder(samples, mask)
    add_adapters(encoder, rank=2, alpha=4)
    names = {name for name, _ in encoder.backbone.named_parameters() if ".lora_A." in name}
    for layer in range(LAYERS):
        for projection in ("q_proj", "k_proj", "v_proj", "out_proj"):
            assert any(f"layers.{layer}.attention.{projection}." in name for name in names)
    torch.testing.assert_close(encoder(samples, mask)[0][frames], plain[frames], rtol=0, atol=1e-5)
    for name, weights in encoder.backbone.named_parameters():
        if ".lora_B." in name:
            torch.nn.init.normal_(weights, std=0.1)
    adapted, _ = encoder(samples, mask)
    assert not torch.allclose(adapted[frames], plain[frames], atol=1e-2)
    merge_encoder(encoder)
    assert set(encoder.state_dict()) == set(tiny_audio_encoder(kind).state_dict())
    torch.testing.assert_close(encoder(samples, mask)[0][frames], adapted[frames], rtol=0, atol=1e-4)


def test_adapters_for_frozen_encoders_are_refused() -> None:
    frozen = ModelSettings(audio_frozen="all", text_frozen="all", lora_rank=8)
    with pytest.raises(
        SettingsError, match="expected an encoder that is not frozen where lora_rank is 8, both frozen"
    ):
        check_consistency(replace(Experiment(), model=frozen), "my.toml")
    encoder = tiny_text_encoder("bert")
    freeze(encoder, "all")
    add_adapters(encoder, rank=8, alpha=16)
    assert not has_adapters(encoder)
