"""Checkpoint folders: loaded strictly and saved.

Every defect is a CheckpointError of one line. Missing weights are never filled in at random, and loading a
folder never accesses the network.
"""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from tokenizers import Tokenizer
from transformers import Wav2Vec2FeatureExtractor, WhisperFeatureExtractor

from .checkpoint_files import (
    CONFIG_FILE,
    TOKENIZER_FILE,
    WEIGHTS_FILE,
    check_max_tokens,
    check_shapes,
    damaged_weights,
    invalid_config,
    missing_weights,
    not_finite,
    read_config_fields,
    read_tokenizer,
    shared_encoder,
)
from .config import EmotionConfig
from .device import cast_weights
from .emotion import EmotionModel
from .encoders.identity import BACKBONE
from .encoders.onnx import GRAPH_FILE
from .encoders.shared import fill_shared_encoder
from .errors import CheckpointError, one_line
from .graphs.files import GRAPH_FILES
from .library_output import silenced
from .types import SAMPLE_RATE_HZ


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A model in eval mode in float32 on the CPU, its tokenizer, and the folder they came from."""

    model: EmotionModel
    tokenizer: Tokenizer
    folder: Path


def load_checkpoint(folder: Path, whisper: Path | None = None) -> Checkpoint:
    """Load a checkpoint folder.

    whisper: a faster-whisper folder in which a shared encoder is looked for first, before the local cache and
    packages. Raises CheckpointError for missing, damaged or foreign files.
    """
    fields = read_config_fields(folder)
    config = _read_config(fields, folder)
    try:
        model = EmotionModel(config)
    except CheckpointError as error:
        raise CheckpointError(f"{folder / CONFIG_FILE}: {error}") from error
    except (ValueError, TypeError, KeyError, AttributeError, RuntimeError, AssertionError) as error:
        raise CheckpointError(
            f"{folder / CONFIG_FILE}: expected sizes that build a model: {one_line(error)}"
        ) from error
    weights = _read_weights(folder, stored_weights(model))
    if (shared := shared_encoder(fields, folder)) is not None:
        try:
            fill_shared_encoder(model.audio_encoder, shared.find(whisper))
        except CheckpointError as error:
            raise CheckpointError(f"{folder}: {error}") from error
        weights |= {name: tensor for name, tensor in model.state_dict().items() if name.startswith(BACKBONE)}
    model.load_state_dict(weights)
    check_max_tokens(config, model.text_encoder.max_tokens, str(folder / CONFIG_FILE))
    tokenizer = read_tokenizer(folder, config.text_config.vocab_size)
    return Checkpoint(model.float().eval(), tokenizer, folder)


def save_checkpoint(model: EmotionModel, tokenizer: Tokenizer, folder: Path) -> None:
    """Write float16 weights, configuration, tokenizer and feature extractor. The model is not modified.

    The weights of a shared encoder are not written. Where any weight exceeds float16, all weights stay
    float32; buffers always do. ONNX graphs that were exported from an earlier model are deleted.
    """
    folder.mkdir(parents=True, exist_ok=True)
    copied = EmotionModel(copy.deepcopy(model.config))
    copied.load_state_dict(model.state_dict())
    largest = max(float(weights.detach().abs().max()) for weights in copied.parameters())
    if largest <= torch.finfo(torch.float16).max:
        cast_weights(copied, torch.float16)
    with silenced():  # of a bar for the one file that there is
        copied.save_pretrained(folder)
    for graph in (GRAPH_FILE, *GRAPH_FILES):
        (folder / graph).unlink(missing_ok=True)
    (folder / WEIGHTS_FILE).chmod(0o644)  # the library makes it readable for its owner only
    tokenizer.save(str(folder / TOKENIZER_FILE), pretty=False)
    about = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": model.config.max_tokens}
    (folder / "tokenizer_config.json").write_text(json.dumps(about | _special(tokenizer), indent=2) + "\n")
    _feature_extractor(model.config).save_pretrained(folder)


def _special(tokenizer: Tokenizer) -> dict[str, str]:
    """The special tokens in the vocabulary, in BERT's or RoBERTa's spelling; naming an absent one adds it."""
    spellings = {
        "pad_token": ("[PAD]", "<pad>"),
        "unk_token": ("[UNK]", "<unk>"),
        "cls_token": ("[CLS]", "<s>"),
        "sep_token": ("[SEP]", "</s>"),
    }
    vocabulary = tokenizer.get_vocab()
    found = {role: next((s for s in names if s in vocabulary), None) for role, names in spellings.items()}
    return {role: spelling for role, spelling in found.items() if spelling is not None}


def _feature_extractor(config: EmotionConfig) -> Wav2Vec2FeatureExtractor | WhisperFeatureExtractor:
    """The configuration with which other programs prepare audio as `collate` does."""
    if config.audio_config.model_type == "whisper":
        return WhisperFeatureExtractor(feature_size=config.audio_config.num_mel_bins)
    return Wav2Vec2FeatureExtractor(
        sampling_rate=SAMPLE_RATE_HZ, do_normalize=config.audio_unit_variance, return_attention_mask=True
    )


def _read_config(fields: dict[str, Any], folder: Path) -> EmotionConfig:
    try:
        return EmotionConfig.from_dict(fields)  # type: ignore[no-any-return]
    except Exception as error:  # the library validates with exception types of its own, by version
        raise invalid_config(folder, error) from error


def stored_weights(model: EmotionModel) -> dict[str, torch.Tensor]:
    """The weights that a checkpoint of the model holds."""
    weights: dict[str, torch.Tensor] = model.state_dict()
    if model.config.shared_encoder is None:
        return weights
    return {name: tensor for name, tensor in weights.items() if not name.startswith(BACKBONE)}


def _read_weights(folder: Path, wanted: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The file's weights; names and shapes as in `wanted`."""
    file = folder / WEIGHTS_FILE
    try:
        weights: dict[str, torch.Tensor] = load_file(file)
    except FileNotFoundError as error:
        raise missing_weights(file) from error
    except (SafetensorError, OSError) as error:
        raise damaged_weights(file, error) from error
    check_shapes(
        file,
        {name: tuple(tensor.shape) for name, tensor in weights.items()},
        {name: tuple(tensor.shape) for name, tensor in wanted.items()},
    )
    for name, tensor in weights.items():
        if not bool(torch.isfinite(tensor).all()):
            raise not_finite(file, name)
    return weights
