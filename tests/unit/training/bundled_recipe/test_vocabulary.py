"""The vocabulary: whole words where they are frequent, pieces where not, numbers in alphabetical order."""

from __future__ import annotations

from emostream.training.bundled_recipe.vocabulary import SPECIAL, learn_tokenizer, tokenizer_of


def test_frequent_words_are_whole_and_rare_ones_are_spelt() -> None:
    tokenizer = learn_tokenizer(["Happy HAPPY!", "happy day", "a sad happy day"] * 20 + ["yap"], 60)
    assert tokenizer.encode("happy").tokens == ["[CLS]", "happy", "[SEP]"]
    pieces = tokenizer.encode("yap").tokens[1:-1]
    assert len(pieces) > 1
    assert "".join(pieces).replace("##", "") == "yap"


def test_numbers_follow_the_alphabet_behind_the_special_tokens() -> None:
    vocabulary = tokenizer_of(["so", "happy", "[PAD]", "##y"]).get_vocab()
    assert sorted(vocabulary, key=lambda piece: vocabulary[piece]) == [*SPECIAL, "##y", "happy", "so"]


def test_a_size_is_a_limit() -> None:
    words = [f"word{a}{b}" for a in "abcdefgh" for b in "abcdefgh"]
    assert learn_tokenizer(words * 5, 40).get_vocab_size() <= 40
