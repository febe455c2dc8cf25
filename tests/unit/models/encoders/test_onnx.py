"""The audio encoder as an ONNX graph: the same features, with the checkpoint's own weights."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from emostream.models import CheckpointError, Clip, EmotionInput, Transcript
from emostream.models.checkpoint import BUNDLED, load_checkpoint, save_checkpoint
from emostream.models.encoders.onnx import GRAPH_FILE, OnnxEncoder, export_graph
from emostream.models.recognizer import EmotionRecognizer
from emostream.training.__main__ import main
from tests.support.tiny_emotion import noise, write_tiny
from tests.support.tiny_encoders import tiny_audio_encoder

# torch's exporter warns of its own insides, differently in every release.
quiet_export = pytest.mark.filterwarnings("ignore")


@quiet_export
@pytest.mark.parametrize("kind", ["wav2vec2, group norm", "wav2vec2, stable", "wav2vec2, mel", "hubert"])
def test_the_graph_gives_the_features_of_the_network(kind: str, tmp_path: Path) -> None:
    """Clips from the shortest that gives a frame to the longest utterance."""
    encoder = tiny_audio_encoder(kind)
    export_graph(encoder, tmp_path / GRAPH_FILE)
    graph = OnnxEncoder(tmp_path / GRAPH_FILE, encoder)
    for samples in (encoder.waveform_spec.min_samples, 1_000, 16_001, 28 * 16_000):
        sound = torch.from_numpy(noise(samples, seed=samples, level=1.0))
        with torch.no_grad():
            features, _ = encoder(sound[None], torch.ones(1, samples, dtype=torch.bool))
        torch.testing.assert_close(graph(sound), features[0], atol=1e-4, rtol=1e-4)


@quiet_export
def test_the_graph_takes_the_weights_that_it_is_given(tmp_path: Path) -> None:
    """It holds none of its own: two encoders of one form share it."""
    one, other = tiny_audio_encoder("hubert", seed=1), tiny_audio_encoder("hubert", seed=2)
    export_graph(one, tmp_path / GRAPH_FILE)
    sound = torch.from_numpy(noise(8_000))
    with torch.no_grad():
        features, _ = other(sound[None], torch.ones(1, 8_000, dtype=torch.bool))
    torch.testing.assert_close(
        OnnxEncoder(tmp_path / GRAPH_FILE, other)(sound), features[0], atol=1e-4, rtol=1e-4
    )
    assert not torch.allclose(OnnxEncoder(tmp_path / GRAPH_FILE, one)(sound), features[0], atol=1e-2)


def test_kinds_that_are_not_exported(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="wav2vec2, hubert to export, got whisper"):
        export_graph(tiny_audio_encoder("whisper"), tmp_path / GRAPH_FILE)


class TestBundled:
    """Its graph lies beside its weights."""

    def test_it_is_used_where_it_serves(self) -> None:
        assert "ONNX Runtime" in EmotionRecognizer.load(device="cpu").name
        assert "ONNX Runtime" not in EmotionRecognizer.load(device="cpu", dtype="bfloat16").name

    def test_probabilities_are_those_of_torch(self, tmp_path: Path) -> None:
        folder = shutil.copytree(BUNDLED, tmp_path / "copy")
        (folder / GRAPH_FILE).unlink()
        speeches = [
            EmotionInput(Clip(noise(length, seed)), Transcript("so happy") if seed % 2 else None)
            for seed, length in enumerate((0, 1, 719, 720, 5_000, 16_000, 64_000, 320_000))
        ]
        graph, plain = EmotionRecognizer.load(device="cpu"), EmotionRecognizer.load(folder, device="cpu")
        for speech in speeches:
            (a,), (b,) = graph.recognize([speech]), plain.recognize([speech])
            assert np.abs(np.subtract(a.probabilities, b.probabilities)).max() < 1e-4

    @pytest.mark.parametrize("damage", ["empty", "cut", "text"])
    def test_a_damaged_graph_is_one_clear_line(self, damage: str, tmp_path: Path) -> None:
        file = shutil.copytree(BUNDLED, tmp_path / "copy") / GRAPH_FILE
        whole = file.read_bytes()
        file.write_bytes({"empty": b"", "cut": whole[: len(whole) // 2], "text": b"hello"}[damage])
        with pytest.raises(CheckpointError, match="export it again, or remove it") as caught:
            EmotionRecognizer.load(tmp_path / "copy", device="cpu")
        assert str(file) in str(caught.value)
        assert "\n" not in str(caught.value)

    def test_a_graph_of_another_encoder_is_one_clear_line(self, tmp_path: Path) -> None:
        shutil.copy(BUNDLED / GRAPH_FILE, write_tiny(tmp_path) / GRAPH_FILE)
        with pytest.raises(CheckpointError, match="the graph of this checkpoint's audio encoder"):
            EmotionRecognizer.load(tmp_path, device="cpu")

    def test_a_graph_that_computes_something_else_is_one_clear_line(self, tmp_path: Path) -> None:
        """Other heads: every weight fits, every result is wrong."""
        folder = shutil.copytree(BUNDLED, tmp_path / "copy")
        config = json.loads((folder / "config.json").read_text())
        config["audio_config"]["num_attention_heads"] = 2
        (folder / "config.json").write_text(json.dumps(config))
        with pytest.raises(CheckpointError, match="computes something else: export it again, or remove it"):
            EmotionRecognizer.load(folder, device="cpu")

    def test_new_weights_do_without_the_old_graph(self, tmp_path: Path) -> None:
        folder = shutil.copytree(BUNDLED, tmp_path / "copy")
        checkpoint = load_checkpoint(folder)
        save_checkpoint(checkpoint.model, checkpoint.tokenizer, folder)
        assert not (folder / GRAPH_FILE).exists()

    @quiet_export
    def test_the_command_writes_it(self, tmp_path: Path) -> None:
        folder = shutil.copytree(BUNDLED, tmp_path / "copy")
        (folder / GRAPH_FILE).unlink()
        assert main(["export", "--checkpoint", os.fspath(folder)]) == 0
        assert "ONNX Runtime" in EmotionRecognizer.load(folder, device="cpu").name
        assert (folder / GRAPH_FILE).stat().st_size < 100_000
