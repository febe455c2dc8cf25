"""The WordPiece vocabulary, trained by the recipe on its own texts."""

from __future__ import annotations

from collections.abc import Iterable

from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.pre_tokenizers import WhitespaceSplit
from tokenizers.processors import TemplateProcessing
from tokenizers.trainers import WordPieceTrainer

from emostream.models.text_normalization import normalize_text

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]


def train_tokenizer(texts: Iterable[str], size: int) -> Tokenizer:
    """Texts are normalized first, as all text that the model reads.

    Among equally frequent pieces the trainer's choice is arbitrary.
    """
    untrained = build_tokenizer(())
    trainer = WordPieceTrainer(
        vocab_size=size, special_tokens=SPECIAL, show_progress=False, limit_alphabet=64, min_frequency=3
    )
    untrained.train_from_iterator((normalize_text(text) for text in texts), trainer)
    return build_tokenizer(untrained.get_vocab())


def build_tokenizer(pieces: Iterable[str]) -> Tokenizer:
    """A tokenizer of these pieces, numbered in alphabetical order behind the special tokens."""
    numbered = SPECIAL + sorted(set(pieces) - set(SPECIAL))
    vocabulary = {piece: index for index, piece in enumerate(numbered)}
    tokenizer = Tokenizer(WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = WhitespaceSplit()
    tokenizer.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]",
        special_tokens=[(token, SPECIAL.index(token)) for token in ("[CLS]", "[SEP]")],
    )
    return tokenizer
