"""The vocabulary: frequent words whole, rare ones in pieces, indices in alphabetical order."""

from __future__ import annotations

from emostream.training.distillation.vocabulary import SPECIAL, build_tokenizer, train_tokenizer


def test_frequent_words_are_whole_and_rare_ones_split() -> None:
    tokenizer = train_tokenizer(["Happy HAPPY!", "happy day", "a sad happy day"] * 20 + ["yap"], 60)
    assert tokenizer.encode("happy").tokens == ["[CLS]", "happy", "[SEP]"]
    pieces = tokenizer.encode("yap").tokens[1:-1]
    assert len(pieces) > 1
    assert "".join(pieces).replace("##", "") == "yap"


def test_indices_are_alphabetical_after_the_special_tokens() -> None:
    vocabulary = build_tokenizer(["so", "happy", "[PAD]", "##y"]).get_vocab()
    assert sorted(vocabulary, key=lambda piece: vocabulary[piece]) == [*SPECIAL, "##y", "happy", "so"]


def test_the_size_is_a_limit() -> None:
    words = [f"word{a}{b}" for a in "abcdefgh" for b in "abcdefgh"]
    assert train_tokenizer(words * 5, 40).get_vocab_size() <= 40
