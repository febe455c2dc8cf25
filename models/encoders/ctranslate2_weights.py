"""Whisper's encoder weights out of CTranslate2's `model.bin`.

The file (ctranslate2/specs/model_spec.py writes it, little-endian): u32 version, name, u32 revision, u32
count; each variable: name, u8 rank, u32 dimensions, u8 type, u32 bytes, data; then u32 count of aliases, each
two names. A name is a u16 length and as many bytes, the last of them zero.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ..errors import CheckpointError

_PREFIX: Final = "encoder/"
_VERSION: Final = 6
_NAME: Final = "WhisperSpec"
_TYPES: Final = {0: "float32", 1: "int8", 2: "int16", 3: "int32", 4: "float16", 5: "bfloat16"}
_ITEM_BYTES: Final = {0: 4, 1: 1, 2: 2, 3: 4, 4: 2, 5: 2}
_FLOATS: Final = ("float32", "float16")

Variables = Mapping[str, "np.ndarray[Any, Any]"]
Weights = npt.NDArray[np.float32]
Shapes = Mapping[str, Sequence[int]]


def read_encoder(file: Path) -> Variables:
    """The variables under `encoder/`, without that prefix, as read-only views of the mapped file.

    Raises CheckpointError for a file that is missing, damaged, of another kind or quantised.
    """
    try:
        with file.open("rb") as opened:
            data = mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ)
    except FileNotFoundError as error:
        raise CheckpointError(f"expected {file}, found none: install or download the model again") from error
    except (OSError, ValueError) as error:  # ValueError: an empty file
        raise CheckpointError(f"expected a CTranslate2 model in {file}: {error}") from error
    try:
        return _Reader(data, file).encoder()
    except (struct.error, UnicodeDecodeError) as error:
        raise _damaged(file, "it ends early") from error


def encoder_sizes(variables: Variables, file: Path) -> dict[str, int]:
    """The sizes that the variables of `read_encoder` have, by the names of `WhisperConfig`. Raises
    CheckpointError.
    """
    try:
        width, bins, _ = variables["conv1/weight"].shape
        positions, _ = variables["position_encodings/encodings"].shape
        inner, _ = variables["layer_0/ffn/linear_0/weight"].shape
        heads = int(variables["num_heads"])
    except (KeyError, ValueError, TypeError) as error:
        raise _damaged(file, f"it is no Whisper encoder: {error}") from error
    layers = sum(name.endswith("/self_attention/linear_0/weight") for name in variables)
    return {
        "num_mel_bins": bins,
        "d_model": width,
        "encoder_layers": layers,
        "encoder_attention_heads": heads,
        "encoder_ffn_dim": inner,
        "max_source_positions": positions,
    }


def encoder_state(variables: Variables, layers: int, *, normalized: bool, file: Path) -> dict[str, Weights]:
    """float32 weights of the first `layers` layers, by the names of transformers' `WhisperEncoder`.

    normalized: with the layer norm that follows the last layer. Raises CheckpointError where a variable is
    missing or holds values that are not finite.
    """
    names = {
        "conv1.weight": "conv1/weight",
        "conv1.bias": "conv1/bias",
        "conv2.weight": "conv2/weight",
        "conv2.bias": "conv2/bias",
        "embed_positions.weight": "position_encodings/encodings",
    }
    if normalized:
        names |= _norm("layer_norm", "layer_norm")
    for layer in range(layers):
        ours, theirs = f"layers.{layer}", f"layer_{layer}"
        names |= _norm(f"{ours}.self_attn_layer_norm", f"{theirs}/self_attention/layer_norm")
        names |= _linear(f"{ours}.self_attn.out_proj", f"{theirs}/self_attention/linear_1")
        names |= _norm(f"{ours}.final_layer_norm", f"{theirs}/ffn/layer_norm")
        names |= _linear(f"{ours}.fc1", f"{theirs}/ffn/linear_0")
        names |= _linear(f"{ours}.fc2", f"{theirs}/ffn/linear_1")
    state = {ours: _weights(variables, theirs, file) for ours, theirs in names.items()}
    for layer in range(layers):
        stacked = f"layer_{layer}/self_attention/linear_0"
        query, key, value = _thirds(variables, f"{stacked}/weight", file)
        query_bias, _, value_bias = _thirds(variables, f"{stacked}/bias", file)
        attention = f"layers.{layer}.self_attn"
        # Whisper has no bias of the keys: it would add the same to every score of a query.
        state |= {f"{attention}.q_proj.weight": query, f"{attention}.q_proj.bias": query_bias}
        state |= {f"{attention}.v_proj.weight": value, f"{attention}.v_proj.bias": value_bias}
        state[f"{attention}.k_proj.weight"] = key
    return state


def check_shared_shapes(file: Path, found: Shapes, wanted: Shapes) -> None:
    """Raises CheckpointError where a weight that the model's encoder has is missing or of another shape."""
    for name, shape in wanted.items():
        if name not in found or tuple(found[name]) != tuple(shape):
            got = tuple(found[name]) if name in found else "none"
            raise CheckpointError(
                f"{file}: expected {name} of shape {tuple(shape)}, got {got}; the checkpoint's "
                "audio_config is of another model"
            )


