"""Encoders exported to ONNX give the features of the network."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from emostream.models import Alignment, CheckpointError, Clip, SpeakerBaseline, Transcript
from emostream.models.checkpoint import BUNDLED, load_checkpoint
from emostream.models.encoders.onnx import GRAPH_FILE, OnnxEncoder, export_graph
from emostream.models.recognizer import EmotionRecognizer
from emostream.training.__main__ import main
from tests.support.tiny_emotion import noise, write_tiny
from tests.support.tiny_encoders import (
    layer_concat_of,
    tiny_audio_encoder,
    tiny_whisper_config,
    with_random_statistics,
)

# torch's exporter warns of its own internals, differently in every release.
quiet_export = pytest.mark.filterwarnings("ignore")


@quiet_export
@pytest.mark.parametrize(
    "kind", ["wav2vec2, group norm", "wav2vec2, stable", "wav2vec2, mel", "hubert", "whisper"]
)
def test_the_graph_gives_the_features_of_the_network(kind: str, tmp_path: Path) -> None:
    """Clips from the shortest that gives a frame to the longest utterance."""
    encoder = tiny_audio_encoder(kind)
    export_graph(encoder, tmp_path / GRAPH_FILE)
    graph = OnnxEncoder(tmp_path / GRAPH_FILE, encoder)
    for samples in (encoder.waveform_spec.min_samples, 1_000, 16_001, 28 * 16_000):
        sound = torch.from_numpy(noise(samples, seed=samples, level=1.0))
        with torch.no_grad():
            features, _ = encoder(sound[None], torch.ones(1, samples, dtype=torch.bool))
        torch.testing.assert_close(graph(sound)[0], features[0], atol=1e-4, rtol=1e-4)


@quiet_export
def test_the_graph_takes_the_weights_that_it_is_given(tmp_path: Path) -> None:
    """It contains none: two encoders of the same architecture share it."""
    one, other = tiny_audio_encoder("hubert", seed=1), tiny_audio_encoder("hubert", seed=2)
    export_graph(one, tmp_path / GRAPH_FILE)
    sound = torch.from_numpy(noise(8_000))
    with torch.no_grad():
        features, _ = other(sound[None], torch.ones(1, 8_000, dtype=torch.bool))
    torch.testing.assert_close(
        OnnxEncoder(tmp_path / GRAPH_FILE, other)(sound)[0], features[0], atol=1e-4, rtol=1e-4
    )
    assert not torch.allclose(OnnxEncoder(tmp_path / GRAPH_FILE, one)(sound)[0], features[0], atol=1e-2)


@quiet_export
def test_the_command_writes_the_graph_of_the_bundled_checkpoint(tmp_path: Path) -> None:
    folder = shutil.copytree(BUNDLED, tmp_path / "copy")
    (folder / GRAPH_FILE).unlink()
    assert main(["export", "--checkpoint", os.fspath(folder)]) == 0
    assert "ONNX Runtime" in EmotionRecognizer.load(folder, device="cpu").name
    assert (folder / GRAPH_FILE).stat().st_size < 100_000


@pytest.fixture(scope="module")
def with_baselines(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint that takes baselines, with its graph as the command writes it."""
    folder = write_tiny(
        tmp_path_factory.mktemp("checkpoint"),
        audio_config=tiny_whisper_config(),
        audio_unit_variance=False,
        audio_mix="concat",
        audio_mix_layers=[1, 2],
        audio_mix_width=12,
        baseline={"prior_count": 5.0, "neutral_weight": 0.0, "max_shift": None},
    )
    assert main(["export", "--checkpoint", os.fspath(folder)]) == 0
    return folder


@quiet_export
def test_a_model_with_baselines_has_the_probabilities_and_voices_of_torch(
    with_baselines: Path, tmp_path: Path
) -> None:
    plain = shutil.copytree(with_baselines, tmp_path / "plain")
    (plain / GRAPH_FILE).unlink()
    graph = EmotionRecognizer.load(with_baselines, device="cpu")
    torch_alone = EmotionRecognizer.load(plain, device="cpu")
    assert "ONNX Runtime" in graph.name
    assert graph.baseline is not None
    speaker = None
    for seed, samples in enumerate((0, 700, 16_001, 64_000)):
        clip, words = Clip(noise(samples, seed)), Transcript("so happy") if seed % 2 else None
        (one,), (other,) = graph.encode([clip]), torch_alone.encode([clip])
        assert one.voice is not None
        assert other.voice is not None
        np.testing.assert_allclose(one.voice, other.voice, atol=1e-4)
        found, expected = (
            recognizer.fuse([code], [words], [Alignment()], [speaker])[0]
            for recognizer, code in ((graph, one), (torch_alone, other))
        )
        np.testing.assert_allclose(found.probabilities, expected.probabilities, atol=1e-5)
        speaker = (speaker or SpeakerBaseline()).updated(one.voice, 0.5, graph.baseline)


@quiet_export
def test_a_graph_without_the_mean_state_is_rejected_with_one_line(
    with_baselines: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(with_baselines, tmp_path / "copy")
    model = load_checkpoint(folder).model
    export_graph(model.audio_encoder, folder / GRAPH_FILE)
    with pytest.raises(CheckpointError, match="computes something else: export it again, or remove it"):
        EmotionRecognizer.load(folder, device="cpu")


@quiet_export
@pytest.mark.parametrize("kind", ["wav2vec2, group norm", "hubert", "whisper"])
def test_the_graph_of_concatenated_layers_gives_their_features(kind: str, tmp_path: Path) -> None:
    encoder = tiny_audio_encoder(kind)
    encoder.concatenate([1, 3], 12, 0.3)
    with_random_statistics(layer_concat_of(encoder))
    encoder.eval()
    export_graph(encoder, tmp_path / GRAPH_FILE)
    graph = OnnxEncoder(tmp_path / GRAPH_FILE, encoder)
    for samples in (encoder.waveform_spec.min_samples, 1_000, 16_001):
        sound = torch.from_numpy(noise(samples, seed=samples, level=1.0))
        with torch.no_grad():
            features, _ = encoder(sound[None], torch.ones(1, samples, dtype=torch.bool))
        assert features.shape[-1] == 12
        torch.testing.assert_close(graph(sound)[0], features[0], atol=1e-4, rtol=1e-4)
