"""The audio encoder as an ONNX graph: the same features, with the checkpoint's own weights."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from emostream.models import CheckpointError
from emostream.models.checkpoint import load_checkpoint, save_checkpoint
from emostream.models.checkpoint_files import BUNDLED
from emostream.models.encoders.export_module import make_exportable
from emostream.models.encoders.onnx import GRAPH_FILE, export_graph
from emostream.models.graphs.files import GRAPH_FILES
from tests.support.tiny_emotion import noise
from tests.support.tiny_encoders import batch_of, tiny_audio_encoder


def test_unsupported_encoders_are_rejected(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="wav2vec2, hubert, whisper to export, got wavlm"):
        export_graph(tiny_audio_encoder("wavlm"), tmp_path / GRAPH_FILE)


@pytest.mark.parametrize("layers", [None, [1, 2]])
@pytest.mark.parametrize("samples", [1_600, 21_321])
def test_whisper_without_padding_has_the_features_of_the_encoder(
    layers: list[int] | None, samples: int
) -> None:
    encoder = tiny_audio_encoder("whisper")
    if layers is not None:
        encoder.concatenate(layers, width=8, dropout=0.0)
    batch = batch_of(encoder.eval(), [noise(samples)])
    with torch.no_grad():
        exported, (features, _) = (
            make_exportable(encoder)(batch.samples)[0],
            encoder(batch.samples, batch.mask),
        )
    torch.testing.assert_close(exported, features, atol=1e-4, rtol=1e-4)


def test_saving_new_weights_removes_the_old_graphs(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(BUNDLED, tmp_path / "copy"))
    (folder / GRAPH_FILE).write_bytes(b"of the audio encoder alone")
    checkpoint = load_checkpoint(folder)
    save_checkpoint(checkpoint.model, checkpoint.tokenizer, folder)
    assert not any((folder / name).exists() for name in (GRAPH_FILE, *GRAPH_FILES))
