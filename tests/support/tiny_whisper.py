"""A Whisper of random weights in faster-whisper's format, small enough to be made by a test.

It is untrained, but it has the real shapes: 80 mels, 30 s windows, a byte-level vocabulary, special tokens
and time stamps, so loading, batching, decoding and word alignment run as they do in earnest.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
from ctranslate2.converters import TransformersConverter
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast, WhisperConfig, WhisperForConditionalGeneration

from emostream.models.transcription.hallucination import HallucinationThresholds

_TIME_STAMPS = 1_501
_WORDS = 300
LANGUAGES = ("en", "de", "pl")

BELIEVE_ALL = HallucinationThresholds(
    no_speech_prob=1.0,
    certain_no_speech_prob=1.0,
    logprob=-1e9,
    short_margin=-1e9,
    stock_margin=-1e9,
    short_loop_margin=-1e9,
    compression_ratio=1e9,
    loop_repeats=10_000,
    words_per_second=1e9,
)
"""No guard at all: what a random model babbles is what the tests want to see."""


def make_tiny_whisper(
    folder: Path,
    *,
    multilingual: bool = False,
    time_stamps: bool = False,
    ends_for: str | None = None,
    encoder_layers: int = 1,
    seed: int = 3,
) -> Path:
    """Write the model to `folder` / `ct2` and return that folder, the original beside it in `transformers`.

    time_stamps: whether it writes any. ends_for: a piece of the vocabulary where it ends its text instead of
    writing that; without one it hardly ever ends.
    """
    tokenizer = _byte_tokenizer(multilingual)
    size = tokenizer.get_vocab_size() + _TIME_STAMPS
    model = _random_whisper(tokenizer, size, encoder_layers, seed)
    if not time_stamps:
        with torch.no_grad():  # the output layer is the embedding: zero rows are never the likeliest
            model.model.decoder.embed_tokens.weight[-_TIME_STAMPS:] = 0.0
    if ends_for is not None:
        with torch.no_grad():
            table = model.model.decoder.embed_tokens.weight
            table[tokenizer.token_to_id("<|endoftext|>")] = 1.1 * table[tokenizer.token_to_id(ends_for)]
    source = folder / "transformers"
    model.save_pretrained(source)
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="<|endoftext|>", unk_token="<|endoftext|>"
    ).save_pretrained(source)
    target = folder / "ct2"
    TransformersConverter(str(source)).convert(str(target))
    if multilingual:
        config = json.loads((target / "config.json").read_text())
        config["lang_ids"] = [tokenizer.token_to_id(f"<|{code}|>") for code in LANGUAGES]
        (target / "config.json").write_text(json.dumps(config))
    tokenizer.save(str(target / "tokenizer.json"))
    (target / "preprocessor_config.json").write_text(json.dumps({"feature_size": 80}))
    return target


def _byte_tokenizer(multilingual: bool) -> Tokenizer:
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    pieces = [*letters, *(f"Ġw{i}" for i in range(_WORDS))]
    if multilingual:
        pieces.append("")  # CTranslate2's sign: only Whisper's multilingual vocabularies have this piece
    tokenizer = Tokenizer(models.BPE(vocab={piece: i for i, piece in enumerate(pieces)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = ["<|endoftext|>", "<|startoftranscript|>", *(f"<|{code}|>" for code in LANGUAGES)]
    special += ["<|translate|>", "<|transcribe|>", "<|startoflm|>", "<|startofprev|>", "<|nospeech|>"]
    special += ["<|notimestamps|>"]
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in special])
    return tokenizer


def _random_whisper(
    tokenizer: Tokenizer, size: int, layers: int, seed: int
) -> WhisperForConditionalGeneration:
    end = tokenizer.token_to_id("<|endoftext|>")
    torch.manual_seed(seed)
    return WhisperForConditionalGeneration(
        WhisperConfig(
            vocab_size=size,
            d_model=16,
            encoder_layers=layers,
            decoder_layers=2,
            encoder_attention_heads=2,
            decoder_attention_heads=2,
            encoder_ffn_dim=16,
            decoder_ffn_dim=16,
            num_mel_bins=80,
            bos_token_id=end,
            eos_token_id=end,
            pad_token_id=end,
            decoder_start_token_id=tokenizer.token_to_id("<|startoftranscript|>"),
            init_std=0.8,  # large: what it writes then differs from sound to sound
            suppress_tokens=[],
            begin_suppress_tokens=[],
        )
    )
