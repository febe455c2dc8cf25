"""Tiny checkpoints as on the model hub: whole networks of other tasks, a tokenizer beside the text ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from tokenizers import Tokenizer
from transformers import (
    BertForMaskedLM,
    BertModel,
    DistilBertForMaskedLM,
    DistilBertModel,
    HubertForCTC,
    HubertModel,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    RobertaForMaskedLM,
    RobertaModel,
    Wav2Vec2ForPreTraining,
    Wav2Vec2Model,
    WavLMModel,
    WhisperForConditionalGeneration,
)

from tests.support.tiny_emotion import tiny_tokenizer
from tests.support.tiny_encoders import audio_configs, text_config

AUDIO: dict[str, tuple[Callable[..., PreTrainedModel], str, Callable[..., PreTrainedModel]]] = {
    "wav2vec2": (Wav2Vec2ForPreTraining, "wav2vec2, group norm", Wav2Vec2Model),
    "wav2vec2-stable": (Wav2Vec2ForPreTraining, "wav2vec2, stable", Wav2Vec2Model),
    "hubert": (HubertForCTC, "hubert", HubertModel),
    "wavlm": (WavLMModel, "wavlm", WavLMModel),
}
"""Folder -> whose checkpoint lies in it, of which tiny configuration, and the stock network that reads it."""

TEXT = {
    "bert": (BertForMaskedLM, BertModel),
    "roberta": (RobertaForMaskedLM, RobertaModel),
    "distilbert": (DistilBertForMaskedLM, DistilBertModel),
}


def publish(root: Path) -> Path:
    """Write AUDIO, TEXT, `whisper` and `whisper-encoder` to folders of `root`, and return it."""
    torch.manual_seed(0)
    for name, (network, kind, _) in AUDIO.items():
        network(audio_configs()[kind]).save_pretrained(root / name)
    whole = WhisperForConditionalGeneration(audio_configs()["whisper"])
    whole.save_pretrained(root / "whisper")
    whole.model.encoder.save_pretrained(root / "whisper-encoder")
    for name, (network, _) in TEXT.items():
        network(text_config(name)).save_pretrained(root / name)
        save_tokenizer(tiny_tokenizer(), root / name)
    return root


def publish_one_layer(root: Path) -> tuple[Path, Path]:
    """Folders of a wav2vec 2.0 and of a BERT with one layer each, for fits by the hundred."""
    torch.manual_seed(0)
    audio, text = root / "wav2vec2-1", root / "bert-1"
    shape = audio_configs()["wav2vec2, group norm"]
    shape.num_hidden_layers = 1
    Wav2Vec2Model(shape).save_pretrained(audio)
    BertModel(text_config("bert", num_hidden_layers=1)).save_pretrained(text)
    save_tokenizer(tiny_tokenizer(), text)
    return audio, text


def save_tokenizer(tokenizer: Tokenizer, folder: Path) -> None:
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="[UNK]", pad_token="[PAD]", cls_token="[CLS]", sep_token="[SEP]"
    ).save_pretrained(folder)
