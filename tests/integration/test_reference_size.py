"""The reference size, from the configurations of the encoders alone."""

from __future__ import annotations

import pytest
import torch
from transformers import BertConfig, Wav2Vec2Config

from emostream.models.collate import collate_audio, collate_text
from emostream.models.config import EmotionConfig
from emostream.models.emotion import EmotionModel
from tests.support.tiny_emotion import noise, tiny_tokenizer


def test_the_reference_size_from_configurations_alone() -> None:
    """facebook/wav2vec2-base and bert-base-uncased, 95 and 110 million weights."""
    torch.manual_seed(0)
    model = EmotionModel(EmotionConfig(audio_config=Wav2Vec2Config(), text_config=BertConfig())).eval()
    sizes = [
        sum(weights.numel() for weights in encoder.parameters()) / 1e6
        for encoder in (model.audio_encoder, model.text_encoder)
    ]
    assert sizes == [pytest.approx(94.4, abs=0.1), pytest.approx(108.9, abs=0.1)]  # no pooler: 0.6 less
    audio = collate_audio([noise(16_000)], model.audio_encoder.waveform_spec)
    with torch.no_grad():
        encoded = model.encode_audio(audio)
        output = model(audio, collate_text(["i am so happy"], tiny_tokenizer(), 96))
    assert encoded.features.shape == (1, 49, 768)
    assert all(logits.isfinite().all() for logits in output.logits().values())
