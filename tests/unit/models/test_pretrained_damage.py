"""A pretrained encoder that is damaged, unsupported or missing is rejected with one clear line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models
from transformers import GPT2Config

from emostream.models import CheckpointError
from emostream.models.pretrained import assemble
from tests.support.tiny_encoders import LAYERS, VOCABULARY
from tests.support.tiny_pretrained import save_tokenizer


def configure(folder: str, **fields: object) -> Callable[[Path], None]:
    def damage(root: Path) -> None:
        file = root / folder / "config.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | fields))

    return damage


def remove(name: str) -> Callable[[Path], None]:
    return lambda root: (root / name).unlink()


def cut(name: str) -> Callable[[Path], None]:
    def damage(root: Path) -> None:
        data = (root / name).read_bytes()
        (root / name).write_bytes(data[: len(data) // 2])

    return damage


def weights(folder: str, change: Callable[[dict[str, torch.Tensor]], object]) -> Callable[[Path], None]:
    def damage(root: Path) -> None:
        file = root / folder / "model.safetensors"
        held = load_file(file)
        change(held)
        save_file(held, file, metadata={"format": "pt"})

    return damage


def lose_one(held: dict[str, torch.Tensor]) -> None:
    del held[next(name for name in sorted(held) if name.endswith("layers.1.final_layer_norm.weight"))]


def spoil_one(held: dict[str, torch.Tensor]) -> None:
    held[next(name for name in held if name.endswith("layer.1.output.dense.weight"))][0, 0] = torch.inf


def half_a_preprocessor(root: Path) -> None:
    (root / "wav2vec2" / "preprocessor_config.json").write_text('{"do_normalize":')


def without_tokenizer(root: Path) -> None:
    for file in (root / "bert").glob("*token*"):
        file.unlink()


def too_many_tokens(root: Path) -> None:
    words = {"[PAD]": 0, "[UNK]": 1, "[CLS]": 2, "[SEP]": 3} | {f"w{n}": n for n in range(4, VOCABULARY + 1)}
    save_tokenizer(Tokenizer(models.WordLevel(words, unk_token="[UNK]")), root / "bert")


def foreign(folder: str) -> Callable[[Path], None]:
    return lambda root: GPT2Config().save_pretrained(root / folder)


DAMAGES: dict[str, tuple[Callable[[Path], None], str]] = {
    "no configuration": (remove("wav2vec2/config.json"), "found none: the checkpoint is incomplete"),
    "configuration that is cut": (cut("bert/config.json"), "with a configuration"),
    "an unheard-of type": (configure("wav2vec2", model_type="unheard-of"), "with a configuration"),
    "sizes that build nothing": (configure("wav2vec2", num_attention_heads=5), "that build a network"),
    "text for audio": (foreign("wav2vec2"), "an audio encoder out of"),
    "a writer for a reader": (foreign("bert"), "a text encoder out of"),
    "no audio weights": (remove("wav2vec2/model.safetensors"), "intact weights"),
    "no text weights": (remove("bert/model.safetensors"), "intact weights"),
    "weights that are cut": (cut("wav2vec2/model.safetensors"), "intact weights"),
    "an audio weight too few": (weights("wav2vec2", lose_one), "1 are missing"),
    "another depth": (configure("bert", num_hidden_layers=LAYERS + 1), "16 are missing"),
    "another width": (configure("wav2vec2", intermediate_size=64), "intact weights"),
    "not a number": (weights("bert", spoil_one), "not finite"),
    "preprocessor that is cut": (half_a_preprocessor, "preprocessor_config.json"),
    "no tokenizer": (without_tokenizer, "expected a tokenizer"),
    "a tokenizer of another vocabulary": (
        too_many_tokens,
        f"at most {VOCABULARY} tokens, got {VOCABULARY + 1}",
    ),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_damage_is_rejected_with_one_line(name: str, copies: Path) -> None:
    damage, message = DAMAGES[name]
    damage(copies)
    with pytest.raises(CheckpointError, match=message) as caught:
        assemble(copies / "wav2vec2", copies / "bert")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["whisper", "whisper-encoder"])
def test_whisper_with_a_missing_weight_is_rejected(name: str, copies: Path) -> None:
    def lose(held: dict[str, torch.Tensor]) -> None:
        del held[next(weight for weight in held if weight.endswith("conv2.bias"))]

    weights(name, lose)(copies)
    with pytest.raises(CheckpointError, match=r"1 are missing \((encoder\.)?conv2\.bias"):
        assemble(copies / name, copies / "bert")


@pytest.mark.parametrize("name", ["./nowhere", "/nowhere/at/all", "owner/no-such-model", Path("no/where")])
def test_a_name_without_a_model_is_rejected(
    name: str | Path, published: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(CheckpointError, match=f"{name}: expected a folder or a hub model") as caught:
        assemble(name, published / "bert")
    assert "\n" not in str(caught.value)
