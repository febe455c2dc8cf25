"""The untrained student model: its architecture and sizes."""

from __future__ import annotations

import torch
from transformers import BertConfig, Wav2Vec2Config

from emostream.models.config import EmotionConfig
from emostream.models.emotion import EmotionModel

from ..errors import SettingsError
from .settings import StudentSize


def new_student(size: StudentSize) -> EmotionModel:
    """A model with random weights from torch's generator."""
    model = EmotionModel(student_config(size))
    torch.nn.init.normal_(model.absent_audio, std=0.02)
    torch.nn.init.normal_(model.absent_text, std=0.02)
    return model


def student_config(size: StudentSize) -> EmotionConfig:
    """wav2vec 2.0's pre-norm layers over a spectrogram, 50 frames a second; and BERT's over tokens.

    The audio encoder has no dropout: it is distilled from a teacher, which does not overfit, and then frozen.
    """
    audio = Wav2Vec2Config(
        mel_bins=size.mel_bins,
        conv_dim=[size.audio_width, size.audio_width],
        conv_kernel=[3, 3],
        conv_stride=[1, 2],
        conv_bias=True,
        feat_extract_norm="layer",
        do_stable_layer_norm=True,
        hidden_size=size.audio_width,
        intermediate_size=4 * size.audio_width,
        num_hidden_layers=size.audio_layers,
        num_attention_heads=size.audio_width // 64,
        num_conv_pos_embeddings=31,
        num_conv_pos_embedding_groups=16,
        hidden_dropout=0.0,
        attention_dropout=0.0,
        activation_dropout=0.0,
        feat_proj_dropout=0.0,
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
            audio_mix="concat",
            audio_mix_layers=list(range(1, size.audio_layers + 1)),
            audio_mix_width=size.mix_width,
            pooling_heads=size.pooling_heads,
            classifier="linear",
            classifier_dropout=0.5,
        )
    except ValueError as error:
        raise SettingsError(f"student: {error}") from error
