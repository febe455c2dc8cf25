"""The graphs beside a checkpoint's weights, and the file that describes them.

A graph holds no weights: they are read from `model.safetensors` (and, of a shared encoder, from the Whisper
model) and passed to ONNX Runtime by name. So that no graph runs with the weights of another network, the
description names them with their shapes, and the fields of `config.json` that make the network.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from ..errors import CheckpointError, one_line

AUDIO_GRAPH: Final = "audio_branch.onnx"
"""Spectrograms to features (and, with baselines, mean states)."""
FUSION_GRAPH: Final = "text_and_fusion.onnx"
"""Features and tokens to the logits of the heads."""
DESCRIPTION_FILE: Final = "graphs.json"
GRAPH_FILES: Final = (AUDIO_GRAPH, FUSION_GRAPH, DESCRIPTION_FILE)

_VERSION: Final = 1
_NETWORK_FIELDS: Final = (
    "audio_config",
    "text_config",
    "width",
    "layers",
    "heads",
    "feed_forward",
    "audio_mix",
    "audio_mix_layers",
    "audio_mix_width",
    "pooling_heads",
    "classifier",
    "granularities",
    "span_pooling",
    "fusion",
)


@dataclass(frozen=True, slots=True)
class Graph:
    """sha256: of the file. weights: the names of those that it needs, in order."""

    sha256: str
    weights: list[str]


@dataclass(frozen=True, slots=True)
class Description:
    """network: `network_digest` of the configuration. stored: the weights that the checkpoint holds; shared:
    those of the shared encoder, without `identity.BACKBONE`; name to shape. parameters: of the whole model;
    encoder_parameters: of the two encoders.
    """

    network: str
    stored: dict[str, list[int]]
    shared: dict[str, list[int]]
    parameters: int
    encoder_parameters: int
    audio: Graph
    fusion: Graph

    def write(self, folder: Path) -> None:
        text = json.dumps({"version": _VERSION} | asdict(self), separators=(",", ":"))
        (folder / DESCRIPTION_FILE).write_text(text + "\n", encoding="utf-8")


def has_graphs(folder: Path) -> bool:
    return (folder / DESCRIPTION_FILE).is_file()


def read_description(folder: Path, fields: Mapping[str, Any]) -> Description:
    """fields: of the checkpoint's `config.json`. Raises CheckpointError where the graphs are of another
    network, or the file is damaged.
    """
    file = folder / DESCRIPTION_FILE
    try:
        read = json.loads(file.read_text(encoding="utf-8"))
        if read.pop("version") != _VERSION:
            raise ValueError("it has another version")
        found = Description(**(read | {name: Graph(**read[name]) for name in ("audio", "fusion")}))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise unusable(file, one_line(error)) from error
    if found.network != network_digest(fields):
        raise unusable(file, "config.json describes another")
    return found


def read_graph(file: Path, graph: Graph) -> bytes:
    """Raises CheckpointError where the file is missing or another one than was exported."""
    try:
        data = file.read_bytes()
    except OSError as error:
        raise unusable(file, error.strerror or str(error)) from error
    if hashlib.sha256(data).hexdigest() != graph.sha256:
        raise unusable(file, "the file is damaged or of another export")
    return data


def unusable(file: Path, reason: str) -> CheckpointError:
    return CheckpointError(
        f"{file}: expected a graph of this checkpoint's network ({reason}): export it again, or remove "
        f"{DESCRIPTION_FILE}"
    )


def network_digest(fields: Mapping[str, Any]) -> str:
    """SHA-256 of those fields of `config.json` that make the network, not of calibration or thresholds."""
    chosen = {name: fields.get(name) for name in _NETWORK_FIELDS}
    chosen |= {"labels": len(fields.get("label_names") or ()), "baseline": fields.get("baseline") is not None}
    return hashlib.sha256(json.dumps(chosen, sort_keys=True).encode()).hexdigest()
