"""Word error rates of the transcriber, by corpus and emotion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import jiwer

from emostream.models import Transcript
from emostream.models.text_normalization import normalize_text

from ..corpora.example import Example
from .transcripts import Transcripts

ALL = "all"
"""In place of the emotion, in the row of a whole corpus."""


@dataclass(frozen=True, slots=True)
class TranscriptRow:
    """One corpus, or one emotion of it.

    word_error_rate: errors per spoken word, over the clips whose English words are known, in the spoken form
    that the model reads; None where there are none. empty: share of the clips with an empty transcript.
    rejected: share of which the hallucination filter rejected text.
    """

    corpus: str
    emotion: str
    clips: int
    word_error_rate: float | None
    empty: float
    rejected: float


def transcript_rows(examples: Sequence[Example], transcripts: Transcripts) -> list[TranscriptRow]:
    """For each corpus a row over all, then one for each emotion; corpora as they come, emotions by name."""
    rows: list[TranscriptRow] = []
    for corpus in dict.fromkeys(example.corpus for example in examples):
        clips = [(example, transcripts[example.key]) for example in examples if example.corpus == corpus]
        rows.append(_row(corpus, ALL, clips))
        for emotion in sorted({example.emotion for example, _ in clips}):
            rows.append(_row(corpus, emotion, [clip for clip in clips if clip[0].emotion == emotion]))
    return rows


def transcript_table(rows: Sequence[TranscriptRow]) -> str:
    """Markdown; shares in percent."""
    lines = [
        "| corpus | emotion | clips | word error rate | empty | rejected |",
        "|---|---|---:|---:|---:|---:|",
    ]
    for row in rows:
        rate = "none known" if row.word_error_rate is None else _percent(row.word_error_rate)
        shares = f"{_percent(row.empty)} | {_percent(row.rejected)}"
        lines.append(f"| {row.corpus} | {row.emotion} | {row.clips:,} | {rate} | {shares} |")
    return "\n".join(lines)


def _row(corpus: str, emotion: str, clips: Sequence[tuple[Example, Transcript]]) -> TranscriptRow:
    empty = sum(not normalize_text(transcript.text) for _, transcript in clips)
    rejected = sum(transcript.rejected is not None for _, transcript in clips)
    return TranscriptRow(
        corpus, emotion, len(clips), _word_error_rate(clips), empty / len(clips), rejected / len(clips)
    )


def _word_error_rate(clips: Sequence[tuple[Example, Transcript]]) -> float | None:
    pairs = [
        (normalize_text(example.english), normalize_text(transcript.text)) for example, transcript in clips
    ]
    known = [(reference, hypothesis) for reference, hypothesis in pairs if reference]
    if not known:
        return None
    references, hypotheses = zip(*known, strict=True)
    return float(jiwer.process_words(list(references), list(hypotheses)).wer)


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
