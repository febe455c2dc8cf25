"""The files of a checkpoint folder: found and read without the model's framework.

Every defect is a CheckpointError of one line.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open
from tokenizers import Tokenizer

from .emotion_fields import EmotionFields
from .encoders.identity import SharedEncoder
from .errors import CheckpointError, one_line

logger = logging.getLogger("emostream")

BUNDLED: Final = Path(__file__).resolve().parent / "bundled"
BUNDLED_WHISPER: Final = BUNDLED.with_name("bundled_whisper")
"""Where the encoder that it shares is at hand, better than BUNDLED, which needs nothing else."""
CONFIG_FILE: Final = "config.json"
WEIGHTS_FILE: Final = "model.safetensors"
TOKENIZER_FILE: Final = "tokenizer.json"
MODEL_TYPE: Final = "emostream"
_HUB_NAME: Final = re.compile(r"\w[\w.-]*/\w[\w.-]*")

Shapes = Mapping[str, Sequence[int]]


def resolve_checkpoint(name: str | Path | None, whisper: Path | None = None) -> Path:
    """The folder of a checkpoint; None is a bundled one. An existing folder takes precedence over a hub name.

    whisper: see `checkpoint.load_checkpoint`. Raises CheckpointError.
    """
    if name is None:
        return _bundled(whisper)
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder
    if isinstance(name, Path) or not _HUB_NAME.fullmatch(name):
        raise CheckpointError(f"expected a checkpoint folder at {folder}, found none: check the path")
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

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
    shared = shared_encoder(read_config_fields(BUNDLED_WHISPER), BUNDLED_WHISPER)
    try:
        if shared is not None:
            shared.find(whisper)
    except CheckpointError as error:
        logger.info("Using the bundled emotion model that needs no other: %s", error)
        return BUNDLED
    return BUNDLED_WHISPER


def read_config_fields(folder: Path) -> dict[str, Any]:
    """Of an emotion model's configuration file, not validated yet. Raises CheckpointError."""
    fields = _read_json(folder / CONFIG_FILE)
    if fields.get("model_type") != MODEL_TYPE:
        raise CheckpointError(
            f"{folder / CONFIG_FILE}: expected model_type {MODEL_TYPE}, got "
            f"{fields.get('model_type')!r}; this is another program's model"
        )
    return fields


def invalid_config(folder: Path, error: Exception) -> CheckpointError:
    return CheckpointError(f"{folder / CONFIG_FILE}: expected a valid configuration: {one_line(error)}")


def shared_encoder(fields: Mapping[str, Any], folder: Path) -> SharedEncoder | None:
    """None where the checkpoint holds its own encoder. Raises CheckpointError."""
    named = fields.get("shared_encoder")
    try:
        return None if named is None else SharedEncoder.from_fields(named)
    except ValueError as error:
        raise invalid_config(folder, error) from error


def check_max_tokens(config: EmotionFields, limit: int | None, source: str) -> None:
    """limit: the text encoder's position embeddings; None where it has none. Raises CheckpointError where
    `max_tokens` exceeds it.
    """
    if limit is not None and config.max_tokens > limit:
        raise CheckpointError(
            f"{source}: expected max_tokens of at most {limit}, which the text encoder can read, "
            f"got {config.max_tokens}: lower it"
        )


def read_tokenizer(folder: Path, vocabulary: int) -> Tokenizer:
    """With its own padding and truncation disabled: `collate` does both. Raises CheckpointError.

    vocabulary: the text encoder's.
    """
    file = folder / TOKENIZER_FILE
    if not file.is_file():
        raise CheckpointError(f"expected {file}, found none: the checkpoint is incomplete")
    try:
        tokenizer = Tokenizer.from_file(str(file))
    except Exception as error:  # the tokenizers library raises bare Exception
        raise CheckpointError(
            f"expected {file} to be intact, but it is damaged ({one_line(error)}): fetch it again"
        ) from error
    return tokenizer_without_padding(tokenizer, vocabulary, str(file))


def tokenizer_without_padding(tokenizer: Tokenizer, vocabulary: int, source: str) -> Tokenizer:
    """Raises CheckpointError where it has token ids outside the text encoder's vocabulary."""
    needed = max(tokenizer.get_vocab().values(), default=-1) + 1
    if needed > vocabulary:
        raise CheckpointError(
            f"{source}: expected at most {vocabulary} tokens, got {needed}; the tokenizer belongs to another "
            "checkpoint"
        )
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def read_weights(folder: Path, wanted: Shapes) -> dict[str, npt.NDArray[np.float32]]:
    """The file's weights, which have the names and shapes of `wanted`, in float32. Raises CheckpointError."""
    file = folder / WEIGHTS_FILE
    try:
        with safe_open(file, "np") as opened:
            names: list[str] = opened.keys()
            check_shapes(file, {name: opened.get_slice(name).get_shape() for name in names}, wanted)
            weights = {name: opened.get_tensor(name).astype(np.float32, copy=False) for name in wanted}
    except FileNotFoundError as error:
        raise missing_weights(file) from error
    except (SafetensorError, OSError) as error:
        raise damaged_weights(file, error) from error
    except TypeError as error:  # numpy has no such type
        raise CheckpointError(
            f"{file}: expected weights in float16 or float32 ({one_line(error)}): convert them"
        ) from error
    for name, values in weights.items():
        if not bool(np.isfinite(values).all()):
            raise not_finite(file, name)
    return weights


def check_shapes(file: Path, found: Shapes, wanted: Shapes) -> None:
    """Raises CheckpointError where a file's weights have other names or shapes than the model's."""
    if mismatched := sorted(wanted.keys() ^ found.keys()):
        raise CheckpointError(
            f"{file}: expected the weights that config.json describes, {len(mismatched)} differ "
            f"({mismatched[0]}, ...); weights and config.json are of different models"
        )
    for name, shape in found.items():
        if tuple(shape) != tuple(wanted[name]):
            raise CheckpointError(
                f"{file}: expected {name} of shape {tuple(wanted[name])}, got {tuple(shape)}; "
                "weights and config.json are of different models"
            )


def missing_weights(file: Path) -> CheckpointError:
    return CheckpointError(f"expected {file}, found none: the checkpoint is incomplete")


def damaged_weights(file: Path, error: Exception) -> CheckpointError:
    return CheckpointError(
        f"expected {file} to be intact, but it is damaged ({one_line(error)}): fetch it again"
    )


def not_finite(file: Path, name: str) -> CheckpointError:
    return CheckpointError(f"{file}: {name} holds values that are not finite: fetch or train it again")


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
