"""Pretrained encoders, as their authors publish them, become the encoders of an emotion model."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import Wav2Vec2FeatureExtractor
from transformers.models.whisper.modeling_whisper import WhisperEncoder

from emostream.models import CheckpointError, Clip, EmotionInput, Transcript
from emostream.models.checkpoint import load_checkpoint, save_checkpoint
from emostream.models.emotion import EmotionModel
from emostream.models.encoders.base import AudioEncoder
from emostream.models.pretrained import assemble
from emostream.models.recognizer import EmotionRecognizer
from tests.support.shared import SHARED
from tests.support.tiny_emotion import noise, tiny_tokenizer
from tests.support.tiny_encoders import LAYERS, batch_of, token_batch
from tests.support.tiny_pretrained import AUDIO, TEXT, save_tokenizer

WHISPER_ENCODER = SHARED / "weights" / "whisper-tiny.en-encoder"


def states_of(encoder: AudioEncoder, samples: int = 9_000) -> list[torch.Tensor]:
    batch = batch_of(encoder, [noise(samples)])
    with torch.no_grad():
        return encoder.eval().layers(batch.samples, batch.mask)[0]


def assert_states(ours: list[torch.Tensor], stock: object) -> None:
    """`stock`: the output of a network of transformers with its hidden states."""
    expected = [*stock.hidden_states[:-1], stock.last_hidden_state]  # type: ignore[attr-defined]
    assert len(ours) == LAYERS + 1
    for mine, theirs in zip(ours, expected, strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-5, rtol=1e-5)


class TestStates:
    """The assembled model's encoder has the states of transformers' own model of the same folder."""

    @pytest.mark.parametrize("name", AUDIO)
    def test_audio_encoders(self, name: str, published: Path) -> None:
        model, _ = assemble(published / name, published / "bert")
        stock = AUDIO[name][2].from_pretrained(published / name).eval()  # type: ignore[attr-defined]
        samples = batch_of(model.audio_encoder, [noise(9_000)]).samples
        with torch.no_grad():
            assert_states(states_of(model.audio_encoder), stock(samples, output_hidden_states=True))

    @pytest.mark.parametrize("name", ["whisper", "whisper-encoder"])
    def test_whisper_from_the_full_model_and_from_its_encoder(self, name: str, published: Path) -> None:
        model, _ = assemble(published / name, published / "bert")
        stock = WhisperEncoder.from_pretrained(published / "whisper-encoder").state_dict()
        held = model.audio_encoder.backbone.state_dict()
        assert held.keys() == stock.keys()
        assert all(torch.equal(held[weight], stock[weight]) for weight in stock)

    @pytest.mark.skipif(not WHISPER_ENCODER.is_dir(), reason=f"no Whisper weights at {WHISPER_ENCODER}")
    def test_real_whisper_in_half_precision_becomes_float32(self, published: Path) -> None:
        model, _ = assemble(WHISPER_ENCODER, published / "bert")
        assert {weights.dtype for weights in model.parameters()} == {torch.float32}
        assert [state.shape for state in states_of(model.audio_encoder, 16_000)] == [(1, 50, 384)] * 5

    @pytest.mark.parametrize("name", TEXT)
    def test_text_encoders(self, name: str, published: Path) -> None:
        model, tokenizer = assemble(published / "wav2vec2", published / name)
        stock = TEXT[name][1].from_pretrained(published / name).eval()
        ids, mask = token_batch((11,))
        with torch.no_grad():
            ours = model.text_encoder.eval().layers(ids, mask)
            assert_states(ours, stock(input_ids=ids, output_hidden_states=True))
        assert tokenizer.encode("i am so happy").ids == tiny_tokenizer().encode("i am so happy").ids


class TestConfiguration:
    def test_fields_of_the_emotion_model_are_set(self, published: Path) -> None:
        model, _ = assemble(
            published / "hubert", str(published / "bert"), width=32, label_names=["yes", "no"]
        )
        assert isinstance(model, EmotionModel)
        assert (model.config.width, model.config.label_names) == (32, ["yes", "no"])

    @pytest.mark.parametrize(("name", "longest"), [("bert", 34), ("roberta", 32)])
    def test_max_tokens_is_that_of_the_text_encoder(self, name: str, longest: int, published: Path) -> None:
        assert assemble(published / "wavlm", published / name)[0].config.max_tokens == longest
        assert assemble(published / "wavlm", published / name, max_tokens=8)[0].config.max_tokens == 8
        with pytest.raises(CheckpointError, match=f"at most {longest}, .* got {longest + 1}"):
            assemble(published / "wavlm", published / name, max_tokens=longest + 1)

    @pytest.mark.parametrize("normalised", [True, False])
    def test_normalization_is_that_of_the_preprocessor(self, normalised: bool, copies: Path) -> None:
        Wav2Vec2FeatureExtractor(do_normalize=normalised).save_pretrained(copies / "wavlm")
        model, _ = assemble(copies / "wavlm", copies / "bert")
        assert model.config.audio_unit_variance == normalised
        assert model.audio_encoder.waveform_spec.unit_variance == normalised
        explicit, _ = assemble(copies / "wavlm", copies / "bert", audio_unit_variance=not normalised)
        assert explicit.audio_encoder.waveform_spec.unit_variance != normalised

    @pytest.mark.parametrize(
        ("name", "normalised"), [("wav2vec2", True), ("hubert", True), ("whisper", False)]
    )
    def test_a_checkpoint_without_a_preprocessor(self, name: str, normalised: bool, published: Path) -> None:
        model, _ = assemble(published / name, published / "bert")
        assert model.config.audio_unit_variance == normalised

    def test_a_preprocessor_without_do_normalize(self, copies: Path) -> None:
        """Its class normalises, then."""
        (copies / "hubert" / "preprocessor_config.json").write_text('{"sampling_rate": 16000}')
        model, _ = assemble(copies / "hubert", copies / "bert")
        assert model.config.audio_unit_variance

    def test_padding_of_the_tokenizer_is_disabled(self, copies: Path) -> None:
        """Sentence encoders have a tokenizer that pads by default."""
        padding = tiny_tokenizer()
        padding.enable_padding(length=20)
        save_tokenizer(padding, copies / "bert")
        _, tokenizer = assemble(copies / "wavlm", copies / "bert")
        assert len(tokenizer.encode("happy").ids) < 20


@pytest.mark.parametrize("audio", [*AUDIO, "whisper"])
def test_an_assembled_model_is_saved_loaded_and_run(audio: str, published: Path, tmp_path: Path) -> None:
    model, tokenizer = assemble(published / audio, published / "distilbert")
    save_checkpoint(model, tokenizer, tmp_path / "written")
    ours = load_checkpoint(tmp_path / "written").model.state_dict()
    theirs = EmotionModel.from_pretrained(tmp_path / "written", dtype=torch.float32).state_dict()
    assert ours.keys() == theirs.keys() == model.state_dict().keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    recognizer = EmotionRecognizer.load(tmp_path / "written", device="cpu", dtype="float32")
    speech = EmotionInput(Clip(noise(16_000)), Transcript("i am so happy"))
    assert sum(recognizer.recognize([speech])[0].probabilities) == pytest.approx(1.0)
