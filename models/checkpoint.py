"""Checkpoint folders: resolved, loaded strictly and saved.

Every defect is a CheckpointError of one line. Missing weights are never filled in at random, and loading a
folder never accesses the network.
"""

from __future__ import annotations

import copy
import json
import logging
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
from safetensors import SafetensorError
from safetensors.torch import load_file
from tokenizers import Tokenizer
from transformers import Wav2Vec2FeatureExtractor, WhisperFeatureExtractor

from .config import EmotionConfig
from .device import cast_weights
from .emotion import EmotionModel
from .encoders.identity import SharedEncoder
from .encoders.onnx import GRAPH_FILE
from .encoders.shared import BACKBONE, fill_shared_encoder
from .errors import CheckpointError, one_line
from .types import SAMPLE_RATE_HZ

logger = logging.getLogger("emostream")

BUNDLED: Final = Path(__file__).resolve().parent / "bundled"
BUNDLED_WHISPER: Final = BUNDLED.with_name("bundled_whisper")
"""Where the encoder that it shares is at hand, better than BUNDLED, which needs nothing else."""
CONFIG_FILE: Final = "config.json"
WEIGHTS_FILE: Final = "model.safetensors"
TOKENIZER_FILE: Final = "tokenizer.json"
_HUB_NAME: Final = re.compile(r"\w[\w.-]*/\w[\w.-]*")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A model in eval mode in float32 on the CPU, its tokenizer, and the folder they came from."""

    model: EmotionModel
    tokenizer: Tokenizer
    folder: Path


def resolve_checkpoint(name: str | Path | None, whisper: Path | None = None) -> Path:
    """The folder of a checkpoint; None is a bundled one. An existing folder takes precedence over a hub name.

    whisper: see `load_checkpoint`. Raises CheckpointError.
    """
    if name is None:
        return _bundled(whisper)
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder
    if isinstance(name, Path) or not _HUB_NAME.fullmatch(name):
        raise CheckpointError(f"expected a checkpoint folder at {folder}, found none: check the path")
    try:
        return Path(snapshot_download(name))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        raise CheckpointError(
            f"expected a folder or a hub model called {name}: there is no such folder and the hub gave none "
            f"({type(error).__name__}); check the name or the network"
        ) from error


def _bundled(whisper: Path | None) -> Path:
    """The bundled checkpoint with a shared encoder, or the self-contained one where there is no encoder."""
    if not BUNDLED_WHISPER.is_dir():
        return BUNDLED
    shared = _shared_encoder(_read_config(BUNDLED_WHISPER))
    try:
        if shared is not None:
            shared.find(whisper)
    except CheckpointError as error:
        logger.info("Using the bundled emotion model that needs no other: %s", error)
        return BUNDLED
    return BUNDLED_WHISPER


def load_checkpoint(folder: Path, whisper: Path | None = None) -> Checkpoint:
    """Load a checkpoint folder.

    whisper: a faster-whisper folder in which a shared encoder is looked for first, before the local cache and
    packages. Raises CheckpointError for missing, damaged or foreign files.
    """
    config = _read_config(folder)
    try:
        model = EmotionModel(config)
    except CheckpointError as error:
        raise CheckpointError(f"{folder / CONFIG_FILE}: {error}") from error
    except (ValueError, TypeError, KeyError, AttributeError, RuntimeError, AssertionError) as error:
        raise CheckpointError(
            f"{folder / CONFIG_FILE}: expected sizes that build a model: {one_line(error)}"
        ) from error
    weights = _read_weights(folder, _stored(model))
    if (shared := _shared_encoder(config)) is not None:
        try:
            fill_shared_encoder(model.audio_encoder, shared.find(whisper))
        except CheckpointError as error:
            raise CheckpointError(f"{folder}: {error}") from error
        weights |= {name: tensor for name, tensor in model.state_dict().items() if name.startswith(BACKBONE)}
    model.load_state_dict(weights)
    check_max_tokens(model, str(folder / CONFIG_FILE))
    source = str(folder / TOKENIZER_FILE)
    tokenizer = tokenizer_without_padding(_read_tokenizer(folder), config.text_config.vocab_size, source)
    return Checkpoint(model.float().eval(), tokenizer, folder)


def check_max_tokens(model: EmotionModel, source: str) -> None:
    """Raises CheckpointError where `max_tokens` exceeds the text encoder's position embeddings."""
    limit, wanted = model.text_encoder.max_tokens, model.config.max_tokens
    if limit is not None and wanted > limit:
        raise CheckpointError(
            f"{source}: expected max_tokens of at most {limit}, which the text encoder can read, "
            f"got {wanted}: lower it"
        )


