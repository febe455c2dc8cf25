"""From waveform to frames and from tokens to vectors: `(input, mask) -> (features, mask)`.

Which network it is, the configuration says. A batch must not change a clip's result, whichever it is.
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


def make_audio_encoder(config: PretrainedConfig, *, unit_variance: bool = True) -> AudioEncoder:
    """An encoder with random weights. Raises CheckpointError for a configuration of another kind.

    unit_variance: whether it was trained on clips of zero mean and unit variance; Whisper never was.
    A wav2vec2 configuration with `mel_bins` is one whose convolutions run over a spectrogram.
    """
    if config.model_type not in AUDIO_ENCODERS:
        raise CheckpointError(
            f"expected an audio encoder out of {', '.join(AUDIO_ENCODERS)}, got {config.model_type}: "
            "name another audio model"
        )
    if config.model_type == "whisper":
        return WhisperAudioEncoder(config)
    if config.model_type == "wav2vec2" and getattr(config, "mel_bins", None):
        return MelWav2Vec2AudioEncoder(config, unit_variance=unit_variance)
    return Wav2Vec2AudioEncoder(config, unit_variance=unit_variance)


def make_text_encoder(config: PretrainedConfig) -> TextEncoder:
    """An encoder with random weights. Raises CheckpointError for a configuration of another kind."""
    return TextEncoder(config)


def freeze(encoder: Encoder, depth: FreezeDepth) -> None:
    """Take parts of an encoder out of training: no gradients, and no dropout even in train mode.

    depth: `none`; `front_end` (convolutions and projection, or the embeddings); a number N (the front end
    and the N lowest layers); `all` (everything but the mix of the layers). What is frozen stays frozen.
    Raises ValueError for anything else.
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
