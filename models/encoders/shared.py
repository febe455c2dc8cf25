"""The weights of an encoder that an emotion model shares with the transcriber.

The checkpoint stores no weights of it: they are those of a Whisper model in CTranslate2's format, which is
there anyway for the words.
"""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import WhisperConfig

from ..errors import CheckpointError
from ..transcription.whisper_folders import MODEL_FILE
from .base import AudioEncoder
from .ctranslate2_weights import check_shared_shapes, encoder_sizes, encoder_state, read_encoder
from .whisper import WhisperAudioEncoder


def shared_config(folder: Path) -> WhisperConfig:
    """The `audio_config` of a model that shares the encoder in a faster-whisper folder. Raises
    CheckpointError."""
    file = folder / MODEL_FILE
    return WhisperConfig(**encoder_sizes(read_encoder(file), file))


def fill_shared_encoder(encoder: AudioEncoder, folder: Path) -> None:
    """Load the weights of a faster-whisper folder into the layers that `encoder` has.

    Raises CheckpointError for another kind or size of encoder.
    """
    file = folder / MODEL_FILE
    if not isinstance(encoder, WhisperAudioEncoder):
        raise CheckpointError(
            f"expected an audio encoder of the kind whisper to share that of {file}, got "
            f"{encoder.backbone.config.model_type}: change audio_config"
        )
    found = encoder_state(read_encoder(file), encoder.depth, normalized=encoder.normalized, file=file)
    state = {name: torch.from_numpy(values) for name, values in found.items()}
    wanted: dict[str, torch.Tensor] = encoder.backbone.state_dict()
    check_shared_shapes(
        file,
        {name: tensor.shape for name, tensor in state.items()},
        {name: tensor.shape for name, tensor in wanted.items()},
    )
    encoder.backbone.load_state_dict(state)
