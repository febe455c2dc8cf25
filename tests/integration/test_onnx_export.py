"""Encoders exported to ONNX give the features of the network."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from emostream.models import (
    Alignment,
    CheckpointError,
    Clip,
    EmotionInput,
    SpeakerBaseline,
    Transcript,
    load_recognizer,
)
from emostream.models.checkpoint_files import BUNDLED
from emostream.models.encoders.onnx import GRAPH_FILE, OnnxEncoder, export_graph
from emostream.models.graphs.files import GRAPH_FILES
from emostream.models.graphs.recognizer import GraphRecognizer
from emostream.models.recognizer import EmotionRecognizer
from emostream.training.__main__ import main
from tests.support.tiny_emotion import noise, write_tiny
from tests.support.tiny_encoders import (
    audio_configs,
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
def test_the_command_writes_the_graphs_of_the_bundled_checkpoint(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(BUNDLED, tmp_path / "copy"))
    for name in GRAPH_FILES:
        (folder / name).unlink()
    assert main(["export", "--checkpoint", os.fspath(folder)]) == 0
    assert sum((folder / name).stat().st_size for name in GRAPH_FILES) < 300_000
    speech = [EmotionInput(Clip(noise(16_000)), Transcript("so happy"))]
    (found,), (expected,) = (
        recognizer.recognize(speech) for recognizer in (GraphRecognizer(folder), GraphRecognizer(BUNDLED))
    )
    assert found == expected


BASELINE = {"prior_count": 5.0, "neutral_weight": 0.0, "max_shift": None}
NETWORKS: dict[str, dict[str, Any]] = {
    "whisper with baselines": {
        "audio_config": tiny_whisper_config(),
        "audio_unit_variance": False,
        "audio_mix": "concat",
        "audio_mix_layers": [1, 2],
        "audio_mix_width": 12,
        "baseline": BASELINE,
    },
    "whisper, all layers, late fusion": {
        "audio_config": tiny_whisper_config(),
        "audio_unit_variance": False,
        "fusion": "late",
        "audio_level": 0.05,
    },
    "spectrogram, norm after the layers, early fusion": {
        "audio_config": audio_configs()["wav2vec2, mel"],
        "fusion": "early",
        "classifier": "linear",
    },
    "whisper, concatenation": {
        "audio_config": tiny_whisper_config(),
        "audio_unit_variance": False,
        "fusion": "concat",
        "granularities": ["frame", "word"],
    },
}


@pytest.fixture(scope="module", params=NETWORKS)
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint with the graphs of its whole network, as the command writes them."""
    folder = write_tiny(tmp_path_factory.mktemp("checkpoint"), **NETWORKS[request.param])
    assert main(["export", "--checkpoint", os.fspath(folder)]) == 0
    assert all((folder / name).is_file() for name in GRAPH_FILES)
    return folder


@quiet_export
def test_the_graphs_of_a_network_have_the_probabilities_and_voices_of_torch(exported: Path) -> None:
    graph, torch_alone = GraphRecognizer(exported), EmotionRecognizer.load(exported, device="cpu")
    clips = [Clip(noise(samples, seed)) for seed, samples in enumerate((0, 700, 16_001, 64_000))]
    words = [Transcript("so happy") if place % 2 else None for place in range(len(clips))]
    spans = [Alignment()] * len(clips)
    codes, expected_codes = graph.encode(clips), torch_alone.encode(clips)
    speakers: list[SpeakerBaseline | None] = [None] * len(clips)
    for one, other in zip(codes, expected_codes, strict=True):
        assert (one.voice is None) == (other.voice is None) == (graph.baseline is None)
        if one.voice is not None and other.voice is not None and graph.baseline is not None:
            np.testing.assert_allclose(one.voice, other.voice, atol=1e-4)
            speakers[-1] = SpeakerBaseline().updated(one.voice, 0.5, graph.baseline)
    found = graph.fuse(codes, words, spans, speakers)
    expected = torch_alone.fuse(expected_codes, words, spans, speakers)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a.probabilities, b.probabilities, atol=1e-5)


@pytest.fixture(scope="module")
def over_samples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint whose audio encoder begins with the waveform: its encoder alone has a graph."""
    folder = write_tiny(tmp_path_factory.mktemp("checkpoint"))
    assert main(["export", "--checkpoint", os.fspath(folder)]) == 0
    assert not any((folder / name).exists() for name in GRAPH_FILES)
    return folder


@quiet_export
def test_an_encoder_alone_is_used_in_float32_only(over_samples: Path) -> None:
    assert "ONNX Runtime" in load_recognizer(over_samples, device="cpu").name
    assert "ONNX Runtime" not in load_recognizer(over_samples, device="cpu", dtype="bfloat16").name


@quiet_export
@pytest.mark.parametrize("damage", ["empty", "cut", "text"])
def test_a_damaged_graph_is_rejected_with_one_line(damage: str, over_samples: Path, tmp_path: Path) -> None:
    file = Path(shutil.copytree(over_samples, tmp_path / "copy")) / GRAPH_FILE
    whole = file.read_bytes()
    file.write_bytes({"empty": b"", "cut": whole[: len(whole) // 2], "text": b"hello"}[damage])
    with pytest.raises(CheckpointError, match="export it again, or remove it") as caught:
        load_recognizer(tmp_path / "copy", device="cpu")
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)


@quiet_export
def test_a_graph_with_other_results_is_rejected_with_one_line(over_samples: Path, tmp_path: Path) -> None:
    """Another number of heads: every weight fits, every result is wrong."""
    folder = Path(shutil.copytree(over_samples, tmp_path / "copy"))
    config = json.loads((folder / "config.json").read_text())
    config["audio_config"]["num_attention_heads"] = 1
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match="computes something else: export it again, or remove it"):
        load_recognizer(folder, device="cpu")


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
