"""An encoder that a checkpoint shares with the transcriber: read from CTranslate2's file, named by hash."""

from __future__ import annotations

import json
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ctranslate2
import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from transformers import WhisperConfig, WhisperForConditionalGeneration

from emostream.models import CheckpointError, Clip, EmotionInput
from emostream.models.checkpoint import load_checkpoint, save_checkpoint
from emostream.models.checkpoint_files import resolve_checkpoint
from emostream.models.config import EmotionConfig
from emostream.models.emotion import EmotionModel
from emostream.models.encoders.ctranslate2_weights import read_encoder
from emostream.models.encoders.identity import SharedEncoder
from emostream.models.encoders.log_mel import log_mel
from emostream.models.encoders.shared import fill_shared_encoder, shared_config
from emostream.models.encoders.whisper import WhisperAudioEncoder
from emostream.models.recognizer import EmotionRecognizer
from emostream.models.transcription.whisper_folders import whisper_folders
from tests.support.tiny_emotion import noise, tiny_config, tiny_model, tiny_tokenizer
from tests.support.tiny_encoders import batch_of
from tests.support.tiny_whisper import make_tiny_whisper

LAYERS = 3


@pytest.fixture(scope="module")
def whisper(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A faster-whisper folder of random weights, converted by CTranslate2."""
    return make_tiny_whisper(tmp_path_factory.mktemp("whisper"), encoder_layers=LAYERS)


@pytest.fixture
def none_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("emostream.models.encoders.identity.whisper_folders", lambda name: ())


def shared_model(whisper: Path, **changes: Any) -> EmotionModel:
    identity = SharedEncoder.of(whisper, "base").fields()
    return tiny_model(audio_config=shared_config(whisper), shared_encoder=identity, **changes)


def filled_encoder(whisper: Path, layers: list[int] | None = None) -> WhisperAudioEncoder:
    encoder = WhisperAudioEncoder(shared_config(whisper)).eval()
    if layers is not None:
        encoder.concatenate(layers, width=8, dropout=0.0)
    fill_shared_encoder(encoder, whisper)
    return encoder


@torch.no_grad()
def states_of(encoder: WhisperAudioEncoder, clip: np.ndarray) -> list[Tensor]:
    batch = batch_of(encoder, [clip])
    return encoder.layers(batch.samples, batch.mask)[0]


@torch.no_grad()
def transformers_states(whisper: Path, clip: np.ndarray) -> list[Tensor]:
    """The library's own hidden states, from the original of the converted model."""
    model = WhisperForConditionalGeneration.from_pretrained(whisper.parent / "transformers").eval()
    encoder = WhisperAudioEncoder(model.config)
    batch = batch_of(encoder, [clip])
    features = log_mel(batch.samples, batch.mask.sum(1), 80)
    output = model.model.encoder(features, output_hidden_states=True)
    return [*output.hidden_states[:-1], output.last_hidden_state]


class TestWeights:
    def test_every_layer_equals_that_of_transformers(self, whisper: Path) -> None:
        clip = noise(30 * 16_000)
        ours, theirs = states_of(filled_encoder(whisper), clip), transformers_states(whisper, clip)
        assert len(ours) == LAYERS + 1
        for mine, other in zip(ours, theirs, strict=True):
            torch.testing.assert_close(mine, other, atol=1e-4, rtol=1e-4)

    def test_the_configuration_is_that_of_the_original(self, whisper: Path) -> None:
        ours = shared_config(whisper)
        theirs = WhisperConfig.from_pretrained(whisper.parent / "transformers")
        for name in (
            "d_model",
            "encoder_layers",
            "encoder_attention_heads",
            "encoder_ffn_dim",
            "num_mel_bins",
            "max_source_positions",
        ):
            assert getattr(ours, name) == getattr(theirs, name), name

    @pytest.mark.parametrize("name", ["base", "tiny.en"])
    def test_the_output_of_real_weights_equals_that_of_ctranslate2(self, name: str) -> None:
        folder = next(whisper_folders(name), None)
        if folder is None:
            pytest.skip(f"no Whisper {name} on this machine")
        encoder = filled_encoder(folder)
        clip = noise(10 * 16_000)
        batch = batch_of(encoder, [clip])
        features = np.ascontiguousarray(log_mel(batch.samples, batch.mask.sum(1), 80).numpy())
        network = ctranslate2.models.Whisper(str(folder), device="cpu", compute_type="float32")
        theirs = np.array(network.encode(ctranslate2.StorageView.from_array(features)))
        torch.testing.assert_close(
            states_of(encoder, clip)[-1], torch.from_numpy(theirs), atol=2e-3, rtol=1e-3
        )


class TestEarlyExit:
    def test_layers_above_the_highest_chosen_one_are_not_built(self, whisper: Path) -> None:
        encoder = filled_encoder(whisper, [0, 2])
        assert encoder.depth == 2
        assert encoder.states == 3
        assert not any(name.startswith("layer_norm") for name in encoder.backbone.state_dict())

    @pytest.mark.parametrize("layers", [[1], [0, 2], [2, LAYERS], None])
    def test_the_chosen_states_equal_those_of_the_full_network(
        self, whisper: Path, layers: list[int] | None
    ) -> None:
        clip = noise(20_000)
        whole, cut = (states_of(filled_encoder(whisper, chosen), clip) for chosen in (None, layers))
        for layer in layers or range(LAYERS + 1):
            assert torch.equal(cut[layer], whole[layer])


class TestCheckpoint:
    def test_a_checkpoint_stores_no_encoder_weights_and_loads_completely(
        self, whisper: Path, tmp_path: Path, none_installed: None
    ) -> None:
        model = shared_model(whisper, audio_mix="concat", audio_mix_layers=[1, 2], audio_mix_width=12)
        fill_shared_encoder(model.audio_encoder, whisper)
        save_checkpoint(model, tiny_tokenizer(), tmp_path)
        held = load_file(tmp_path / "model.safetensors")
        assert not any(name.startswith("audio_encoder.backbone.") for name in held)
        assert "audio_encoder.mix.project.1.weight" in held
        loaded = load_checkpoint(tmp_path, whisper).model
        for name, weights in model.state_dict().items():
            torch.testing.assert_close(loaded.state_dict()[name], weights, atol=2e-3, rtol=1e-3)

    def test_from_pretrained_reads_the_same(
        self, whisper: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("emostream.models.encoders.identity.whisper_folders", lambda name: (whisper,))
        save_checkpoint(shared_model(whisper), tiny_tokenizer(), tmp_path)
        ours, theirs = load_checkpoint(tmp_path).model, EmotionModel.from_pretrained(tmp_path).eval()
        for name, weights in ours.state_dict().items():
            assert torch.equal(weights, theirs.state_dict()[name]), name

    def test_a_clip_is_encoded_by_the_shared_layers(
        self, whisper: Path, tmp_path: Path, none_installed: None
    ) -> None:
        save_checkpoint(
            shared_model(whisper, audio_mix="concat", audio_mix_layers=[2], audio_mix_width=12),
            tiny_tokenizer(),
            tmp_path,
        )
        recognizer = EmotionRecognizer.load(tmp_path, device="cpu", whisper=whisper)
        clip = noise(24_000)
        (code,) = recognizer.encode([Clip(clip)])
        states = states_of(filled_encoder(whisper), clip)
        with torch.no_grad():
            expected = load_checkpoint(tmp_path, whisper).model.audio_encoder.mix(states)
        torch.testing.assert_close(code.frames, expected[0], atol=1e-4, rtol=1e-4)
        (prediction,) = recognizer.recognize([EmotionInput(Clip(clip))])
        assert sum(prediction.probabilities) == pytest.approx(1.0, abs=1e-5)

    def test_another_encoder_is_refused(self, whisper: Path, tmp_path: Path, none_installed: None) -> None:
        save_checkpoint(shared_model(whisper), tiny_tokenizer(), tmp_path / "checkpoint")
        other = make_tiny_whisper(tmp_path / "other", encoder_layers=LAYERS, seed=4)
        with pytest.raises(CheckpointError, match="got another") as caught:
            load_checkpoint(tmp_path / "checkpoint", other)
        assert "\n" not in str(caught.value)
        assert str(other) in str(caught.value)

    def test_a_missing_encoder_is_an_error_with_advice(
        self, whisper: Path, tmp_path: Path, none_installed: None
    ) -> None:
        save_checkpoint(shared_model(whisper), tiny_tokenizer(), tmp_path)
        with pytest.raises(CheckpointError, match=r"pip install 'emostream\[whisper\]'") as caught:
            load_checkpoint(tmp_path, tmp_path / "nowhere")
        assert "\n" not in str(caught.value)

    def test_sizes_of_another_encoder_are_refused(
        self, whisper: Path, tmp_path: Path, none_installed: None
    ) -> None:
        model = shared_model(whisper)
        save_checkpoint(model, tiny_tokenizer(), tmp_path)
        fields = json.loads((tmp_path / "config.json").read_text())
        fields["audio_config"]["encoder_ffn_dim"] = 20
        (tmp_path / "config.json").write_text(json.dumps(fields))
        with pytest.raises(CheckpointError, match="audio_config is of another model"):
            load_checkpoint(tmp_path, whisper)

    @pytest.mark.parametrize(
        ("fields", "message"),
        [
            ({"architecture": "whisper"}, "architecture, name, sha256"),
            ({"architecture": "bert", "name": "base", "sha256": "0" * 64}, "architecture whisper"),
            ({"architecture": "whisper", "name": "../base", "sha256": "0" * 64}, "shared_encoder.name"),
            ({"architecture": "whisper", "name": "base", "sha256": "12"}, "64 hexadecimal digits"),
            ("base", "architecture, name, sha256"),
        ],
    )
    def test_an_invalid_identity_is_rejected(self, fields: object, message: str) -> None:
        with pytest.raises(ValueError, match=message):
            EmotionConfig(shared_encoder=fields)

    def test_an_encoder_of_another_kind_cannot_be_shared(
        self, whisper: Path, tmp_path: Path, none_installed: None
    ) -> None:
        identity = SharedEncoder.of(whisper, "base").fields()
        model = EmotionModel(tiny_config(shared_encoder=identity))
        save_checkpoint(model, tiny_tokenizer(), tmp_path)
        with pytest.raises(CheckpointError, match="of the kind whisper"):
            load_checkpoint(tmp_path, whisper)


class TestSelection:
    @pytest.fixture
    def bundled(self, whisper: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        folder = tmp_path / "bundled_whisper"
        save_checkpoint(shared_model(whisper), tiny_tokenizer(), folder)
        monkeypatch.setattr("emostream.models.checkpoint_files.BUNDLED_WHISPER", folder)
        return folder

    def test_the_default_is_the_checkpoint_whose_encoder_is_installed(
        self, bundled: Path, whisper: Path, none_installed: None
    ) -> None:
        assert resolve_checkpoint(None, whisper) == bundled

    def test_without_the_encoder_the_default_is_the_self_contained_one(
        self, bundled: Path, tmp_path: Path, none_installed: None
    ) -> None:
        assert resolve_checkpoint(None).name == "bundled"
        other = make_tiny_whisper(tmp_path / "other", encoder_layers=LAYERS, seed=4)
        assert resolve_checkpoint(None, other).name == "bundled"


def cut(file: Path, keep: float) -> None:
    file.write_bytes(file.read_bytes()[: int(keep * file.stat().st_size)])


def version(file: Path) -> None:
    file.write_bytes(struct.pack("<I", 5) + file.read_bytes()[4:])


def renamed(old: bytes, new: bytes) -> Callable[[Path], None]:
    assert len(old) == len(new)

    def damage(file: Path) -> None:
        file.write_bytes(file.read_bytes().replace(old, new))

    return damage


def text(file: Path) -> None:
    file.write_text("hello, this is no model")


def longer(file: Path) -> None:
    file.write_bytes(file.read_bytes() + b"more")


def not_finite(file: Path) -> None:
    data = bytearray(file.read_bytes())
    name = b"encoder/conv1/weight\0"
    at = data.index(name) + len(name) + 1 + 3 * 4 + 1 + 4
    data[at : at + 4] = np.array([np.nan], dtype="<f4").tobytes()
    file.write_bytes(data)


DAMAGES: dict[str, tuple[Callable[[Path], None], str]] = {
    "missing": (Path.unlink, "found none"),
    "empty": (lambda file: cut(file, 0.0), "expected a CTranslate2 model"),
    "truncated": (lambda file: cut(file, 0.6), "is not whole"),
    "one byte short": (lambda file: cut(file, 1 - 1e-9), "ends early"),
    "text": (text, "of version 6"),
    "longer": (longer, "bytes are described"),
    "another version": (version, "of version 6, got 5"),
    "another model": (renamed(b"WhisperSpec", b"WhimperSpec"), "a Whisper model, got WhimperSpec"),
    "a variable too few": (
        renamed(b"encoder/conv2/weight", b"encoder/conv9/weight"),
        "lacks encoder/conv2/weight",
    ),
    "no encoder": (renamed(b"encoder/", b"uncoder/"), "no Whisper encoder"),
    "not a number": (not_finite, "not finite"),
}


class TestDamage:
    @pytest.mark.parametrize("name", DAMAGES)
    def test_damage_is_rejected_with_one_line(self, name: str, whisper: Path, tmp_path: Path) -> None:
        folder = Path(shutil.copytree(whisper, tmp_path / "copy"))
        damage, message = DAMAGES[name]
        damage(folder / "model.bin")
        with pytest.raises(CheckpointError, match=message) as caught:
            fill_shared_encoder(WhisperAudioEncoder(shared_config(folder)), folder)
        assert "\n" not in str(caught.value)
        assert str(folder) in str(caught.value)

    def test_a_quantised_encoder_is_refused(self, whisper: Path, tmp_path: Path) -> None:
        converter = ctranslate2.converters.TransformersConverter(str(whisper.parent / "transformers"))
        converter.convert(str(tmp_path / "int8"), quantization="int8")
        with pytest.raises(CheckpointError, match="float32 or float16, got int8"):
            read_encoder(tmp_path / "int8" / "model.bin")
