"""Word spans from a transcript alone: the transcriber's word times, or an even split of the clip."""

from __future__ import annotations

from collections.abc import Sequence

from ..types import Alignment, Clip, Transcript, Word


def align_from_transcript(transcript: Transcript | None, samples: int) -> Alignment:
    """An alignment of words only, from the transcript's own word times or an even split."""
    timed = transcript is not None and bool(transcript.words)
    return Alignment(word_spans(transcript, samples), method="word_times" if timed else "even")


class TranscriptAligner:
    """`types.Aligner` of words only, by `align_from_transcript`: what is left without an acoustic model."""

    def align(self, clips: Sequence[Clip], transcripts: Sequence[Transcript | None]) -> list[Alignment]:
        return [
            align_from_transcript(transcript, len(clip.samples))
            for clip, transcript in zip(clips, transcripts, strict=True)
        ]


def word_spans(transcript: Transcript | None, samples: int) -> tuple[Word, ...]:
    """Words in order, each span inside [0, samples) and none starting before the one in front of it.

    Without word times the clip is split evenly by character count: crude, but it keeps the order and the
    proportions. Without a transcript or text there are no words.
    """
    if transcript is None or not transcript.text.strip():
        return ()
    words = transcript.words or _even_split(transcript.text.split(), samples)
    placed: list[Word] = []
    earliest = 0
    for word in words:
        start = min(max(word.start, earliest), samples)
        end = min(max(word.end, start), samples)
        placed.append(Word(word.text, start, end, word.confidence))
        earliest = start
    return tuple(placed)


def _even_split(texts: list[str], samples: int) -> tuple[Word, ...]:
    total = sum(map(len, texts))
    words, before = [], 0
    for text in texts:
        start, end = before * samples // total, (before + len(text)) * samples // total
        words.append(Word(text, start, end))
        before += len(text)
    return tuple(words)
