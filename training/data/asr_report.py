"""Word errors of the transcriber, by kind, corpus and emotion; and those that training simulates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import jiwer

from emostream.models import Transcript
from emostream.models.text_normalization import normalize_text

from ..augmentation.asr_noise import simulate_asr_errors
from ..augmentation.confusions import Confusions
from ..augmentation.settings import TextErrorRates
from ..corpora.example import Example
from ..trainer.seeding import example_rng
from .transcripts import Transcripts

ALL = "all"
"""In place of the emotion, in the row of a whole corpus."""


@dataclass(frozen=True, slots=True)
class WordErrors:
    """Errors of each kind per spoken word."""

    substitutions: float
    deletions: float
    insertions: float

    @property
    def rate(self) -> float:
        """The word error rate."""
        return self.substitutions + self.deletions + self.insertions


def word_errors(references: Sequence[str], hypotheses: Sequence[str]) -> WordErrors:
    """Of texts in their spoken form, by the alignment of least errors. No reference may be empty."""
    found = jiwer.process_words(list(references), list(hypotheses))
    spoken = found.hits + found.substitutions + found.deletions
    return WordErrors(found.substitutions / spoken, found.deletions / spoken, found.insertions / spoken)


def simulated_word_errors(
    examples: Sequence[Example], confusions: Confusions, rates: TextErrorRates, repeats: int = 20
) -> WordErrors | None:
    """Of `simulate_asr_errors` on the known English words; None where there are none. repeats: draws of
    each.
    """
    references = [text for example in examples if (text := normalize_text(example.english))]
    drawn = [
        simulate_asr_errors(text, confusions, rates, example_rng(repeat, place, text))
        for repeat in range(repeats)
        for place, text in enumerate(references)
    ]
    return word_errors(references * repeats, drawn) if references else None


@dataclass(frozen=True, slots=True)
class TranscriptRow:
    """One corpus, or one emotion of it.

    word_errors: over the clips whose English words are known, in the spoken form that the model reads; None
    where there are none. empty: share of the clips with an empty transcript.
    rejected: share of which the hallucination filter rejected text.
    """

    corpus: str
    emotion: str
    clips: int
    word_errors: WordErrors | None
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
        "| corpus | emotion | clips | word error rate | substituted | deleted | inserted | empty "
        "| rejected |",
        "|---|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for row in rows:
        shares = f"{_percent(row.empty)} | {_percent(row.rejected)}"
        lines.append(
            f"| {row.corpus} | {row.emotion} | {row.clips:,} | {_error_cells(row.word_errors)} | {shares} |"
        )
    return "\n".join(lines)


def simulated_line(errors: WordErrors) -> str:
    """A line under `transcript_table`."""
    return f"| simulated (`text_noise`) | {ALL} | | {_error_cells(errors)} | | |"


def _error_cells(errors: WordErrors | None) -> str:
    if errors is None:
        return "none known | | |"
    kinds = (errors.rate, errors.substitutions, errors.deletions, errors.insertions)
    return " | ".join(map(_percent, kinds))


def _row(corpus: str, emotion: str, clips: Sequence[tuple[Example, Transcript]]) -> TranscriptRow:
    empty = sum(not normalize_text(transcript.text) for _, transcript in clips)
    rejected = sum(transcript.rejected is not None for _, transcript in clips)
    return TranscriptRow(
        corpus, emotion, len(clips), _word_errors(clips), empty / len(clips), rejected / len(clips)
    )


def _word_errors(clips: Sequence[tuple[Example, Transcript]]) -> WordErrors | None:
    pairs = [
        (normalize_text(example.english), normalize_text(transcript.text)) for example, transcript in clips
    ]
    known = [(reference, hypothesis) for reference, hypothesis in pairs if reference]
    if not known:
        return None
    references, hypotheses = zip(*known, strict=True)
    return word_errors(references, hypotheses)


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
