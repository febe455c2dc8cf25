"""`python -m emostream.training export`"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from emostream.models import CheckpointError
from emostream.models.checkpoint import load_checkpoint
from emostream.models.encoders.onnx import GRAPH_FILE, export_graph


def export(
    checkpoint: Annotated[Path, typer.Option("--checkpoint", help="Checkpoint folder.", show_default=False)],
) -> None:
    """Write the audio encoder's ONNX graph beside its weights: faster on a CPU."""
    write_encoder_graph(checkpoint)


def write_encoder_graph(folder: Path, whisper: Path | None = None) -> None:
    """whisper: a faster-whisper folder in which a shared encoder is looked for first.

    Raises CheckpointError if the packages that write it are not installed.
    """
    if find_spec("onnx") is None or find_spec("onnxscript") is None:
        raise CheckpointError(
            f"expected the packages onnx and onnxscript to write {folder / GRAPH_FILE}, found none: "
            "pip install 'emostream[train]'"
        )
    model = load_checkpoint(folder, whisper).model
    export_graph(model.audio_encoder, folder / GRAPH_FILE, voice=model.config.baseline is not None)
