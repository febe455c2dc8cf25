"""An encoder's layers, concatenated and standardized; pooling with several heads; a linear classifier."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from emostream.models import CheckpointError, Clip, EmotionInput, Transcript
from emostream.models.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from emostream.models.config import EmotionConfig
from emostream.models.emotion import EmotionModel
from emostream.models.encoders.layer_mix import LayerConcat
from emostream.models.fusion import AttentivePooling
from emostream.models.recognizer import EmotionRecognizer
from emostream.training.data.frozen_features import FrozenFeatures, cached_features
from emostream.training.emotion.collator import Collator
from emostream.training.emotion.feature_stats import fit_feature_stats
from emostream.training.emotion.model_factory import ModelFactory
from emostream.training.emotion.settings import ModelSettings
from emostream.training.errors import SettingsError
from tests.support.tiny_emotion import SENTENCES, noise, tiny_model, tiny_tokenizer
from tests.support.tiny_encoders import (
    audio_configs,
    layer_concat_of,
    tiny_audio_encoder,
    with_random_statistics,
)
from tests.support.training_task import GOLD, corpus, inputs_of, network, numbers, one_thread

CONCAT: dict[str, Any] = {
    "audio_mix": "concat",
    "audio_mix_layers": [2, 0],
    "audio_mix_width": 12,
    "pooling_heads": 4,
    "classifier": "linear",
    "classifier_dropout": 0.5,
}
"""Of the three states of the tiny encoder."""

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    with one_thread():
        yield


def concat_with_statistics(seed: int = 0) -> EmotionModel:
    model = tiny_model(seed=seed, **CONCAT)
    with_random_statistics(layer_concat_of(model.audio_encoder))
    return model


# The layers


def gelu(value: float) -> float:
    return value * 0.5 * (1 + math.erf(value / math.sqrt(2)))


@torch.no_grad()
def test_chosen_layers_are_standardized_concatenated_and_projected() -> None:
    """Frame by frame in plain numbers; a value far outside ends at eight deviations."""
    torch.manual_seed(0)
    mix = LayerConcat([3, 1], hidden=2, width=3, dropout=0.5).eval()
    mean, deviation = torch.randn(4, 2), 0.5 + torch.rand(4, 2)
    mix.standardise(mean, deviation)
    layers = [torch.randn(2, 5, 2) for _ in range(4)]
    layers[1][0, 0, 0], layers[3][1, 4, 1] = 1_000.0, -1_000.0
    mixed = mix(layers)
    assert mixed.shape == (2, 5, 3)
    linear = mix.project[1]
    assert isinstance(linear, nn.Linear)
    weight, bias = linear.weight.tolist(), linear.bias.tolist()
    for row in range(2):
        for frame in range(5):
            inputs = [
                max(
                    -8.0,
                    min(8.0, (value - mean[layer, place].item()) / (deviation[layer, place].item() + 1e-3)),
                )
                for layer in (3, 1)
                for place, value in enumerate(layers[layer][row, frame].tolist())
            ]
            expected = [
                gelu(b + math.fsum(w * x for w, x in zip(ws, inputs, strict=True)))
                for ws, b in zip(weight, bias, strict=True)
            ]
            assert mixed[row, frame].tolist() == pytest.approx(expected, abs=1e-5)


def test_only_the_projection_has_parameters() -> None:
    mix = LayerConcat([0, 1], hidden=2, width=3, dropout=0.0)
    assert {name for name, _ in mix.named_parameters()} == {"project.1.weight", "project.1.bias"}


def test_all_layers_are_concatenated_by_default() -> None:
    encoder = tiny_audio_encoder("hubert")
    encoder.concatenate(None, 10, 0.0)
    assert layer_concat_of(encoder).chosen == tuple(range(encoder.states))
    assert (encoder.hidden_size, encoder.state_size) == (10, 24)


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([0, 4], "expected layers from 0 to 3 to concatenate, got [0, 4]"),
        ([-1], "expected layers from 0 to 3 to concatenate, got [-1]"),
        ([], "expected layers from 0 to 3 to concatenate, got []"),
    ],
)
def test_layers_out_of_range_are_rejected(layers: list[int], message: str) -> None:
    with pytest.raises(ValueError, match="expected layers") as caught:
        tiny_audio_encoder("hubert").concatenate(layers, 12, 0.0)
    assert str(caught.value) == message


def test_a_checkpoint_with_layers_out_of_range_is_rejected(tmp_path: Path) -> None:
    save_checkpoint(tiny_model(**CONCAT), tiny_tokenizer(), tmp_path)
    file = tmp_path / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"audio_mix_layers": [7]}))
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(tmp_path)
    assert str(caught.value).startswith(f"{file}: expected")
    assert "layers from 0 to 2 to concatenate, got [7]" in str(caught.value)
    assert "\n" not in str(caught.value)


def settings_of(hub: Path, **changes: Any) -> ModelSettings:
    sizes: dict[str, Any] = {"width": 16, "heads": 2, "feed_forward": 16, "layers": 1}
    return ModelSettings(audio=str(hub / "wav2vec2"), text=str(hub / "bert"), **(sizes | changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"audio_mix": "concat", "audio_mix_layers": (9,)}, "layers from 0 to 3 to concatenate, got [9]"),
        (
            {"audio_mix": "concat", "audio_mix_layers": (1, 1)},
            "audio_mix_layers to be different whole numbers",
        ),
        ({"audio_mix_layers": (1,)}, "no audio_mix_layers with audio_mix sum, got (1,)"),
        ({"heads": 3}, "heads that divide the width 16, got 3"),
        ({"pooling_heads": 5}, "pooling_heads that divide the width 24, got 5"),
        ({"audio_mix": "concat", "audio_mix_width": 18, "pooling_heads": 4}, "divide the width 18, got 4"),
    ],
)
def test_invalid_settings_of_a_run_are_rejected(
    changes: dict[str, Any], message: str, published: Path
) -> None:
    """Both where the encoders are loaded and where a row of a table changes the settings."""
    with pytest.raises((SettingsError, CheckpointError)) as read:
        ModelFactory.load(settings_of(published, **changes), ["sad", "happy"])
    with pytest.raises(SettingsError) as new:
        ModelFactory.load(settings_of(published), ["sad", "happy"]).build(
            settings_of(published, **changes), 1
        )
    for caught in (read, new):
        assert message in str(caught.value)
        assert "\n" not in str(caught.value)
        assert "check the name" not in str(caught.value)  # the name is valid


def test_a_built_model_has_the_requested_layers_and_sizes(published: Path) -> None:
    settings = settings_of(published, **(CONCAT | {"audio_mix_layers": (1, 3)}))
    model = ModelFactory.load(settings, ["sad", "happy"]).build(settings, 1)
    assert layer_concat_of(model.audio_encoder).chosen == (1, 3)
    assert model.audio_encoder.hidden_size == 12
    assert model.audio_pool(torch.randn(1, 3, 12), torch.ones(1, 3, dtype=torch.bool)).shape == (1, 24)


# Mean and standard deviation of training frames

EXAMPLES = corpus(16)
"""Of different lengths; some have no audio."""


def batches_of(model: EmotionModel, features: FrozenFeatures | None = None) -> Collator:
    material = inputs_of(EXAMPLES)
    if features is not None:
        material = type(material)(material.audio, material.tokenizer, audio_features=features)
    return Collator(material, GOLD, model, numbers(EXAMPLES))


@torch.no_grad()
def all_frames(model: EmotionModel) -> Tensor:
    """(F, L, H): every clip by itself."""
    sounds, frames = inputs_of(EXAMPLES).audio, []
    for key in sounds.spans:
        clip = torch.from_numpy(sounds.clip(key))[None]
        clip = (clip - clip.mean()) / (clip.var(correction=0) + 1e-7).sqrt()
        layers, _ = model.audio_encoder.layers(clip, torch.ones(clip.shape, dtype=torch.bool))
        frames.append(torch.cat(layers).transpose(0, 1))
    return torch.cat(frames)


def kept_states(model: EmotionModel, folder: Path) -> FrozenFeatures:
    """Cached states of a frozen encoder: half precision, on disk."""
    sounds, words = inputs_of(EXAMPLES).audio, inputs_of(EXAMPLES).alignments

    @torch.no_grad()
    def encode(key: str, view: int) -> Any:
        clip = torch.from_numpy(sounds.clip(key))[None]
        clip = (clip - clip.mean()) / (clip.var(correction=0) + 1e-7).sqrt()
        layers, _ = model.audio_encoder.layers(clip, torch.ones(clip.shape, dtype=torch.bool))
        return torch.cat(layers), words.get(key, next(iter(words.values())))

    return cached_features(list(sounds.spans), 1, encode, "states", folder, lambda done: None)


@pytest.mark.parametrize("kept", [False, True], ids=["encoder runs", "states kept"])
def test_training_frames_have_mean_0_and_deviation_1(kept: bool, tmp_path: Path) -> None:
    model = network(dropout=0.4, **CONCAT)
    frozen = kept_states(model.eval(), tmp_path) if kept else None
    model.train()
    fit_feature_stats(model, batches_of(model, frozen), EXAMPLES, CPU)
    mix = layer_concat_of(model.audio_encoder)
    frames = all_frames(model.eval())[:, [2, 0]]
    standing = (frames - mix.mean) / mix.scale
    torch.testing.assert_close(standing.mean(0), torch.zeros(2, 24), atol=2e-3, rtol=0)
    deviation = frames.std(0, correction=0)
    torch.testing.assert_close(mix.scale, deviation + 1e-3, atol=1e-4, rtol=2e-3)
    assert float(standing.std(0, correction=0).max()) < 1.001


def test_statistics_are_those_of_the_given_examples() -> None:
    """Other examples do not change the mean."""
    one, other = network(**CONCAT), network(**CONCAT)
    fit_feature_stats(one, batches_of(one), EXAMPLES[:6], CPU)
    fit_feature_stats(other, batches_of(other), EXAMPLES, CPU)
    means = [layer_concat_of(model.audio_encoder).mean for model in (one, other)]
    again = network(**CONCAT)
    fit_feature_stats(again, batches_of(again), EXAMPLES[:6], CPU)
    assert torch.equal(layer_concat_of(again.audio_encoder).mean, means[0])
    assert not torch.allclose(means[0], means[1], atol=1e-3)


def test_fitting_does_not_change_a_model_with_a_weighted_sum() -> None:
    model = network()
    before = {name: weights.clone() for name, weights in model.state_dict().items()}
    fit_feature_stats(model, batches_of(model), EXAMPLES, CPU)
    assert all(torch.equal(weights, before[name]) for name, weights in model.state_dict().items())


def test_examples_without_audio_leave_the_statistics_unfitted() -> None:
    model = network(**CONCAT)
    fit_feature_stats(model, batches_of(model), [one for one in EXAMPLES if one.path is None], CPU)
    assert torch.equal(layer_concat_of(model.audio_encoder).scale, torch.ones(2, 24))


# Checkpoints and inference


def test_a_checkpoint_keeps_mean_scale_and_settings(tmp_path: Path) -> None:
    model = concat_with_statistics()
    save_checkpoint(model, tiny_tokenizer(), tmp_path)
    read = load_checkpoint(tmp_path).model
    written, kept = layer_concat_of(model.audio_encoder), layer_concat_of(read.audio_encoder)
    assert kept.chosen == (2, 0)
    assert torch.equal(kept.mean, written.mean)  # not in half precision, as the weights are
    assert torch.equal(kept.scale, written.scale)
    assert {name: getattr(read.config, name) for name in CONCAT} == CONCAT


def test_an_older_config_gets_the_former_defaults() -> None:
    fields = EmotionConfig().to_dict()
    for name in CONCAT:
        del fields[name]
    config = EmotionConfig.from_dict(fields | {"dropout": 0.3})
    assert (config.audio_mix, config.pooling_heads, config.classifier) == ("sum", 1, "mlp")
    assert config.classifier_dropout == 0.3


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("audio_mix", "product", "expected audio_mix to be one of sum, concat, got 'product'"),
        ("classifier", "forest", "expected classifier to be one of mlp, linear, got 'forest'"),
        ("pooling_heads", 0, "expected pooling_heads to be a whole number from 1"),
        ("audio_mix_width", 1.5, "expected audio_mix_width to be a whole number from 1"),
        ("audio_mix_layers", [1, 2], "expected no audio_mix_layers with audio_mix sum, got [1, 2]"),
        ("heads", 3, "expected heads that divide the width 64, got 3"),
    ],
)
def test_an_invalid_config_is_rejected(field: str, value: Any, message: str) -> None:
    with pytest.raises(ValueError, match="expected") as caught:
        EmotionConfig(**{field: value})
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("layers", [[2.0], [1, 1], [-1], [], [True], ["1"], 2, "12"])
def test_layers_must_be_distinct_whole_numbers(layers: Any) -> None:
    with pytest.raises(ValueError, match="expected") as caught:
        EmotionConfig(audio_mix="concat", audio_mix_layers=layers)
    message = f"expected audio_mix_layers to be different whole numbers from 0 up, got {layers!r}"
    assert str(caught.value) == message


LENGTHS = (48_000, 11_025, 700, 0, 31_999, 16_000)


def inputs() -> list[EmotionInput]:
    words = [*SENTENCES[:3], None, "", None]
    return [
        EmotionInput(Clip(noise(length, seed)), None if text is None else Transcript(text))
        for seed, (length, text) in enumerate(zip(LENGTHS, words, strict=True))
    ]


def probabilities_of(recognizer: EmotionRecognizer, inputs: Sequence[EmotionInput]) -> np.ndarray[Any, Any]:
    return np.array([prediction.probabilities for prediction in recognizer.recognize(inputs)])


@pytest.mark.parametrize("kind", ["wav2vec2, layer norm", "wav2vec2, group norm", "wavlm", "whisper"])
def test_batched_results_equal_single_results(kind: str, tmp_path: Path) -> None:
    audio = audio_configs()[kind]
    raw = audio.model_type in ("wavlm", "whisper")
    model = tiny_model(audio_config=audio, audio_unit_variance=not raw, **CONCAT)
    with_random_statistics(layer_concat_of(model.audio_encoder))
    recognizer = EmotionRecognizer(Checkpoint(model, tiny_tokenizer(), tmp_path), CPU)
    batched = probabilities_of(recognizer, inputs())
    alone = np.concatenate([probabilities_of(recognizer, [single]) for single in inputs()])
    np.testing.assert_allclose(batched, alone, atol=1e-4)
    assert np.ptp(batched, axis=0).max() > 1e-2  # the test can fail


def test_bfloat16_results_are_close_to_float32(tmp_path: Path) -> None:
    """Encoders alone are halved; the projection of their layers belongs to them."""
    save_checkpoint(concat_with_statistics(), tiny_tokenizer(), tmp_path)
    whole, half = (
        probabilities_of(EmotionRecognizer.load(tmp_path, device="cpu", dtype=dtype), inputs())
        for dtype in ("float32", "bfloat16")
    )
    np.testing.assert_allclose(half, whole, atol=0.1)


@torch.no_grad()
def test_layers_are_standardized_in_float32_whatever_the_dtype(tmp_path: Path) -> None:
    """A dimension a hundred deviations away from zero: bfloat16 would round its mean by a fifth of one."""
    model = concat_with_statistics()
    mix = layer_concat_of(model.audio_encoder)
    mean, deviation = torch.full((3, 24), 100.3), torch.ones(3, 24)
    mix.standardise(mean, deviation)
    EmotionRecognizer(Checkpoint(model, tiny_tokenizer(), tmp_path), CPU, torch.bfloat16)
    assert model.audio_encoder.backbone.dtype == mix.project[1].weight.dtype == torch.bfloat16
    assert torch.equal(mix.mean, mean[[2, 0]])
    assert mix.scale.dtype == torch.float32
    generator = torch.Generator().manual_seed(0)
    layers = [(100.3 + torch.randn(1, 50, 24, generator=generator)).bfloat16() for _ in range(3)]
    standing = torch.cat([(layers[layer].double() - 100.3) / 1.001 for layer in (2, 0)], dim=-1)
    _, linear, activation = copy.deepcopy(mix.project).double()
    torch.testing.assert_close(mix(layers).double(), activation(linear(standing)), atol=0.05, rtol=0.02)


# Pooling and heads


@pytest.mark.parametrize("heads", [1, 2, 6])
@torch.no_grad()
def test_each_head_pools_its_own_part_of_the_width(heads: int) -> None:
    """A softmax over the valid frames for every head, in slow loops; one head is plain attentive pooling."""
    torch.manual_seed(heads)
    pool = AttentivePooling(6, deviation=True, heads=heads)
    x = torch.randn(2, 5, 6)
    lengths = (5, 3)
    pooled = pool(x, torch.arange(5) < torch.tensor(lengths)[:, None])
    assert pooled.shape == (2, 12)
    for row, length in enumerate(lengths):
        frames = x[row, :length]
        scores = [pool.score(frame).tolist() for frame in frames]
        for place in range(6):
            head = place * heads // 6
            total = math.fsum(math.exp(score[head]) for score in scores)
            share = [math.exp(score[head]) / total for score in scores]
            values = frames[:, place].tolist()
            mean = math.fsum(s * value for s, value in zip(share, values, strict=True))
            variance = math.fsum(s * (value - mean) ** 2 for s, value in zip(share, values, strict=True))
            assert pooled[row, place].item() == pytest.approx(mean, abs=1e-5)
            assert pooled[row, 6 + place].item() == pytest.approx(math.sqrt(variance + 1e-5), abs=1e-5)


def test_heads_must_divide_the_width() -> None:
    with pytest.raises(ValueError, match="expected pooling_heads that divide the width 6, got 4"):
        AttentivePooling(6, heads=4)


@pytest.mark.parametrize(("classifier", "layers"), [("linear", 1), ("mlp", 2)])
@torch.no_grad()
def test_a_linear_classifier_is_one_layer_after_the_norm(classifier: str, layers: int) -> None:
    model = tiny_model(classifier=classifier, classifier_dropout=0.5)
    assert model.early is not None
    for head in (model.audio_head, model.text_head, model.early.head):
        assert isinstance(head, nn.Sequential)
        assert sum(isinstance(part, nn.Linear) for part in head) == layers
        assert {part.p for part in head if isinstance(part, nn.Dropout)} == {0.5}


@torch.no_grad()
def test_a_linear_classifier_equals_its_formula() -> None:
    head = tiny_model(classifier="linear").audio_head
    assert isinstance(head, nn.Sequential)
    norm, _, last = head
    assert isinstance(norm, nn.LayerNorm)
    assert isinstance(last, nn.Linear)
    x = torch.randn(3, 48)
    normed = (x - x.mean(1, keepdim=True)) / (x.var(1, correction=0, keepdim=True) + 1e-5).sqrt()
    expected = (normed * norm.weight + norm.bias) @ last.weight.T + last.bias
    torch.testing.assert_close(head(x), expected, atol=1e-5, rtol=1e-5)