class _Reader:
    """One pass over the headers; the data of the variables is not touched."""

    def __init__(self, data: mmap.mmap, file: Path) -> None:
        self._data = data
        self._file = file
        self._at = 0

    def encoder(self) -> Variables:
        self._check_kind()
        (count,) = self._unpack("I")
        headers = dict(self._header() for _ in range(count))
        (aliases,) = self._unpack("I")
        for _ in range(aliases):  # equal variables, such as biases of zeros, are stored once
            alias, name = self._name(), self._name()
            if name not in headers:
                raise _damaged(self._file, f"{alias} stands for {name}, which it lacks")
            headers[alias] = headers[name]
        if self._at != len(self._data):
            raise _damaged(self._file, f"{self._at} bytes are described, it has {len(self._data)}")
        return {
            name.removeprefix(_PREFIX): self._view(name, *header)
            for name, header in headers.items()
            if name.startswith(_PREFIX)
        }

    def _check_kind(self) -> None:
        (version,) = self._unpack("I")
        if version != _VERSION:
            raise CheckpointError(
                f"{self._file}: expected a CTranslate2 model of version {_VERSION}, got {version}: convert "
                "the model with CTranslate2 4"
            )
        name = self._name()
        if name != _NAME:
            raise CheckpointError(f"{self._file}: expected a Whisper model, got {name}: name another folder")
        self._unpack("I")  # the revision: later ones add variables, and missing ones are noticed by name

    def _header(self) -> tuple[str, tuple[tuple[int, ...], int, int]]:
        """Name, and (shape, type, offset of the data), of the next variable, which is skipped."""
        name = self._name()
        (rank,) = self._unpack("B")
        shape = self._unpack(f"{rank}I")
        kind, length = self._unpack("BI")
        start = self._at
        self._at += length
        if kind not in _TYPES or self._at > len(self._data):
            raise _damaged(self._file, f"{name} is not whole")
        if length != _ITEM_BYTES[kind] * int(np.prod(shape, dtype=np.int64)):
            raise _damaged(self._file, f"{name} of shape {shape} has {length} bytes")
        return name, (shape, kind, start)

    def _view(self, name: str, shape: tuple[int, ...], kind: int, start: int) -> np.ndarray[Any, Any]:
        if shape and _TYPES[kind] not in _FLOATS:
            raise CheckpointError(
                f"{self._file}: expected {name} in float32 or float16, got {_TYPES[kind]}: convert the "
                "model without quantization"
            )
        item = np.dtype(_TYPES[kind]).newbyteorder("<")
        count = int(np.prod(shape, dtype=np.int64))
        return np.frombuffer(self._data, item, count, start).reshape(shape)

    def _name(self) -> str:
        (length,) = self._unpack("H")
        (name,) = self._unpack(f"{length}s")
        text: str = name.rstrip(b"\0").decode("ascii")
        return text

    def _unpack(self, layout: str) -> tuple[Any, ...]:
        values = struct.unpack_from(f"<{layout}", self._data, self._at)
        self._at += struct.calcsize(f"<{layout}")
        return values


def _norm(ours: str, theirs: str) -> dict[str, str]:
    return {f"{ours}.weight": f"{theirs}/gamma", f"{ours}.bias": f"{theirs}/beta"}


def _linear(ours: str, theirs: str) -> dict[str, str]:
    return {f"{ours}.{part}": f"{theirs}/{part}" for part in ("weight", "bias")}


def _thirds(variables: Variables, name: str, file: Path) -> list[Weights]:
    """Query, key and value of a stacked variable."""
    return np.split(_weights(variables, name, file), 3)


def _weights(variables: Variables, name: str, file: Path) -> Weights:
    if name not in variables:
        raise _damaged(file, f"it lacks encoder/{name}")
    values = variables[name].astype(np.float32)
    if not bool(np.isfinite(values).all()):
        raise _damaged(file, f"encoder/{name} holds values that are not finite")
    return values


def _damaged(file: Path, reason: str) -> CheckpointError:
    return CheckpointError(
        f"expected {file} to be intact, but it is damaged ({reason}): install or download the model again"
    )
