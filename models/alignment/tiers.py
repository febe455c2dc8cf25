"""Placed phones to the three tiers of an alignment, and phones spread out where nobody placed them."""

from __future__ import annotations

from collections.abc import Sequence

from ..types import Alignment, AlignmentMethod, Span, Word
from .pronunciation import Token
from .syllables import syllabify

TokenSpans = Sequence[Span]
"""The phones of one spoken word, in order, where the sound has them."""


def forced_tiers(
    words: Sequence[Word], spoken: Sequence[Sequence[Token]], placed: Sequence[TokenSpans]
) -> Alignment:
    """words: as displayed, their own times are not read. spoken: the tokens of each. placed: the phones of
    every token in turn.

    A word spans its tokens. One that says nothing (`-`) lies empty behind the word in front of it.
    """
    rest = iter(placed)
    spans_of = [[next(rest) for _ in tokens] for tokens in spoken]
    located: list[Word] = []
    behind = min((spans[0].start for spans in placed), default=0)
    for word, token_spans in zip(words, spans_of, strict=True):
        start, end = (token_spans[0][0].start, token_spans[-1][-1].end) if token_spans else (behind, behind)
        located.append(Word(word.text, start, end, word.p))
        behind = end
    return _tiers(located, placed, "forced")


def spread_tiers(placed: Alignment, spoken: Sequence[Sequence[Token]]) -> Alignment:
    """The alignment with each word's phones at even distances inside its span, and syllables from them.

    Words that overlap are taken one after the other, so that phones stay in order.
    """
    tokens_spans: list[TokenSpans] = []
    earliest = 0
    for word, tokens in zip(placed.words, spoken, strict=True):
        start = max(word.start, earliest)
        end = max(word.end, start)
        tokens_spans += _even_spans(tokens, start, end)
        earliest = end
    return _tiers(placed.words, tokens_spans, placed.method)


def _even_spans(tokens: Sequence[Token], start: int, end: int) -> list[TokenSpans]:
    count = sum(len(token.phones) for token in tokens)
    edges = [start + (end - start) * index // max(count, 1) for index in range(count + 1)]
    spans: list[TokenSpans] = []
    before = 0
    for token in tokens:
        own = edges[before : before + len(token.phones) + 1]
        spans.append([Span(p, a, b) for p, a, b in zip(token.phones, own, own[1:], strict=False)])
        before += len(token.phones)
    return spans


def _tiers(words: Sequence[Word], token_spans: Sequence[TokenSpans], method: AlignmentMethod) -> Alignment:
    phones = tuple(phone for spans in token_spans for phone in spans)
    syllables = tuple(syllable for spans in token_spans for syllable in syllable_spans(spans))
    return Alignment(tuple(words), syllables, phones, method)


def syllable_spans(phones: TokenSpans) -> list[Span]:
    """The syllables of one spoken word, each named by its phones: `N-EH-K-S-T`."""
    return [
        Span(
            "-".join(phones[index].text for index in part),
            phones[part.start].start,
            phones[part.stop - 1].end,
        )
        for part in syllabify([phone.text for phone in phones])
    ]