def tokenizer_without_padding(tokenizer: Tokenizer, vocabulary: int, source: str) -> Tokenizer:
    """The tokenizer with its own padding and truncation disabled: `collate` does both.

    Raises CheckpointError where it has token ids outside the text encoder's vocabulary.
    """
    needed = max(tokenizer.get_vocab().values(), default=-1) + 1
    if needed > vocabulary:
        raise CheckpointError(
            f"{source}: expected at most {vocabulary} tokens, got {needed}; the tokenizer belongs to another "
            "checkpoint"
        )
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def save_checkpoint(model: EmotionModel, tokenizer: Tokenizer, folder: Path) -> None:
    """Write float16 weights, configuration, tokenizer and feature extractor. The model is not modified.

    The weights of a shared encoder are not written. Where any weight exceeds float16, all weights stay
    float32; buffers always do. An ONNX graph that was exported from earlier weights is deleted.
    """
    folder.mkdir(parents=True, exist_ok=True)
    copied = EmotionModel(copy.deepcopy(model.config))
    copied.load_state_dict(model.state_dict())
    largest = max(float(weights.detach().abs().max()) for weights in copied.parameters())
    if largest <= torch.finfo(torch.float16).max:
        cast_weights(copied, torch.float16)
    copied.save_pretrained(folder)
    (folder / GRAPH_FILE).unlink(missing_ok=True)
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


def _read_config(folder: Path) -> EmotionConfig:
    fields = _read_json(folder / CONFIG_FILE)
    if fields.get("model_type") != EmotionConfig.model_type:
        raise CheckpointError(
            f"{folder / CONFIG_FILE}: expected model_type {EmotionConfig.model_type}, got "
            f"{fields.get('model_type')!r}; this is another program's model"
        )
    try:
        return EmotionConfig.from_dict(fields)  # type: ignore[no-any-return]
    except Exception as error:  # the library validates with exception types of its own, by version
        raise CheckpointError(
            f"{folder / CONFIG_FILE}: expected a valid configuration: {one_line(error)}"
        ) from error


def _read_json(file: Path) -> dict[str, Any]:
    try:
        fields = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise CheckpointError(f"expected {file}, found none: the checkpoint is incomplete") from error
    except (OSError, ValueError) as error:
        raise CheckpointError(f"expected JSON in {file}: {one_line(error)}") from error
    if not isinstance(fields, dict):
        raise CheckpointError(f"expected a JSON object in {file}, got {type(fields).__name__}")
    return fields


def _shared_encoder(config: EmotionConfig) -> SharedEncoder | None:
    return None if config.shared_encoder is None else SharedEncoder.from_fields(config.shared_encoder)


def _stored(model: EmotionModel) -> dict[str, torch.Tensor]:
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
        raise CheckpointError(f"expected {file}, found none: the checkpoint is incomplete") from error
    except (SafetensorError, OSError) as error:
        raise CheckpointError(
            f"expected {file} to be intact, but it is damaged ({one_line(error)}): fetch it again"
        ) from error
    if mismatched := sorted(wanted.keys() ^ weights.keys()):
        raise CheckpointError(
            f"{file}: expected the weights that config.json describes, {len(mismatched)} differ "
            f"({mismatched[0]}, ...); weights and config.json are of different models"
        )
    for name, tensor in weights.items():
        if tensor.shape != wanted[name].shape:
            raise CheckpointError(
                f"{file}: expected {name} of shape {tuple(wanted[name].shape)}, got {tuple(tensor.shape)}; "
                "weights and config.json are of different models"
            )
        if not bool(torch.isfinite(tensor).all()):
            raise CheckpointError(f"{file}: {name} holds values that are not finite: fetch or train it again")
    return weights


def _read_tokenizer(folder: Path) -> Tokenizer:
    file = folder / TOKENIZER_FILE
    if not file.is_file():
        raise CheckpointError(f"expected {file}, found none: the checkpoint is incomplete")
    try:
        return Tokenizer.from_file(str(file))
    except Exception as error:  # the tokenizers library raises bare Exception
        raise CheckpointError(
            f"expected {file} to be intact, but it is damaged ({one_line(error)}): fetch it again"
        ) from error
