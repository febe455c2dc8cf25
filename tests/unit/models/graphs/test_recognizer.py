"""The bundled models on ONNX Runtime, whole: the results of torch, without torch."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from emostream.models import (
    Alignment,
    CheckpointError,
    Clip,
    DeviceError,
    EmotionInput,
    SpeakerBaseline,
    Transcript,
    load_recognizer,
)
from emostream.models.checkpoint_files import BUNDLED, BUNDLED_WHISPER, WEIGHTS_FILE
from emostream.models.graphs.files import AUDIO_GRAPH, DESCRIPTION_FILE, FUSION_GRAPH, GRAPH_FILES
from emostream.models.graphs.recognizer import GraphRecognizer
from emostream.models.recognition import Recognition
from emostream.models.recognizer import EmotionRecognizer
from tests.support.demo_speech import demo_speech
from tests.support.tiny_emotion import noise, write_tiny
from tests.support.whisper_weights import packaged_whisper

TEXTS = (None, "so happy to see you", "", "the door is open " * 40, "?!")
LENGTHS = (0, 1, 300, 719, 5_000, 16_001, 64_000, 160_000)


def inputs() -> list[EmotionInput]:
    """Speech and noise of many lengths, with and without words, and what lacks one of the two or both."""
    clips = [Clip(noise(length, seed)) for seed, length in enumerate(LENGTHS)]
    clips += [Clip(demo_speech(ms, place)) for place, ms in enumerate((900, 2_500, 4_000))]
    clips.append(Clip(np.zeros(16_000, np.float32)))
    texts = [TEXTS[place % len(TEXTS)] for place in range(len(clips))]
    heard = [
        EmotionInput(clip, None if text is None else Transcript(text))
        for clip, text in zip(clips, texts, strict=True)
    ]
    return [*heard, EmotionInput(None, Transcript("she died and i miss her")), EmotionInput(None)]


@pytest.fixture(scope="module", params=[BUNDLED, BUNDLED_WHISPER], ids=lambda folder: folder.name)
def pair(request: pytest.FixtureRequest) -> tuple[GraphRecognizer, EmotionRecognizer]:
    """A bundled model on ONNX Runtime and in torch."""
    whisper = packaged_whisper("base") if request.param == BUNDLED_WHISPER else None
    return (
        GraphRecognizer(request.param, whisper=whisper),
        EmotionRecognizer.load(request.param, device="cpu", dtype="float32", whisper=whisper),
    )


def assert_equal(
    one: Recognition, other: Recognition, items: list[EmotionInput], speakers: list[SpeakerBaseline | None]
) -> None:
    clips, words = [item.clip for item in items], [item.transcript for item in items]
    spans = [Alignment()] * len(items)
    codes, expected_codes = one.encode(clips), other.encode(clips)
    for found, expected in zip(codes, expected_codes, strict=True):
        assert found.frames.shape == tuple(expected.frames.shape)
        assert (found.voice is None) == (expected.voice is None)
        if found.voice is not None and expected.voice is not None:
            np.testing.assert_allclose(found.voice, expected.voice, atol=1e-3)
    for a, b in zip(
        one.fuse(codes, words, spans, speakers),
        other.fuse(expected_codes, words, spans, speakers),
        strict=True,
    ):
        np.testing.assert_allclose(a.probabilities, b.probabilities, atol=1e-5)
        for head, its in ((a.audio_only, b.audio_only), (a.text_only, b.text_only)):
            assert (head is None) == (its is None)
            np.testing.assert_allclose(head or (), its or (), atol=1e-5)
        assert a.uncertain == b.uncertain
        assert a.reliable == b.reliable


def test_each_alone_has_the_probabilities_of_torch(pair: tuple[GraphRecognizer, EmotionRecognizer]) -> None:
    for item in inputs():
        assert_equal(*pair, [item], [None])


def test_a_batch_has_the_probabilities_of_torch(pair: tuple[GraphRecognizer, EmotionRecognizer]) -> None:
    items = inputs()
    assert_equal(*pair, items, [None] * len(items))
    assert_equal(*pair, items[4:6], [None, None])


def test_known_speakers_have_the_probabilities_of_torch(
    pair: tuple[GraphRecognizer, EmotionRecognizer],
) -> None:
    graph, _ = pair
    if graph.baseline is None:
        pytest.skip("this model takes no baselines")
    (code,) = graph.encode([Clip(demo_speech(2_500, 3))])
    assert code.voice is not None
    speaker = SpeakerBaseline().updated(code.voice, 0.5, graph.baseline)
    items = inputs()
    assert_equal(*pair, items, [speaker if place % 2 else None for place in range(len(items))])


def test_equal_calls_give_equal_bits(pair: tuple[GraphRecognizer, EmotionRecognizer]) -> None:
    """Live and replay are the same calls."""
    graph, _ = pair
    assert graph.recognize(inputs()) == graph.recognize(inputs())


def test_frames_hold_no_padding_of_their_batch(pair: tuple[GraphRecognizer, EmotionRecognizer]) -> None:
    graph, _ = pair
    short, _ = graph.encode([Clip(noise(8_000)), Clip(noise(24_000))])
    assert short.frames.base is None


class TestChoice:
    """What runs on ONNX Runtime, and what in torch."""

    @pytest.mark.parametrize("device", ["auto", "cpu"])
    def test_a_checkpoint_with_graphs_on_a_cpu(self, device: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("emostream.models.nvidia.has_nvidia_gpu", lambda: False)
        assert isinstance(load_recognizer(BUNDLED, device=device), GraphRecognizer)

    def test_a_gpu_that_torch_cannot_use_changes_nothing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("emostream.models.nvidia.has_nvidia_gpu", lambda: True)
        monkeypatch.setattr("torch.cuda.is_available", lambda: False)
        assert isinstance(load_recognizer(BUNDLED), GraphRecognizer)

    def test_another_precision_takes_torch(self) -> None:
        assert isinstance(load_recognizer(BUNDLED, device="cpu", dtype="bfloat16"), EmotionRecognizer)

    def test_encoders_that_gain_from_bfloat16_take_torch(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("emostream.models.precision.BFLOAT16_MIN_PARAMETERS", 1)
        monkeypatch.setattr("emostream.models.precision.has_native_bfloat16", lambda: True)
        assert isinstance(load_recognizer(BUNDLED, device="cpu"), EmotionRecognizer)

    def test_without_torch_auto_takes_what_there_is(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Even where bfloat16 would be faster, and with a GPU, of which a line speaks."""
        monkeypatch.setattr("emostream.models.loaders.is_torch_installed", lambda: False)
        monkeypatch.setattr("emostream.models.precision.BFLOAT16_MIN_PARAMETERS", 1)
        monkeypatch.setattr("emostream.models.precision.has_native_bfloat16", lambda: True)
        monkeypatch.setattr("emostream.models.nvidia.has_nvidia_gpu", lambda: False)
        assert isinstance(load_recognizer(BUNDLED), GraphRecognizer)
        assert not caplog.messages
        monkeypatch.setattr("emostream.models.nvidia.has_nvidia_gpu", lambda: True)
        assert isinstance(load_recognizer(BUNDLED), GraphRecognizer)
        (line,) = caplog.messages
        assert "though there is a GPU: pip install 'emostream[torch]'" in line

    @pytest.mark.parametrize(
        ("device", "dtype", "wanted_for", "instead"),
        [
            ("cuda", "auto", "device 'cuda'", "--device cpu"),
            ("cpu", "bfloat16", "dtype 'bfloat16'", "--dtype float32"),
        ],
    )
    def test_without_torch_what_needs_it_is_refused(
        self, device: str, dtype: str, wanted_for: str, instead: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("emostream.models.loaders.is_torch_installed", lambda: False)
        with pytest.raises(
            DeviceError, match=f"PyTorch for {wanted_for}.*emostream\\[torch\\]', or {instead}"
        ):
            load_recognizer(BUNDLED, device=device, dtype=dtype)

    def test_without_torch_a_checkpoint_without_graphs_is_refused(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("emostream.models.loaders.is_torch_installed", lambda: False)
        with pytest.raises(CheckpointError, match=r"no ONNX graphs .* pip install 'emostream\[torch\]'"):
            load_recognizer(write_tiny(tmp_path), device="cpu")

    def test_a_checkpoint_without_graphs_takes_torch(self, tmp_path: Path) -> None:
        assert isinstance(load_recognizer(write_tiny(tmp_path), device="cpu"), EmotionRecognizer)


class TestDamage:
    """One line that names the file, and what to do."""

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        return Path(shutil.copytree(BUNDLED, tmp_path / "copy"))

    def refusal(self, folder: Path) -> str:
        with pytest.raises(CheckpointError) as caught:
            load_recognizer(folder, device="cpu")
        assert "\n" not in str(caught.value)
        assert str(folder) in str(caught.value)
        return str(caught.value)

    @pytest.mark.parametrize("name", GRAPH_FILES)
    @pytest.mark.parametrize("damage", ["empty", "cut", "text"])
    def test_of_a_file(self, damage: str, name: str, folder: Path) -> None:
        file = folder / name
        whole = file.read_bytes()
        file.write_bytes({"empty": b"", "cut": whole[: len(whole) // 2], "text": b"hello"}[damage])
        assert name in self.refusal(folder)
        assert "export it again, or remove graphs.json" in self.refusal(folder)

    @pytest.mark.parametrize("name", [AUDIO_GRAPH, FUSION_GRAPH, WEIGHTS_FILE, "tokenizer.json"])
    def test_of_a_file_that_is_missing(self, name: str, folder: Path) -> None:
        (folder / name).unlink()
        assert name in self.refusal(folder)

    def test_of_a_configuration_of_another_network(self, folder: Path) -> None:
        """Another number of heads: every weight fits, every result would be wrong."""
        config = json.loads((folder / "config.json").read_text())
        config["audio_config"]["num_attention_heads"] = 2
        (folder / "config.json").write_text(json.dumps(config))
        assert "config.json describes another" in self.refusal(folder)

    def test_of_a_description_without_a_field(self, folder: Path) -> None:
        description = json.loads((folder / DESCRIPTION_FILE).read_text())
        del description["stored"]
        (folder / DESCRIPTION_FILE).write_text(json.dumps(description))
        assert DESCRIPTION_FILE in self.refusal(folder)

    def test_another_calibration_needs_no_new_graphs(self, folder: Path) -> None:
        config = json.loads((folder / "config.json").read_text())
        config["temperatures"]["fused_audio"] = 100.0
        (folder / "config.json").write_text(json.dumps(config))
        (prediction,) = load_recognizer(folder, device="cpu").recognize([EmotionInput(Clip(noise(16_000)))])
        np.testing.assert_allclose(prediction.probabilities, 0.25, atol=0.05)
