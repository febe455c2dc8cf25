"""The word, syllable and phone tiers of an alignment, from aligned or evenly spaced phones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..types import Alignment, AlignmentMethod, Span, Word
from .pronunciation import Pronunciation, Token
from .syllables import syllabify

TokenSpans = Sequence[Span]
"""The phones of one spoken word with their time spans, in order."""


def forced_tiers(
    words: Sequence[Word],
    spoken: Sequence[Pronunciation],
    placed: Sequence[TokenSpans],
    samples: int,
) -> Alignment:
    """Tiers from forced alignment. words: as displayed, their own times are ignored. spoken: the tokens of
    each. placed: the phones of every token in turn, at least one. samples: the clip's length.

    A word spans its tokens. One without a pronunciation fills the gap between its neighbours, or up to the
    clip's edge; several in one gap share it in proportion to their letters. An unspoken one (`-`) gets an
    empty span after the preceding word.
    """
    rest = iter(placed)
    located: list[Word] = []
    pending: list[tuple[Word, bool]] = []
    for word, tokens in zip(words, spoken, strict=True):
        if not tokens:
            pending.append((word, tokens is None))
            continue
        spans = [phone for _ in tokens for phone in next(rest)]
        located += _fill_gap(pending, located[-1].end if located else 0, spans[0].start)
        located.append(Word(word.text, spans[0].start, spans[-1].end, word.confidence))
        pending = []
    located += _fill_gap(pending, located[-1].end if located else 0, samples)
    return _tiers(located, placed, "forced")


def _fill_gap(words: Sequence[tuple[Word, bool]], start: int, end: int) -> Iterator[Word]:
    """Spread words without phones over [start, end) in proportion to their letters. Each word comes with
    whether it is spoken: only those take up time."""
    total = sum(len(word.text) for word, is_spoken in words if is_spoken)
    before = 0
    for word, is_spoken in words:
        after = before + len(word.text) * is_spoken
        edges = [start + (end - start) * letters // max(total, 1) for letters in (before, after)]
        yield Word(word.text, edges[0], edges[1], word.confidence)
        before = after


def even_tiers(placed: Alignment, spoken: Sequence[Pronunciation]) -> Alignment:
    """The alignment with each word's phones evenly spaced inside its span, and syllables from them.

    Overlapping words are taken one after the other, so that phones stay in order. A word without a
    pronunciation keeps its span, without phones.
    """
    tokens_spans: list[TokenSpans] = []
    earliest = 0
    for word, tokens in zip(placed.words, spoken, strict=True):
        start = max(word.start, earliest)
        end = max(word.end, start)
        tokens_spans += _even_spans(tokens or (), start, end)
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
