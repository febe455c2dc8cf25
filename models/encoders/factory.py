"""Construction of encoders from their configuration, and freezing of their parts.

Every encoder maps `(input, mask) -> (features, mask)`. A clip's result must not depend on its batch.
"""

from __future__ import annotations

from typing import Final, Literal

from transformers import PretrainedConfig

from ..errors import CheckpointError
from .base import AudioEncoder, Encoder
from .text import TextEncoder
from .wav2vec2 import MelWav2Vec2AudioEncoder, Wav2Vec2AudioEncoder
from .whisper import WhisperAudioEncoder

AUDIO_ENCODERS: Final = ("wav2vec2", "hubert", "wavlm", "whisper")

FreezeDepth = Literal["none", "front_end", "all"] | int


def make_audio_encoder(
    config: PretrainedConfig, *, unit_variance: bool = True, level: float | None = None
) -> AudioEncoder:
    """An audio encoder with random weights. Raises CheckpointError for an unsupported model type.

    unit_variance: whether it was trained on clips of zero mean and unit variance; Whisper never was. level:
    see `WaveformSpec`; of Whisper's only. With `mel_bins` in a wav2vec2 configuration, the convolutions run
    over a spectrogram.
    """
    if config.model_type not in AUDIO_ENCODERS:
        raise CheckpointError(
            f"expected an audio encoder out of {', '.join(AUDIO_ENCODERS)}, got {config.model_type}: "
            "name another audio model"
        )
    if config.model_type == "whisper":
        return WhisperAudioEncoder(config, level)
    if config.model_type == "wav2vec2" and getattr(config, "mel_bins", None):
        return MelWav2Vec2AudioEncoder(config, unit_variance=unit_variance)
    return Wav2Vec2AudioEncoder(config, unit_variance=unit_variance)


def make_text_encoder(config: PretrainedConfig) -> TextEncoder:
    """A text encoder with random weights. Raises CheckpointError for an unsupported model type."""
    return TextEncoder(config)


def freeze(encoder: Encoder, depth: FreezeDepth) -> None:
    """Exclude parts of an encoder from training: no gradients, and no dropout even in train mode.

    depth: `none`; `front_end` (convolutions and projection, or the embeddings); a number N (the front end
    and the N lowest layers); `all` (everything except the layer mix). Frozen parts stay frozen.
    Raises ValueError for any other depth.
    """
    if depth == "all":
        encoder.freeze_modules([encoder.backbone])
        return
    stages = encoder.stages()
    count = _stage_count(depth, layers=len(stages) - 1)
    encoder.freeze_modules([module for stage in stages[:count] for module in stage])


def _stage_count(depth: object, layers: int) -> int:
    if depth == "none":
        return 0
    if depth == "front_end":
        return 1
    if isinstance(depth, int) and not isinstance(depth, bool) and 0 <= depth <= layers:
        return depth + 1
    raise ValueError(
        f"expected a freeze depth out of none, front_end, 0 to {layers}, all, got {depth!r}: choose one"
    )
