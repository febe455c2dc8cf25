"""The student before its first step: sizes, and filters that hear.

The first convolution is a filterbank by construction: four phases of Gabor filters on the mel scale, each
scaled so that speech leaves it at unit power. Learning a filterbank from noise costs more speech than there
is here; learning on from one does not. Sources: SincNet (arXiv 1808.00158), LEAF (arXiv 2101.08596).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from transformers import BertConfig, Wav2Vec2Config

from emostream.models import SAMPLE_RATE_HZ, Samples
from emostream.models.collate import Waveform, prepare
from emostream.models.config import EmotionConfig
from emostream.models.emotion import EmotionModel

from ..errors import SettingsError
from .settings import StudentSize

PHASES = 4


def new_student(size: StudentSize, speech: list[Samples]) -> EmotionModel:
    """A model with random weights and a filterbank scaled on `speech`."""
    model = EmotionModel(student_config(size))
    filters = gabor_filters(size.filters // PHASES, size.filter_samples)
    filters /= _response(filters, speech)[:, None]
    with torch.no_grad():
        first, second = (layer.conv for layer in model.audio_encoder.backbone.feature_extractor.conv_layers)
        first.weight.copy_(torch.from_numpy(filters)[:, None])
        # Equal weights over the four rectified phases of a band add up to its magnitude.
        bands = second.weight[:, ::PHASES] / PHASES**0.5
        second.weight.copy_(bands.repeat_interleave(PHASES, dim=1))
        # A constant beside the filters lets the layer norm tell a loud frame from a quiet one.
        first.bias.normal_(std=0.5)
        torch.nn.init.normal_(model.absent_audio, std=0.02)
        torch.nn.init.normal_(model.absent_text, std=0.02)
    return model


def student_config(size: StudentSize) -> EmotionConfig:
    """Two convolutions, of 25 ms every 10 ms and of three steps every second one: 50 frames a second.

    About 33 million multiplications and additions a second of sound, where wav2vec2-base's seven
    convolutions of 512 channels take 4,900 million.
    """
    audio = Wav2Vec2Config(
        conv_dim=[size.filters, size.audio_width],
        conv_kernel=[size.filter_samples, 3],
        conv_stride=[SAMPLE_RATE_HZ // 100, 2],
        conv_bias=True,
        feat_extract_norm="layer",
        hidden_size=size.audio_width,
        intermediate_size=4 * size.audio_width,
        num_hidden_layers=size.audio_layers,
        num_attention_heads=4,
        num_conv_pos_embeddings=31,
        num_conv_pos_embedding_groups=10,
        hidden_dropout=size.dropout,
        attention_dropout=size.dropout,
        activation_dropout=size.dropout,
        layerdrop=0.0,
        apply_spec_augment=False,
        mask_time_prob=0.0,
    )
    text = BertConfig(
        vocab_size=size.vocabulary,
        hidden_size=size.text_width,
        intermediate_size=4 * size.text_width,
        num_hidden_layers=size.text_layers,
        num_attention_heads=4,
        max_position_embeddings=size.max_tokens,
        hidden_dropout_prob=size.dropout,
        attention_probs_dropout_prob=size.dropout,
    )
    try:
        return EmotionConfig(
            audio_config=audio,
            text_config=text,
            width=size.width,
            layers=size.fusion_layers,
            feed_forward=2 * size.width,
            dropout=size.dropout,
            max_tokens=size.max_tokens,
            granularities=size.granularities,
            span_pooling=size.span_pooling,  # type: ignore[arg-type]  # checked there
            fusion=size.fusion,  # type: ignore[arg-type]
        )
    except ValueError as error:
        raise SettingsError(f"student: {error}") from error


def gabor_filters(bands: int, length: int) -> npt.NDArray[np.float32]:
    """(4 bands, length): Hann-windowed cosines at 0, 90, 180 and 270 degrees, mel-spaced 60 Hz to 7.6 kHz."""
    top, bottom = (2595.0 * np.log10(1.0 + hertz / 700.0) for hertz in (7600.0, 60.0))
    hertz = 700.0 * (10 ** (np.linspace(bottom, top, bands) / 2595.0) - 1.0)
    seconds = (np.arange(length) - length / 2) / SAMPLE_RATE_HZ
    # Wider than 90 Hz, the window would be so short that a 10 ms step misses most of the sound.
    width_hz = np.clip(np.gradient(hertz), 40.0, 90.0)
    envelope = np.hanning(length) * np.exp(-0.5 * (seconds * width_hz[:, None] * 2.0) ** 2)
    phases = np.arange(PHASES) * np.pi / 2
    waves = np.cos(2 * np.pi * hertz[:, None, None] * seconds + phases[None, :, None])
    return (envelope[:, None] * waves).reshape(-1, length).astype(np.float32)


def _response(filters: npt.NDArray[np.float32], speech: list[Samples]) -> npt.NDArray[np.float32]:
    """Root mean square of each filter's output over normalised clips."""
    weight = torch.from_numpy(filters)[:, None]
    power = [
        torch.nn.functional.conv1d(
            torch.from_numpy(prepare(clip, Waveform(filters.shape[1])))[None], weight, stride=160
        )
        .square()
        .mean(-1)
        for clip in speech
    ]
    rms: npt.NDArray[np.float32] = (torch.stack(power).mean(0).sqrt() + 1e-4).numpy()
    return rms
