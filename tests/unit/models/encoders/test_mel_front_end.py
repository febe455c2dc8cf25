"""wav2vec 2.0 over a spectrogram: Whisper's features, 50 frames a second, without the effect of padding."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import WhisperFeatureExtractor

from emostream.models.checkpoint import load_checkpoint, save_checkpoint
from emostream.models.emotion import EmotionModel
from emostream.models.encoders.mel_front_end import ExportableMelFrontEnd, MelFrontEnd
from emostream.models.encoders.wav2vec2 import MelWav2Vec2AudioEncoder
from tests.support.tiny_emotion import noise, tiny_config, tiny_tokenizer
from tests.support.tiny_encoders import audio_configs, batch_of, tiny_audio_encoder

KIND = "wav2vec2, mel"
LENGTHS = (16_000, 4_321, 400, 11_111)


def front_end(bins: int = 80) -> MelFrontEnd:
    torch.manual_seed(0)
    return MelFrontEnd(bins, 16).eval()


class Identity(torch.nn.Module):
    """Replaces a convolution, so that the output is the spectrogram."""

    def forward(self, mel: torch.Tensor) -> torch.Tensor:
        return mel


class TestFrontEnd:
    def test_batched_features_equal_single_features(self) -> None:
        """Loud beside soft, and lengths that are no whole number of hops."""
        network, counts = front_end(), torch.tensor(LENGTHS)
        clips = [torch.from_numpy(noise(n, n, level=10.0**-row)) for row, n in enumerate(LENGTHS)]
        samples = torch.nn.utils.rnn.pad_sequence(clips, batch_first=True)
        with torch.no_grad():
            together, valid = network.padded(samples, counts)
            for clip, row, frames in zip(clips, together, valid, strict=True):
                alone, (own,) = network.padded(clip[None], torch.tensor([len(clip)]))
                assert own == frames == alone.shape[2]
                torch.testing.assert_close(row[:, :frames], alone[0], atol=1e-5, rtol=1e-5)

    @pytest.mark.parametrize("samples", LENGTHS)
    def test_the_exportable_form_gives_the_same_features(self, samples: int) -> None:
        network, clip = front_end(), torch.from_numpy(noise(samples))[None]
        with torch.no_grad():
            padded, _ = network.padded(clip, torch.tensor([samples]))
            torch.testing.assert_close(network(clip), padded)
            torch.testing.assert_close(ExportableMelFrontEnd(network)(clip), padded, atol=1e-4, rtol=1e-4)

    @pytest.mark.parametrize("bins", [80, 128])
    def test_the_spectrogram_equals_that_of_transformers(
        self, bins: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The stock extractor pads to 30 s: the floor and all frames but the last look the same."""
        network, clip = front_end(bins), noise(16_100)
        clip[5_000:9_000] = 0.0  # far below the loudest bin
        monkeypatch.setattr("torch.nn.functional.gelu", lambda x: x)
        network.conv1 = network.conv2 = Identity()  # type: ignore[assignment]
        with torch.no_grad():
            ours = ExportableMelFrontEnd(network)(torch.from_numpy(clip)[None])[0]
        theirs = WhisperFeatureExtractor(feature_size=bins)(clip, sampling_rate=16_000, return_tensors="pt")
        assert ours.shape == (bins, 100)
        torch.testing.assert_close(ours[:, :98], theirs.input_features[0, :, :98], atol=1e-4, rtol=1e-4)

    def test_constant_tables_are_not_saved(self) -> None:
        names = set(front_end().state_dict())
        assert names == {f"{conv}.{part}" for conv in ("conv1", "conv2") for part in ("weight", "bias")}


class TestFrames:
    @pytest.mark.parametrize(("samples", "frames"), [(32_000, 100), (16_160, 51), (16_159, 50), (0, 1)])
    def test_fifty_frames_a_second(self, samples: int, frames: int) -> None:
        encoder = tiny_audio_encoder(KIND)
        batch = batch_of(encoder, [noise(samples)])
        features, mask = encoder(batch.samples, batch.mask)
        assert features.shape[:2] == mask.shape == (1, frames)

    @pytest.mark.parametrize("frame", [3, 20, 41])
    def test_a_click_changes_the_frame_around_it_most(self, frame: int) -> None:
        encoder = tiny_audio_encoder(KIND)
        centre = int(encoder.frame_centres(50)[frame])
        assert centre == 320 * frame
        network = encoder.backbone.feature_extractor
        reaction = torch.zeros(50)
        for sign in (1.0, -1.0):  # a frame may not react to one of them
            clip = np.full(16_000, 1e-4, np.float32)
            with torch.no_grad():
                before = network(torch.from_numpy(clip)[None])
                clip[centre] = sign
                after = network(torch.from_numpy(clip)[None])
            # Far from the click only the noise floor has changed, equally everywhere.
            moved = after - before
            reaction += (moved - moved.median(dim=2, keepdim=True).values)[0].norm(dim=0)
        assert reaction[5 if frame > 25 else 30] < 0.1 * reaction[frame]
        assert reaction.argmax() == frame


class TestModel:
    def test_the_configuration_selects_the_front_end(self) -> None:
        assert isinstance(tiny_audio_encoder(KIND), MelWav2Vec2AudioEncoder)
        assert not isinstance(tiny_audio_encoder("wav2vec2, stable"), MelWav2Vec2AudioEncoder)

    def test_a_checkpoint_round_trip(self, tmp_path: Path) -> None:
        torch.manual_seed(0)
        model = EmotionModel(tiny_config(audio_config=audio_configs()[KIND])).eval()
        save_checkpoint(model, tiny_tokenizer(), tmp_path)
        read = load_checkpoint(tmp_path).model
        assert isinstance(read.audio_encoder, MelWav2Vec2AudioEncoder)
        batch = batch_of(model.audio_encoder, [noise(16_000), noise(5_000, seed=1)])
        with torch.no_grad():
            before, mask = model.audio_encoder(batch.samples, batch.mask)
            after, _ = read.audio_encoder(batch.samples, batch.mask)
        torch.testing.assert_close(after[mask], before[mask], atol=2e-2, rtol=2e-2)  # saved in half precision

    def test_from_pretrained_loads_it(self, tmp_path: Path) -> None:
        model = EmotionModel(tiny_config(audio_config=audio_configs()[KIND])).eval()
        model.save_pretrained(tmp_path)
        read = EmotionModel.from_pretrained(tmp_path).eval()
        clip = torch.from_numpy(noise(8_000))[None]
        with torch.no_grad():
            before, after = (
                ExportableMelFrontEnd(m.audio_encoder.backbone.feature_extractor)(clip) for m in (model, read)
            )
        torch.testing.assert_close(after, before)
