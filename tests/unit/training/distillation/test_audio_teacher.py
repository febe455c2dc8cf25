"""The audio teacher: the stock encoder's states at any level, and their normalization."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from transformers import WhisperFeatureExtractor
from transformers.models.whisper.modeling_whisper import WhisperEncoder

from emostream.training.distillation.audio_teacher import StateNormalizer, WhisperTeacher
from tests.support.shared import SHARED
from tests.support.tiny_emotion import noise

FOLDER = SHARED / "weights" / "whisper-tiny.en-encoder"
LAYERS = (0, 1, 2, 3)

needs_weights = pytest.mark.skipif(not FOLDER.is_dir(), reason=f"no teacher weights at {FOLDER}")


@needs_weights
class TestWhisper:
    def test_thirty_seconds_give_the_stock_encoder_s_states(self) -> None:
        """The stock forward takes 30 s only; there the two must agree, layer by layer."""
        clip = noise(30 * 16_000)
        clip *= 0.08 / clip.std()  # the level that the teacher normalizes to
        ours, mask = WhisperTeacher(FOLDER, LAYERS).states([clip])
        assert ours.shape == (1, 1500, 4, 384)
        assert mask.all()
        features = WhisperFeatureExtractor.from_pretrained(FOLDER)(
            clip, sampling_rate=16_000, return_tensors="pt"
        )
        stock = WhisperEncoder.from_pretrained(FOLDER, dtype=torch.float32).eval()
        with torch.no_grad():
            theirs = stock(features.input_features, output_hidden_states=True).hidden_states
        for layer in LAYERS:
            error = (ours[0, :, layer] - theirs[layer][0]).norm() / theirs[layer][0].norm()
            assert error < 0.02  # bfloat16 holds eight bits of each number

    def test_fewer_layers_are_the_same_layers(self) -> None:
        clip = noise(16_000)
        all_layers, _ = WhisperTeacher(FOLDER, LAYERS).states([clip])
        two, _ = WhisperTeacher(FOLDER, (2, 0)).states([clip])
        assert torch.equal(two, all_layers[:, :, [2, 0]])

    def test_the_level_of_a_clip_does_not_matter(self) -> None:
        teacher = WhisperTeacher(FOLDER, LAYERS)
        loud, soft = (teacher.states([noise(16_000, level=level)])[0] for level in (0.2, 0.01))
        assert (loud - soft).norm() < 0.01 * loud.norm()

    def test_clips_of_several_lengths(self) -> None:
        states, mask = WhisperTeacher(FOLDER, (1,)).states([noise(32_000), noise(9_600)])
        assert states.shape == (2, 100, 1, 384)
        assert mask.sum(1).tolist() == [100, 30]
        assert states[mask].isfinite().all()


class TestStateNormalizer:
    """Synthetic states: noise around a mean that depends on the position; the last clip is short."""

    LENGTHS = (30, 30, 20)

    def batches(self) -> list[tuple[torch.Tensor, torch.Tensor]]:
        torch.manual_seed(0)
        position = torch.arange(30.0)[:, None, None]
        found = []
        for _ in range(40):
            states = position / 10.0 + torch.tensor([1.0, 4.0]) * torch.randn(3, 30, 3, 2)
            mask = torch.arange(30) < torch.tensor(self.LENGTHS)[:, None]
            states[~mask] = 1e6  # must be ignored
            found.append((states, mask))
        return found

    def test_mean_and_deviation_are_numpy_s(self) -> None:
        batches = self.batches()
        normalizer = StateNormalizer.fit(batches)
        frames = np.concatenate([states[mask].double().numpy() for states, mask in batches])
        np.testing.assert_allclose(normalizer.deviation.numpy(), frames.std(0), atol=2e-3)
        # A position's mean, shrunk toward the overall mean as if it had fifty more frames of that.
        for position in (0, 12, 29):
            here = np.concatenate([s[m[:, position], position].double().numpy() for s, m in batches])
            expected = (here.sum(0) + 50 * frames.mean(0)) / (len(here) + 50)
            np.testing.assert_allclose(normalizer.mean[position].numpy(), expected, atol=1e-5)

    def test_states_are_standardized_and_clamped(self) -> None:
        batches = self.batches()
        normalizer = StateNormalizer.fit(batches)
        standard = torch.cat([normalizer.normalize(states)[mask] for states, mask in batches])
        assert standard.mean().abs() < 0.05
        assert 0.8 < standard.std() < 1.1
        assert normalizer.normalize(torch.full((1, 1, 3, 2), 1e6)).unique().tolist() == [6.0]

    def test_positions_behind_the_last_use_its_mean(self) -> None:
        normalizer = StateNormalizer(torch.tensor([0.0, 2.0])[:, None, None], torch.ones(1, 1))
        assert normalizer.normalize(torch.full((1, 4, 1, 1), 3.0)).flatten().tolist() == [
            3.0,
            1.0,
            1.0,
            1.0,
        ]
