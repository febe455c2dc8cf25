"""`python -m emostream.training export`"""

from __future__ import annotations

import logging
import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from emostream.models import CheckpointError


def export(
    checkpoint: Annotated[Path, typer.Option("--checkpoint", help="Checkpoint folder.", show_default=False)],
) -> None:
    """Write ONNX graphs beside the weights, with which a model runs faster on a CPU.

    Of the whole network where it can be, which then runs without torch, or of the audio encoder alone.
    """
    write_graphs(checkpoint)


def write_graphs(folder: Path, whisper: Path | None = None) -> None:
    """whisper: a faster-whisper folder in which a shared encoder is looked for first.

    Raises CheckpointError if the packages that write it are not installed.
    """
    from emostream.models.checkpoint import load_checkpoint
    from emostream.models.encoders.onnx import GRAPH_FILE, export_graph
    from emostream.models.graphs.export import export_network, is_exportable
    from emostream.models.graphs.files import GRAPH_FILES

    if find_spec("onnx") is None or find_spec("onnxscript") is None:
        raise CheckpointError(
            f"expected the packages onnx and onnxscript to write graphs to {folder}, found none: "
            "pip install 'emostream[train]'"
        )
    # The exporter lists the operators of torchvision, which no model here has.
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    model = load_checkpoint(folder, whisper).model
    for name in (GRAPH_FILE, *GRAPH_FILES):
        (folder / name).unlink(missing_ok=True)
    with warnings.catch_warnings():
        # The exporter's, about its own insides.
        warnings.filterwarnings("ignore", category=FutureWarning, module="copyreg")
        warnings.filterwarnings("ignore", category=UserWarning, module=r"torch\.onnx")
        if is_exportable(model):
            export_network(model, folder)
        else:
            export_graph(model.audio_encoder, folder / GRAPH_FILE, voice=model.config.baseline is not None)
