"""The audio encoder as an ONNX graph: the same features, with the checkpoint's own weights."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from emostream.models import CheckpointError, Clip, EmotionInput, Transcript
from emostream.models.checkpoint import BUNDLED, load_checkpoint, save_checkpoint
from emostream.models.encoders.export_module import make_exportable
from emostream.models.encoders.onnx import GRAPH_FILE, export_graph
from emostream.models.recognizer import EmotionRecognizer
from tests.support.tiny_emotion import noise, write_tiny
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


class TestBundled:
    """Its graph is a file beside its weights."""

    def test_the_graph_is_used_in_float32_only(self) -> None:
        assert "ONNX Runtime" in EmotionRecognizer.load(BUNDLED, device="cpu").name
        assert "ONNX Runtime" not in EmotionRecognizer.load(BUNDLED, device="cpu", dtype="bfloat16").name

    def test_probabilities_are_those_of_torch(self, tmp_path: Path) -> None:
        folder = shutil.copytree(BUNDLED, tmp_path / "copy")
        (folder / GRAPH_FILE).unlink()
        inputs = [
            EmotionInput(Clip(noise(length, seed)), Transcript("so happy") if seed % 2 else None)
            for seed, length in enumerate((0, 1, 719, 720, 5_000, 16_000, 64_000, 320_000))
        ]
        graph, plain = (
            EmotionRecognizer.load(BUNDLED, device="cpu"),
            EmotionRecognizer.load(folder, device="cpu"),
        )
        for single in inputs:
            (a,), (b,) = graph.recognize([single]), plain.recognize([single])
            assert np.abs(np.subtract(a.probabilities, b.probabilities)).max() < 1e-4

    @pytest.mark.parametrize("damage", ["empty", "cut", "text"])
    def test_a_damaged_graph_is_rejected_with_one_line(self, damage: str, tmp_path: Path) -> None:
        file = shutil.copytree(BUNDLED, tmp_path / "copy") / GRAPH_FILE
        whole = file.read_bytes()
        file.write_bytes({"empty": b"", "cut": whole[: len(whole) // 2], "text": b"hello"}[damage])
        with pytest.raises(CheckpointError, match="export it again, or remove it") as caught:
            EmotionRecognizer.load(tmp_path / "copy", device="cpu")
        assert str(file) in str(caught.value)
        assert "\n" not in str(caught.value)

    def test_a_graph_of_another_encoder_is_rejected_with_one_line(self, tmp_path: Path) -> None:
        shutil.copy(BUNDLED / GRAPH_FILE, write_tiny(tmp_path) / GRAPH_FILE)
        with pytest.raises(CheckpointError, match="the graph of this checkpoint's audio encoder"):
            EmotionRecognizer.load(tmp_path, device="cpu")

    def test_a_graph_with_other_results_is_rejected_with_one_line(self, tmp_path: Path) -> None:
        """Another number of heads: every weight fits, every result is wrong."""
        folder = shutil.copytree(BUNDLED, tmp_path / "copy")
        config = json.loads((folder / "config.json").read_text())
        config["audio_config"]["num_attention_heads"] = 2
        (folder / "config.json").write_text(json.dumps(config))
        with pytest.raises(CheckpointError, match="computes something else: export it again, or remove it"):
            EmotionRecognizer.load(folder, device="cpu")

    def test_saving_new_weights_removes_the_old_graph(self, tmp_path: Path) -> None:
        folder = shutil.copytree(BUNDLED, tmp_path / "copy")
        checkpoint = load_checkpoint(folder)
        save_checkpoint(checkpoint.model, checkpoint.tokenizer, folder)
        assert not (folder / GRAPH_FILE).exists()
