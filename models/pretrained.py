"""A new, trainable emotion model around pretrained encoders from the model hub or local folders."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import torch
from huggingface_hub import hf_hub_download
from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError
from tokenizers import Tokenizer
from transformers import AutoConfig, AutoTokenizer, PretrainedConfig, WhisperModel

from .checkpoint_files import CONFIG_FILE, check_max_tokens, tokenizer_without_padding
from .config import EmotionConfig
from .emotion import EmotionModel
from .emotion_fields import FIELD_NAMES
from .encoders.base import AudioEncoder
from .encoders.factory import make_audio_encoder
from .encoders.text import without_pooler
from .errors import CheckpointError
from .library_output import silenced
from .transcription.hub import first_line

PREPROCESSOR_FILE: Final = "preprocessor_config.json"

_FILES: Final = "check the name, the files and the network"
_SETTINGS: Final = "change the settings, or the encoder"


def assemble(audio: str | Path, text: str | Path, **config: Any) -> tuple[EmotionModel, Tokenizer]:
    """An emotion model with pretrained encoders; pooling, fusion and heads have random weights.

    audio: wav2vec 2.0, HuBERT, WavLM or Whisper (the full model or its encoder). text: BERT or a relative,
    with its tokenizer. Heads of other tasks in these checkpoints are ignored. config: fields of
    EmotionConfig; by default `audio_unit_variance` is as in the audio checkpoint and `max_tokens` at most the
    text encoder's position embeddings. Raises CheckpointError, also where a weight of an encoder would stay
    random.
    """
    audio_source, text_source = _source(audio), _source(text)
    audio_config, text_config = read_encoder_config(audio_source), read_encoder_config(text_source)
    if "audio_unit_variance" not in config:
        config["audio_unit_variance"] = _unit_variance(audio_source, audio_config.model_type)
    _reject_unknown(config)
    wanted = "settings and configurations that build a network"
    with _reading(f"{audio_source}, {text_source}", wanted, _SETTINGS):
        model = EmotionModel(EmotionConfig(audio_config=audio_config, text_config=text_config, **config))
    if "max_tokens" not in config and model.text_encoder.max_tokens is not None:
        model.config.max_tokens = min(model.config.max_tokens, model.text_encoder.max_tokens)
    check_max_tokens(model.config, model.text_encoder.max_tokens, text_source)
    _load(audio_source, model.audio_encoder.backbone)
    _load(text_source, model.text_encoder.backbone)
    return model, _read_tokenizer(text_source, model.text_encoder.backbone.config.vocab_size)


def pretrained_audio_encoder(audio: str | Path) -> AudioEncoder:
    """The encoder only, in eval mode, with uniform mix weights. audio, errors: as in `assemble`."""
    source = _source(audio)
    config = read_encoder_config(source)
    with _reading(source, "a configuration that builds a network"):
        encoder = make_audio_encoder(config, unit_variance=_unit_variance(source, config.model_type))
    _load(source, encoder.backbone)
    return encoder.eval()


def _source(name: str | Path) -> str:
    """A folder or hub name; an existing folder takes precedence."""
    folder = Path(name).expanduser()
    return str(folder if folder.is_dir() else name)


def read_encoder_config(source: str) -> PretrainedConfig:
    """Of a folder or a hub model. Raises CheckpointError."""
    file = Path(source) / CONFIG_FILE
    if file.parent.is_dir() and not file.is_file():  # otherwise transformers 4 guesses from the folder's name
        raise CheckpointError(f"expected {file}, found none: the checkpoint is incomplete")
    with _reading(source, "a folder or a hub model with a configuration"):
        return AutoConfig.from_pretrained(source, trust_remote_code=False)


def _unit_variance(source: str, model_type: str) -> bool:
    """The checkpoint's normalisation setting; where it has none, wav2vec 2.0's default."""
    if model_type == "whisper":
        return False
    with _reading(source, f"a readable {PREPROCESSOR_FILE}"):
        file = _preprocessor_file(source)
        return file is None or bool(json.loads(file.read_text(encoding="utf-8")).get("do_normalize", True))


def _preprocessor_file(source: str) -> Path | None:
    if Path(source).is_dir():
        file = Path(source) / PREPROCESSOR_FILE
        return file if file.is_file() else None
    try:
        return Path(hf_hub_download(source, PREPROCESSOR_FILE))
    except LocalEntryNotFoundError:  # the hub is unreachable, which does not mean that the file is missing
        raise
    except EntryNotFoundError:
        return None


def _reject_unknown(config: dict[str, Any]) -> None:
    """Reject unknown fields: transformers accepts any, so that a typo would go unnoticed."""
    if unknown := sorted(set(config) - set(FIELD_NAMES)):
        raise CheckpointError(
            f"expected fields of EmotionConfig, got {', '.join(unknown)}: choose from "
            f"{', '.join(sorted(FIELD_NAMES))}"
        )


def _load(source: str, backbone: Any) -> None:
    """Load the weights of `source` into `backbone`; none may be missing."""
    network, prefix = type(backbone), ""
    if backbone.config.model_type == "whisper" and backbone.config.architectures != ["WhisperEncoder"]:
        network, prefix = WhisperModel, "encoder."
    with _reading(source, "intact weights of the network that its config.json describes"), silenced():
        loaded, report = network.from_pretrained(
            source,
            config=backbone.config,
            output_loading_info=True,
            **without_pooler(network),
        )
    if missing := sorted(name for name in report["missing_keys"] if name.startswith(prefix)):
        raise CheckpointError(
            f"{source}: expected weights for the whole encoder, {len(missing)} are missing ({missing[0]}, "
            "...); weights and config.json are of different models"
        )
    weights = (loaded.encoder if prefix else loaded).state_dict()
    # A Whisper encoder without its upper layers lacks their weights.
    weights = {name: weights[name] for name in backbone.state_dict()}
    if invalid := [name for name, tensor in weights.items() if not bool(torch.isfinite(tensor).all())]:
        raise CheckpointError(f"{source}: {invalid[0]} holds values that are not finite: fetch it again")
    backbone.load_state_dict(weights)


def _read_tokenizer(source: str, vocabulary: int) -> Tokenizer:
    with _reading(source, "a tokenizer"):
        loaded = AutoTokenizer.from_pretrained(source, use_fast=True, trust_remote_code=False)
    if not loaded.is_fast:
        raise CheckpointError(
            f"{source}: expected a tokenizer that the tokenizers library runs, got {type(loaded).__name__}: "
            "save it with a tokenizer.json"
        )
    # Without a file, some versions create a tokenizer of special tokens only.
    if len(loaded) <= len(loaded.all_special_ids):
        raise CheckpointError(f"{source}: expected a tokenizer with words, found none: add tokenizer.json")
    return tokenizer_without_padding(loaded.backend_tokenizer, vocabulary, source)


@contextmanager
def _reading(source: str, wanted: str, advice: str = _FILES) -> Iterator[None]:
    try:
        yield
    except CheckpointError:
        raise
    except Exception as error:  # each library, file format and version has its own exception types
        raise CheckpointError(
            f"{source}: expected {wanted}: {first_line(error)} ({type(error).__name__}); {advice}"
        ) from error
