"""Whisper's encoder at any length: the features and states of transformers, without the effect of padding."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from transformers import WhisperConfig, WhisperFeatureExtractor
from transformers.models.whisper.modeling_whisper import WhisperEncoder

from emostream.models import Alignment, Clip, EmotionInput, Samples, Transcript, Word
from emostream.models.checkpoint import Checkpoint
from emostream.models.encoders.factory import make_audio_encoder
from emostream.models.encoders.log_mel import log_mel
from emostream.models.recognizer import EmotionRecognizer
from tests.support.shared import SHARED
from tests.support.tiny_emotion import noise, tiny_model, tiny_tokenizer
from tests.support.tiny_encoders import batch_of, tiny_audio_encoder, tiny_whisper_config

FOLDER = SHARED / "weights" / "whisper-tiny.en-encoder"


def stock_features(clip: Samples, bins: int) -> torch.Tensor:
    """(bins, F) of a clip that is not padded to 30 s."""
    extractor = WhisperFeatureExtractor(feature_size=bins)
    features: torch.Tensor = extractor(
        clip, sampling_rate=16_000, padding=False, truncation=False, return_tensors="pt"
    ).input_features[0]
    return features


def whisper_config(positions: int) -> WhisperConfig:
    """With a table of so many positions, 50 a second."""
    return WhisperConfig(**tiny_whisper_config().to_dict() | {"max_source_positions": positions})


def words(end: int) -> tuple[Word, ...]:
    """One before the end, the other after it."""
    return Word("happy", 1_000, end - 4_000), Word("door", end + 2_000, end + 9_000)


class GivenTimes:
    """Returns the word times of the transcript."""

    def align(self, clips: Sequence[Clip], transcripts: Sequence[Transcript | None]) -> list[Alignment]:
        return [Alignment(words=transcript.words if transcript else ()) for transcript in transcripts]


class TestFeatures:
    @pytest.mark.parametrize("bins", [80, 128])
    def test_batched_features_equal_those_of_transformers(self, bins: int) -> None:
        """Loud beside soft: each has a floor of its own. And lengths that are no whole number of hops."""
        clips = [noise(16_000), noise(4_321, seed=1, level=0.001), noise(400, seed=2)]
        clips[0][9_000:12_000] = 0.0
        encoder = make_audio_encoder(tiny_whisper_config(bins))
        batch = batch_of(encoder, clips)
        ours = log_mel(batch.samples, batch.mask.sum(1), bins)
        assert ours.shape == (3, bins, 100)
        for row, clip in zip(ours, clips, strict=True):
            frames = len(clip) // 160
            torch.testing.assert_close(row[:, :frames], stock_features(clip, bins), atol=1e-4, rtol=1e-4)
            assert not row[:, frames:].any()

    def test_a_click_has_its_energy_in_the_frame_around_it(self) -> None:
        clip = np.full(16_000, 1e-4, dtype=np.float32)
        encoder = tiny_audio_encoder("whisper")
        for frame in (5, 20, 44):
            clip[:] = 1e-4
            clip[encoder.frame_centres(50)[frame]] = 1.0
            energy = log_mel(torch.from_numpy(clip)[None], torch.tensor([16_000]), 80)[0].sum(0)
            assert energy.argmax() == 2 * frame  # two steps of the spectrogram are one frame
            torch.testing.assert_close(energy[2 * frame - 1], energy[2 * frame + 1], atol=1e-2, rtol=1e-3)

    def test_training_works_after_inference_mode(self) -> None:
        encoder = make_audio_encoder(tiny_whisper_config(bins=64)).train()
        batch = batch_of(encoder, [noise(8_000)])
        with torch.inference_mode():
            encoder(batch.samples, batch.mask)
        encoder(batch.samples.requires_grad_(), batch.mask)[0].sum().backward()
        assert batch.samples.grad is not None
        assert batch.samples.grad.abs().sum() > 0


class TestStates:
    def test_states_of_thirty_seconds_equal_those_of_transformers(self) -> None:
        """The stock forward takes 30 s and nothing else; there the two must agree, layer by layer."""
        encoder, clip = tiny_audio_encoder("whisper"), noise(30 * 16_000)
        batch = batch_of(encoder, [clip])
        with torch.no_grad():
            ours, mask = encoder.layers(batch.samples, batch.mask)
            theirs = encoder.backbone(stock_features(clip, 80)[None], output_hidden_states=True)
        assert mask.shape == (1, 1500)
        expected = [*theirs.hidden_states[:-1], theirs.last_hidden_state]
        for mine, other in zip(ours, expected, strict=True):
            torch.testing.assert_close(mine, other, atol=1e-4, rtol=1e-4)

    @pytest.mark.parametrize(("samples", "frames"), [(32_000, 100), (16_160, 51), (700, 2), (0, 1)])
    def test_fifty_frames_a_second(self, samples: int, frames: int) -> None:
        encoder = tiny_audio_encoder("whisper")
        batch = batch_of(encoder, [noise(samples)])
        assert encoder(batch.samples, batch.mask)[0].shape == (1, frames, encoder.hidden_size)

    @pytest.mark.parametrize(("positions", "seconds"), [(1500, 30), (50, 1)])
    def test_clips_longer_than_the_position_table_are_rejected(self, positions: int, seconds: int) -> None:
        encoder = make_audio_encoder(whisper_config(positions))
        samples = torch.from_numpy(noise(seconds * 16_000 + 320))[None]
        with pytest.raises(ValueError, match=rf"expected clips of at most {seconds} s .*: cut them"):
            encoder(samples, torch.ones(samples.shape, dtype=torch.bool))

    @pytest.mark.parametrize("positions", [50, 1500])
    def test_collation_cuts_clips_to_the_position_table(self, positions: int) -> None:
        encoder = make_audio_encoder(whisper_config(positions)).eval()
        longer = noise(320 * positions + 5_000)
        batch, cut = (batch_of(encoder, [clip]) for clip in (longer, longer[: 320 * positions]))
        with torch.no_grad():
            ours, theirs = encoder(batch.samples, batch.mask), encoder(cut.samples, cut.mask)
        assert ours[0].shape[1] == positions
        assert torch.equal(ours[0], theirs[0])

    def test_a_longer_clip_has_the_result_of_its_beginning(self, tmp_path: Path) -> None:
        """With words, some of which lie after the end of the part that is analyzed."""
        model = tiny_model(
            audio_config=whisper_config(50), audio_unit_variance=False, granularities=["frame", "word"]
        )
        recognizer = EmotionRecognizer(
            Checkpoint(model, tiny_tokenizer(), tmp_path), torch.device("cpu"), aligner=GivenTimes()
        )
        clip, second = noise(40_000), 16_000
        whole, beginning = recognizer.recognize(
            [
                EmotionInput(Clip(clip), Transcript("happy door", words=words(second)))
                for clip in (clip, clip[:second])
            ]
        )
        assert whole.probabilities == pytest.approx(beginning.probabilities, abs=1e-6)
        assert whole.audio_only == pytest.approx(beginning.audio_only, abs=1e-6)

    @pytest.mark.skipif(not FOLDER.is_dir(), reason=f"no Whisper weights at {FOLDER}")
    @pytest.mark.parametrize("samples", [8_000, 21_321, 48_000])
    def test_states_of_a_short_clip_with_real_weights(self, samples: int) -> None:
        stock = WhisperEncoder.from_pretrained(FOLDER, dtype=torch.float32)
        encoder = make_audio_encoder(stock.config).eval()
        encoder.backbone.load_state_dict(stock.state_dict())
        batch = batch_of(encoder, [noise(samples), noise(50_000, seed=1)])
        with torch.no_grad():
            states, mask = encoder.layers(batch.samples, batch.mask)
        for ours, theirs in zip(states, stock_states(stock.eval(), noise(samples)), strict=True):
            torch.testing.assert_close(ours[0][mask[0]], theirs, atol=2e-3, rtol=1e-3)


@torch.no_grad()
def stock_states(network: WhisperEncoder, samples: Samples) -> list[Tensor]:
    """The library's own features and layers on one clip alone, where no mask is needed: 5 tensors (T, D)."""
    features = WhisperFeatureExtractor.from_pretrained(FOLDER)(
        samples, sampling_rate=16_000, padding=False, truncation=False, return_tensors="pt"
    ).input_features
    hidden = nn.functional.gelu(network.conv2(nn.functional.gelu(network.conv1(features)))).transpose(1, 2)
    states = [hidden + network.embed_positions.weight[: hidden.shape[1]]]
    # transformers 4 requires a head mask, transformers 5 has none.
    parameters = inspect.signature(network.layers[0].forward).parameters
    arguments = {"layer_head_mask": None} if "layer_head_mask" in parameters else {}
    for layer in network.layers:
        output = layer(states[-1], None, **arguments)
        states.append(output[0] if isinstance(output, tuple) else output)
    states[-1] = network.layer_norm(states[-1])
    return [state[0] for state in states]
