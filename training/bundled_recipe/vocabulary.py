"""The WordPiece vocabulary, learned by the recipe on its own texts."""

from __future__ import annotations

from collections.abc import Iterable

from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.pre_tokenizers import WhitespaceSplit
from tokenizers.processors import TemplateProcessing
from tokenizers.trainers import WordPieceTrainer

from emostream.models.text_normalization import normalize_text

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]


def learn_tokenizer(texts: Iterable[str], size: int) -> Tokenizer:
    """Texts are brought to the spoken form first: the only form that the model ever reads.

    Of pieces that are equally frequent the trainer takes one or the other by chance.
    """
    learner = tokenizer_of(())
    trainer = WordPieceTrainer(
        vocab_size=size, special_tokens=SPECIAL, show_progress=False, limit_alphabet=64, min_frequency=3
    )
    learner.train_from_iterator((normalize_text(text) for text in texts), trainer)
    return tokenizer_of(learner.get_vocab())


def tokenizer_of(pieces: Iterable[str]) -> Tokenizer:
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
