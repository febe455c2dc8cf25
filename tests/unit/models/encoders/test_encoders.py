"""Encoders of every kind: the states of transformers' own networks, independent of the rest of the batch."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from transformers import GPT2Config, T5Config, Wav2Vec2Config, Wav2Vec2ConformerConfig

from emostream.models import CheckpointError
from emostream.models.encoders.base import AudioEncoder
from emostream.models.encoders.factory import make_audio_encoder, make_text_encoder
from emostream.models.encoders.group_norm import extract_batched, extract_per_clip, masked_group_norm
from emostream.models.encoders.text import TEXT_ENCODERS
from tests.support.tiny_emotion import noise
from tests.support.tiny_encoders import (
    LAYERS,
    audio_configs,
    batch_of,
    text_config,
    tiny_audio_encoder,
    tiny_text_encoder,
    token_batch,
)

# DeBERTa and ModernBERT of transformers 4.57 are compiled in a way that torch 2.13 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")

AUDIO_KINDS = list(audio_configs())
LENGTHS = (20_000, 11_025, 700, 0, 31_999, 16_000)


def assert_batch_invariant(encoder: AudioEncoder, lengths: tuple[int, ...]) -> None:
    clips = [noise(length, seed) for seed, length in enumerate(lengths)]
    batch = batch_of(encoder, clips)
    with torch.no_grad():
        features, mask = encoder(batch.samples, batch.mask)
        for clip, batched, valid in zip(clips, features, mask, strict=True):
            single = batch_of(encoder, [clip])
            alone, single_mask = encoder(single.samples, single.mask)
            assert single_mask.all()
            assert alone.shape[1] == valid.sum() >= 1
            assert (alone[0] - batched[valid]).abs().max() < 1e-4


class TestAudio:
    @pytest.mark.parametrize("kind", AUDIO_KINDS)
    def test_batched_states_equal_single_states(self, kind: str) -> None:
        assert_batch_invariant(tiny_audio_encoder(kind), LENGTHS)

    @pytest.mark.long
    def test_batched_states_equal_single_states_at_the_size_of_wav2vec2_base(self) -> None:
        torch.manual_seed(0)
        encoder = make_audio_encoder(Wav2Vec2Config()).eval()
        assert_batch_invariant(encoder, (8_000, 32_000, 17_000))

    @pytest.mark.parametrize("kind", [kind for kind in AUDIO_KINDS if kind != "whisper"])
    def test_states_equal_those_of_transformers(self, kind: str) -> None:
        encoder = tiny_audio_encoder(kind)
        batch = batch_of(encoder, [noise(12_000)])
        with torch.no_grad():
            stock = encoder.backbone(batch.samples, output_hidden_states=True)
            states, _ = encoder.layers(batch.samples, batch.mask)
        expected = [*stock.hidden_states[:-1], stock.last_hidden_state]
        assert len(states) == LAYERS + 1
        for ours, theirs in zip(states, expected, strict=True):
            torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)

    @pytest.mark.parametrize("kind", AUDIO_KINDS)
    def test_bfloat16_states_are_close_to_float32(self, kind: str) -> None:
        encoder = tiny_audio_encoder(kind)
        batch = batch_of(encoder, [noise(12_000), noise(6_000, seed=1)])
        with torch.no_grad():
            full, mask = encoder(batch.samples, batch.mask)
            half, _ = encoder.to(torch.bfloat16)(batch.samples, batch.mask)
        assert half.dtype == torch.bfloat16
        cosine = nn.functional.cosine_similarity(half.float()[mask], full[mask], dim=1)
        assert cosine.min() > 0.98

    @pytest.mark.parametrize("kind", AUDIO_KINDS)
    def test_features_are_the_weighted_sum_of_all_layers(self, kind: str) -> None:
        encoder = tiny_audio_encoder(kind)
        batch = batch_of(encoder, [noise(6_000)])
        with torch.no_grad():
            encoder.get_parameter("mix.weights").copy_(torch.log(torch.tensor([1.0, 2.0, 3.0, 4.0])))
            states, _ = encoder.layers(batch.samples, batch.mask)
            features, _ = encoder(batch.samples, batch.mask)
        expected = sum(share * state for share, state in zip((0.1, 0.2, 0.3, 0.4), states, strict=True))
        torch.testing.assert_close(features, expected)

    def test_layer_drop_and_time_masking_are_disabled(self) -> None:
        """Layer drop would break the mix; masking is for pretraining and needs a minimum of frames."""
        encoder = make_audio_encoder(
            Wav2Vec2Config(
                **audio_configs()["wav2vec2, group norm"].to_diff_dict()
                | {"layerdrop": 0.9, "mask_time_prob": 0.9}
            )
        ).train()
        batch = batch_of(encoder, [noise(700)])
        for _ in range(10):
            states, _ = encoder.layers(batch.samples, batch.mask)
            assert len(states) == LAYERS + 1
        assert "backbone.masked_spec_embed" not in encoder.state_dict()

    def test_unsupported_types_are_rejected(self) -> None:
        with pytest.raises(CheckpointError, match=r"out of wav2vec2, .*, got wav2vec2-conformer") as caught:
            make_audio_encoder(Wav2Vec2ConformerConfig())
        assert "\n" not in str(caught.value)

    @pytest.mark.parametrize("unit_variance", [True, False])
    def test_normalization_follows_the_checkpoint(self, unit_variance: bool) -> None:
        encoder = make_audio_encoder(audio_configs()["hubert"], unit_variance=unit_variance)
        deviation = batch_of(encoder, [noise(16_000)]).samples.std()
        assert (abs(deviation - 1.0) < 1e-3) == unit_variance

    def test_whisper_gets_unnormalized_samples(self) -> None:
        clip = noise(16_000)
        batch = batch_of(tiny_audio_encoder("whisper"), [clip])
        assert torch.equal(batch.samples[0], torch.from_numpy(clip))


class TestFrameCentres:
    def test_centres_of_wav2vec2_base(self) -> None:
        """25 ms every 20 ms."""
        encoder = make_audio_encoder(Wav2Vec2Config(num_hidden_layers=1))
        assert encoder.waveform_spec.min_samples == 400
        assert encoder.frame_centres(3).tolist() == [199, 519, 839]

    def test_centres_are_those_of_the_receptive_fields(self) -> None:
        encoder = tiny_audio_encoder("wav2vec2, layer norm")
        samples = torch.from_numpy(noise(4_000))[None].requires_grad_()
        frames = encoder.backbone.feature_extractor(samples)[0]  # (C, T)
        centres = encoder.frame_centres(frames.shape[1])
        assert centres.dtype == torch.int64
        for frame, centre in zip(frames.T, centres, strict=True):
            (seen,) = torch.autograd.grad(frame.sum(), samples, retain_graph=True)
            places = seen[0].nonzero()[:, 0]
            assert centre == (places.min() + places.max()) // 2
            assert len(places) <= encoder.waveform_spec.min_samples

    def test_centres_of_whisper(self) -> None:
        assert tiny_audio_encoder("whisper").frame_centres(4).tolist() == [0, 320, 640, 960]


class TestGroupNorm:
    def test_masked_norm_equals_the_norm_of_each_clip(self) -> None:
        torch.manual_seed(0)
        norm = nn.GroupNorm(3, 6)
        nn.init.normal_(norm.weight)
        nn.init.normal_(norm.bias)
        x, counts = 5.0 + 3.0 * torch.randn(3, 6, 40), [40, 7, 2]
        mask = torch.arange(40) < torch.tensor(counts)[:, None]
        masked = masked_group_norm(x, mask, norm)
        for row, ours, count in zip(x, masked, counts, strict=True):
            torch.testing.assert_close(ours[:, :count], norm(row[None, :, :count])[0], atol=1e-5, rtol=1e-5)

    def test_batched_extraction_equals_extraction_per_clip(self) -> None:
        encoder = tiny_audio_encoder("wav2vec2, group norm")
        extract = encoder.backbone.feature_extractor
        batch = batch_of(encoder, [noise(length, length) for length in LENGTHS])
        counts = batch.mask.sum(1)
        with torch.no_grad():
            by_clip, at_once = (
                way(extract, batch.samples, counts) for way in (extract_per_clip, extract_batched)
            )
            naive = extract(batch.samples)
            mask = encoder(batch.samples, batch.mask)[1][:, None].expand_as(by_clip)
        assert (by_clip - at_once)[mask].abs().max() < 1e-5
        assert (by_clip - naive)[mask].abs().max() > 1e-2  # the test can fail


class TestText:
    @pytest.mark.parametrize("model_type", TEXT_ENCODERS)
    def test_batched_token_states_equal_single_ones(self, model_type: str) -> None:
        encoder = tiny_text_encoder(model_type)
        ids, mask = token_batch((30, 7, 1, 18))
        with torch.no_grad():
            batch, _ = encoder(ids, mask)
            for line, batched, valid in zip(ids, batch, mask, strict=True):
                alone, _ = encoder(line[valid][None], valid[valid][None])
                assert (alone[0] - batched[valid]).abs().max() < 1e-4

    @pytest.mark.parametrize("model_type", TEXT_ENCODERS)
    def test_states_equal_those_of_transformers(self, model_type: str) -> None:
        encoder = tiny_text_encoder(model_type)
        ids, mask = token_batch((12,))
        with torch.no_grad():
            stock = encoder.backbone(input_ids=ids, output_hidden_states=True)
            states = encoder.layers(ids, mask)
        assert {tuple(state.shape) for state in states} == {(1, 12, encoder.hidden_size)}
        assert len(states) == LAYERS + 1
        for ours, theirs in zip(states[:-1], stock.hidden_states[:-1], strict=True):
            torch.testing.assert_close(ours, theirs)
        torch.testing.assert_close(states[-1], stock.last_hidden_state)

    @pytest.mark.parametrize("model_type", TEXT_ENCODERS)
    def test_encoders_have_no_pooler(self, model_type: str) -> None:
        assert not [name for name in tiny_text_encoder(model_type).state_dict() if "pooler" in name]

    @pytest.mark.parametrize(
        ("model_type", "longest"), [("bert", 34), ("distilbert", 34), ("roberta", 32), ("mpnet", 32)]
    )
    def test_max_tokens_is_the_longest_input_that_works(self, model_type: str, longest: int) -> None:
        encoder = tiny_text_encoder(model_type)
        assert encoder.max_tokens == longest
        encoder(*token_batch((longest,)))
        with pytest.raises((IndexError, RuntimeError)):
            encoder(*token_batch((longest + 1,)))

    def test_an_encoder_without_positions_has_no_max_tokens(self) -> None:
        assert tiny_text_encoder("modernbert").max_tokens is None

    @pytest.mark.parametrize(
        "config",
        [
            GPT2Config(),
            T5Config(),
            Wav2Vec2Config(),
            text_config("bert", is_decoder=True),
            text_config("convbert"),
        ],
        ids=lambda config: config.model_type,
    )
    def test_unsupported_types_are_rejected(self, config: object) -> None:
        with pytest.raises(CheckpointError, match=r"expected a text encoder out of bert, .*, got") as caught:
            make_text_encoder(config)
        assert "\n" not in str(caught.value)
