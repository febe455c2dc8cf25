"""A checkpoint folder: self-contained, read strictly, with one clear line for any damage."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from transformers import PreTrainedTokenizerFast

from emostream.models import CheckpointError, load_recognizer
from emostream.models.checkpoint import load_checkpoint, save_checkpoint
from emostream.models.checkpoint_files import BUNDLED, resolve_checkpoint
from emostream.models.emotion import EmotionModel
from emostream.models.graphs.files import GRAPH_FILES
from tests.support.tiny_emotion import tiny_config, tiny_model, tiny_tokenizer, write_tiny


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny(tmp_path_factory.mktemp("whole"))


@pytest.fixture
def folder(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "copy"))


def test_a_round_trip(whole: Path) -> None:
    model, wanted = load_checkpoint(whole).model, tiny_model().state_dict()
    assert not model.training
    for name, weights in model.state_dict().items():
        assert weights.dtype == wanted[name].dtype
        torch.testing.assert_close(weights, wanted[name], atol=2e-3, rtol=1e-3)


def test_from_pretrained_reads_the_same(whole: Path) -> None:
    """from_pretrained and our strict reading agree, buffers included."""
    theirs = EmotionModel.from_pretrained(whole)
    ours = load_checkpoint(whole).model
    assert dict(theirs.config.temperatures) == ours.config.temperatures
    for name, buffer in ours.named_buffers():
        assert torch.equal(buffer, dict(theirs.named_buffers())[name])
    for name, weights in ours.state_dict().items():
        assert torch.equal(weights, theirs.state_dict()[name])


def test_calibration_and_thresholds_are_saved_with_the_weights(tmp_path: Path) -> None:
    config = tiny_config()
    config.temperatures["fused_both"] = 1.7
    config.late_weights["audio"] = {"early": 0.25, "audio": 0.75}
    config.text_prior = [0.1, 0.2, 0.3, 0.4]
    config.low_snr_db = 3.0
    config.save_pretrained(tmp_path)
    again = type(config).from_pretrained(tmp_path)
    assert again.temperatures["fused_both"] == 1.7
    assert again.late_weights["audio"] == {"early": 0.25, "audio": 0.75}
    assert again.text_prior == [0.1, 0.2, 0.3, 0.4]
    assert again.low_snr_db == 3.0
    assert again.label_names == ["angry", "happy", "sad", "neutral"]


def test_saving_does_not_change_the_model(tmp_path: Path) -> None:
    model = tiny_model()
    before = (model.config.to_dict(), {name: weights.clone() for name, weights in model.state_dict().items()})
    save_checkpoint(model, tiny_tokenizer(), tmp_path)
    assert model.config.to_dict() == before[0]
    assert all(torch.equal(weights, before[1][name]) for name, weights in model.state_dict().items())


def test_weights_too_large_for_float16_keep_their_values(tmp_path: Path) -> None:
    model = tiny_model()
    with torch.no_grad():
        model.absent_text[0] = 1e6
    save_checkpoint(model, tiny_tokenizer(), tmp_path)
    assert load_checkpoint(tmp_path).model.absent_text[0] == 1e6


def test_buffers_keep_their_precision(tmp_path: Path) -> None:
    """Although weights are saved in half precision, and with values that do not fit into it."""
    model = tiny_model(audio_mix="concat", audio_mix_width=12)
    mean = model.audio_encoder.mix.get_buffer("mean").fill_(1e6 + 0.125)
    save_checkpoint(model, tiny_tokenizer(), tmp_path)
    held = load_file(tmp_path / "model.safetensors")
    assert {name for name, tensor in held.items() if tensor.dtype == torch.float32} == {
        "audio_encoder.mix.mean",
        "audio_encoder.mix.scale",
    }
    assert torch.equal(load_checkpoint(tmp_path).model.audio_encoder.mix.get_buffer("mean"), mean)


def test_transformers_finds_the_existing_special_tokens(tmp_path: Path) -> None:
    """A tokenizer in RoBERTa's spelling gets no token added when transformers loads it."""
    tokenizer = Tokenizer(WordLevel({"<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3, "so": 4}, "<unk>"))
    tokenizer.pre_tokenizer = WhitespaceSplit()
    save_checkpoint(tiny_model(), tokenizer, tmp_path)
    theirs = PreTrainedTokenizerFast.from_pretrained(tmp_path)
    assert (theirs.pad_token_id, theirs.cls_token_id, theirs.unk_token_id) == (1, 0, 3)
    assert len(theirs) == 5


def test_a_saved_tokenizer_neither_pads_nor_truncates(tmp_path: Path) -> None:
    tokenizer = Tokenizer.from_str(tiny_tokenizer().to_str())
    tokenizer.enable_padding(length=30)
    tokenizer.enable_truncation(3)
    save_checkpoint(tiny_model(), tokenizer, tmp_path)
    ids = load_checkpoint(tmp_path).tokenizer.encode("i am so happy").ids
    assert ids == tiny_tokenizer().encode("i am so happy").ids


def remove(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def cut(name: str, keep: float) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        data = (folder / name).read_bytes()
        (folder / name).write_bytes(data[: int(keep * len(data))])

    return damage


def configure(**fields: object) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        file = folder / "config.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | fields))

    return damage


def weights(change: Callable[[dict[str, torch.Tensor]], object]) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        held = load_file(folder / "model.safetensors")
        change(held)
        save_file(held, folder / "model.safetensors")

    return damage


def spoil(held: dict[str, torch.Tensor]) -> None:
    held["absent_text"][0] = torch.nan


def exchange(held: dict[str, torch.Tensor]) -> None:
    held.clear()
    held["w"] = torch.zeros(2)


def text_of(name: str, text: str) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        (folder / name).write_text(text)

    return damage


def list_of_json(folder: Path) -> None:
    (folder / "config.json").write_text("[1, 2]")


DAMAGES: dict[str, tuple[Callable[[Path], None], str]] = {
    "no config": (remove("config.json"), "incomplete"),
    "no weights": (remove("model.safetensors"), "incomplete"),
    "no tokenizer": (remove("tokenizer.json"), "incomplete"),
    "config is not JSON": (text_of("config.json", "{"), "expected JSON"),
    "config is a list": (list_of_json, "JSON object"),
    "another program's config": (configure(model_type="bert"), "another program's"),
    "sizes that build nothing": (configure(feed_forward=-1), "sizes that build a model"),
    "a size of the wrong kind": (configure(feed_forward="wide"), "sizes that build a model"),
    "a width of the wrong kind": (configure(width="wide"), "width to be a whole number"),
    "heads that do not divide the width": (configure(width=7), "heads that divide the width 7, got 2"),
    "another width": (configure(width=32), "different models"),
    "another depth": (configure(layers=3), "different models"),
    "another granularity": (configure(granularities=["frame", "word"]), "different models"),
    "an unknown granularity": (configure(granularities=["letter"]), "out of frame, phone"),
    "a fusion that is none": (configure(fusion="middle"), "early, late, both"),
    "a temperature of 0": (configure(temperatures={"audio": 0.0}), "temperatures above 0"),
    "a temperature that turns the ranking round": (configure(temperatures={"text": -1}), "above 0"),
    "a temperature in words": (configure(temperatures={"text": "warm"}), "temperatures.text to be a number"),
    "a temperature of nothing": (configure(temperatures={"head": 1.0}), "got head"),
    "late weights without a pattern": (
        configure(late_weights={"both": {"early": 1.0, "audio": 0.0, "text": 0.0}}),
        "late_weights.audio for exactly early, audio",
    ),
    "late weights of another fusion": (configure(fusion="early"), "late_weights.both for exactly early"),
    "late weights that sum to nothing": (
        configure(late_weights={"both": {"early": 0.0, "audio": 0.0, "text": 0.0}}),
        "sum to 1",
    ),
    "a prior of two labels": (configure(text_prior=[0.5, 0.5]), "text_prior of 4 shares"),
    "a prior of more than all": (configure(text_prior=[0.5, 0.5, 0.5, 0.5]), "4 shares that sum to 1"),
    "a prior that rules a label out": (
        configure(text_prior=[0.5, 0.5, 0.0, 0.0]),
        "text_prior to be a number",
    ),
    "a threshold that is none": (configure(low_confidence_p=float("nan")), "low_confidence_p"),
    "a threshold in words": (configure(too_short_s="short"), "too_short_s to be a number"),
    "the same label twice": (configure(label_names=["sad", "sad"]), "different label_names"),
    "more tokens than the encoder reads": (configure(max_tokens=4_000), "max_tokens of at most 32"),
    "no tokens": (configure(max_tokens=0), "max_tokens"),
    "a text encoder in place of the audio encoder": (
        configure(audio_config={"model_type": "bert"}),
        "audio encoder",
    ),
    "truncated weights": (cut("model.safetensors", 0.5), "damaged"),
    "empty weights": (cut("model.safetensors", 0.0), "damaged"),
    "weights that are text": (text_of("model.safetensors", "hello, this is no tensor"), "damaged"),
    "a tensor too few": (weights(lambda held: held.pop("absent_text")), "absent_text"),
    "a tensor too many": (weights(lambda held: held.update(extra=torch.zeros(1))), "extra"),
    "foreign weights": (weights(exchange), "different"),
    "not a number": (weights(spoil), "not finite"),
    "truncated tokenizer": (cut("tokenizer.json", 0.5), "damaged"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_damage_is_rejected_with_one_line(name: str, folder: Path) -> None:
    damage, message = DAMAGES[name]
    damage(folder)
    with pytest.raises(CheckpointError, match=message) as caught:
        load_recognizer(folder, device="cpu")
    message = str(caught.value)
    assert "\n" not in message
    assert str(folder) in message


@pytest.mark.parametrize("name", DAMAGES)
def test_damage_beside_graphs_is_rejected_with_one_line(name: str, tmp_path: Path) -> None:
    """As it is read without torch."""
    folder = Path(shutil.copytree(BUNDLED, tmp_path / "copy"))
    DAMAGES[name][0](folder)
    with pytest.raises(CheckpointError) as caught:
        load_recognizer(folder, device="cpu")
    assert "\n" not in str(caught.value)
    assert str(folder) in str(caught.value)


@pytest.mark.parametrize("name", ["./nowhere", "/nowhere/at/all", "nowhere", Path("some/where")])
def test_a_missing_folder_is_rejected(name: str | Path) -> None:
    with pytest.raises(CheckpointError, match="found none"):
        resolve_checkpoint(name)


def test_an_unavailable_hub_name_is_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(name: str) -> str:
        raise OSError(f"no network for {name}")

    monkeypatch.setattr("huggingface_hub.snapshot_download", offline)
    with pytest.raises(CheckpointError, match="check the name or the network"):
        resolve_checkpoint("owner/model")


def test_loading_a_folder_needs_no_network(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("loading a folder used the network")

    monkeypatch.setattr("socket.socket.connect", refuse)
    monkeypatch.setattr("socket.getaddrinfo", refuse)
    assert load_recognizer(folder, device="cpu").labels


class TestBundled:
    def test_the_bundled_checkpoint_is_complete_and_small(self) -> None:
        held = {file.name for file in BUNDLED.iterdir()}
        assert held >= {
            "config.json",
            "model.safetensors",
            "tokenizer.json",
            "preprocessor_config.json",
            "README.md",
            "LICENSE.md",
            "audio_used.csv",
            *GRAPH_FILES,
        }
        assert sum(file.stat().st_size for file in BUNDLED.iterdir()) <= 20_000_000

    def test_the_bundled_checkpoint_is_the_default_without_a_shared_encoder(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("emostream.models.encoders.identity.whisper_folders", lambda name: ())
        assert resolve_checkpoint(None) == BUNDLED
