"""The WordPiece vocabulary, learned by the recipe on its own texts."""

from __future__ import annotations

from collections.abc import Iterable

from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.pre_tokenizers import WhitespaceSplit
from tokenizers.processors import TemplateProcessing
from tokenizers.trainers import WordPieceTrainer

from emostream.models.wording import spoken

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]


def learn_tokenizer(texts: Iterable[str], size: int) -> Tokenizer:
    """Texts are brought to the spoken form first: the only form that the model ever reads."""
    tokenizer = Tokenizer(WordPiece(unk_token="[UNK]"))
    tokenizer.pre_tokenizer = WhitespaceSplit()
    trainer = WordPieceTrainer(
        vocab_size=size, special_tokens=SPECIAL, show_progress=False, limit_alphabet=64, min_frequency=3
    )
    tokenizer.train_from_iterator((spoken(text) for text in texts), trainer)
    # The trainer numbers pieces of equal rank by chance; longest match does not care for the numbers.
    pieces = SPECIAL + sorted(set(tokenizer.get_vocab()) - set(SPECIAL))
    tokenizer.model = WordPiece({piece: index for index, piece in enumerate(pieces)}, unk_token="[UNK]")
    tokenizer.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]",
        special_tokens=[(token, SPECIAL.index(token)) for token in ("[CLS]", "[SEP]")],
    )
    return tokenizer
