"""Pooled features: the statistics, and the cache."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from emostream.models import SAMPLE_RATE_HZ
from emostream.training.corpora.example import CorpusError, Example
from emostream.training.data.audio_cache import trim
from emostream.training.data.audio_decoding import read_clip
from emostream.training.errors import SettingsError
from emostream.training.probe.pooling import PooledEncoder, pooled_features, pooled_statistics
from tests.support.corpus_trees import write_sound
from tests.support.tiny_emotion import write_tiny
from tests.support.tiny_encoders import batch_of, tiny_audio_encoder


def clips(folder: Path, count: int) -> list[Example]:
    examples = []
    for number in range(count):
        label = ("angry", "sad")[number % 2]
        path = folder / f"{number}.wav"
        write_sound(path, label, number)
        examples.append(Example(corpus="tones", key=path.name, emotion=label, emotion_orig=label, path=path))
    return examples


def test_the_statistics_are_those_of_a_loop_over_frames() -> None:
    states = torch.randn(2, 7, 3)
    expected = [
        np.mean([states[layer, frame, place] for frame in range(7)])
        for layer in range(2)
        for place in range(3)
    ]
    deviations = [
        np.log(np.std([float(states[layer, frame, place]) for frame in range(7)]) + 1e-3)
        for layer in range(2)
        for place in range(3)
    ]
    np.testing.assert_allclose(pooled_statistics(states), [*expected, *deviations], rtol=1e-4)


def test_features_are_those_of_the_encoder_s_layers(tmp_path: Path) -> None:
    encoder = tiny_audio_encoder("whisper")
    (example,) = clips(tmp_path, 1)
    found = pooled_features(
        [example], PooledEncoder(encoder, (1, 3), "tiny"), tmp_path / "cache", lambda *_: None, device="cpu"
    )
    with torch.inference_mode():
        batch = batch_of(encoder, [trim(read_clip(example.audio_path))])
        states, mask = encoder.layers(batch.samples, batch.mask)
    rows = torch.stack([states[layer][0][mask[0]] for layer in (1, 3)])
    np.testing.assert_allclose(found[0], pooled_statistics(rows), rtol=1e-5)


def test_only_new_and_changed_clips_are_encoded_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pooled = PooledEncoder(tiny_audio_encoder("whisper"), (0, 1), "tiny")
    examples = clips(tmp_path, 3)
    encoded: list[int] = []
    original = PooledEncoder.pooled

    def counting(self: PooledEncoder, samples: np.ndarray, device: torch.device) -> np.ndarray:
        encoded.append(len(samples))
        return original(self, samples, device)

    monkeypatch.setattr(PooledEncoder, "pooled", counting)

    def features(part: list[Example]) -> np.ndarray:
        return pooled_features(part, pooled, tmp_path / "cache", lambda *_: None, device="cpu")

    first = features(examples[:2])
    second = features(examples)
    assert len(encoded) == 3
    np.testing.assert_array_equal(first, second[:2])
    write_sound(examples[0].audio_path, "happy", 9)
    assert not np.array_equal(features(examples)[0], first[0])
    assert len(encoded) == 4


def test_a_damaged_cache_is_computed_again(tmp_path: Path) -> None:
    pooled = PooledEncoder(tiny_audio_encoder("whisper"), (0,), "tiny")
    examples = clips(tmp_path, 2)
    first = pooled_features(examples, pooled, tmp_path / "cache", lambda *_: None, device="cpu")
    (file,) = (tmp_path / "cache").rglob("*.npz")
    file.write_bytes(file.read_bytes()[:100])
    again = pooled_features(examples, pooled, tmp_path / "cache", lambda *_: None, device="cpu")
    np.testing.assert_array_equal(first, again)


def test_a_clip_that_cannot_be_read_is_named_and_the_others_are_kept(tmp_path: Path) -> None:
    pooled = PooledEncoder(tiny_audio_encoder("whisper"), (0,), "tiny")
    examples = clips(tmp_path, 2)
    examples[0].audio_path.write_bytes(b"")
    with pytest.raises(CorpusError, match=r"1 of 2 audio files cannot be used: .*0\.wav \(is empty\)"):
        pooled_features(examples, pooled, tmp_path / "cache", lambda *_: None, device="cpu")
    assert len(list((tmp_path / "cache").rglob("*.npz"))) == 1


def test_a_clip_of_a_few_samples_and_a_long_one_are_pooled() -> None:
    pooled = PooledEncoder(tiny_audio_encoder("whisper"), (1,), "tiny")
    rng = np.random.default_rng(0)
    for length in (1, 31 * SAMPLE_RATE_HZ):
        values = pooled.pooled(rng.standard_normal(length).astype(np.float32), torch.device("cpu"))
        assert np.isfinite(values).all()


def test_a_checkpoint_s_layers_are_those_of_its_head(tmp_path: Path) -> None:
    folder = write_tiny(tmp_path / "concat", audio_mix="concat", audio_mix_layers=[2, 1], audio_mix_width=8)
    assert PooledEncoder.load(folder, None, None).layers == (2, 1)
    mixed = write_tiny(tmp_path / "sum")
    assert PooledEncoder.load(mixed, None, None).layers == (0, 1, 2)
    with pytest.raises(
        SettingsError, match="expected layers from 0 to 2 of the wav2vec2 encoder of sum, got 9"
    ):
        PooledEncoder.load(mixed, None, [9])
