"""`emostream align`: forced alignment of one utterance."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, Literal

import msgspec
import typer
from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from emostream.models import (
    SAMPLE_RATE_HZ,
    Alignment,
    Clip,
    Samples,
    Span,
    Transcript,
    Word,
    load_aligner,
    load_transcriber,
)

from ..audio.decode import AudioFile, decode_file
from ..display_paths import printable
from ..errors import ConfigError, SourceError
from ..output.alignment_figure import write_png
from .output_files import check_png

_LONGEST_S: Final = 28
"""What Whisper transcribes at once; a longer alignment path would also be less reliable."""

_SAMPLES_PER_MS: Final = SAMPLE_RATE_HZ // 1000


def align(
    *,
    file: Path,
    text: str | None,
    png: Path | None,
    asr: str | None,
    language: str | None,
    form: Literal["text", "json"],
) -> None:
    """Run the command; `commands.align` has its options."""
    _check(text, png, asr)
    samples = _read_utterance(file)
    clip = Clip(samples, language)
    transcript = _transcript(clip, text, asr)
    (alignment,) = load_aligner().align([clip], [transcript])
    if form == "json":
        typer.echo(_json(file, transcript, alignment))
    else:
        _print_lines(alignment)
    if png is not None:
        missing = write_png(samples, alignment, f"{printable(file.name)}: {_HOW[alignment.method]}", png)
        if missing:
            note = Text(f"the plot's font has no glyphs for: {missing}")
            Console(stderr=True).print(note, soft_wrap=True)


def _check(text: str | None, png: Path | None, asr: str | None) -> None:
    """Raises ConfigError for wrong options, before anything is loaded."""
    if text is not None and not text.strip():
        raise ConfigError(
            "expected --text to have words, got none: write the transcript, or leave it to --asr"
        )
    if text is not None and printable(text) != text:
        raise ConfigError(f"expected --text in UTF-8, got {printable(text)!r}: write it in that encoding")
    if text is None and asr == "none":
        raise ConfigError("expected words to align, got --asr none: write them with --text")
    if png is not None:
        check_png(png)


def _read_utterance(file: Path) -> Samples:
    recording = AudioFile(file)
    declared_duration_s = recording.declared_duration_s
    recording.close()
    _check_duration(declared_duration_s or 0.0)
    samples = decode_file(file)
    _check_duration(len(samples) / SAMPLE_RATE_HZ)
    return samples


def _check_duration(seconds: float) -> None:
    if seconds > _LONGEST_S:
        raise SourceError(
            f"expected a recording of at most {_LONGEST_S} s, got {seconds:.1f} s: cut it, forced alignment "
            "is for one utterance"
        )


def _transcript(clip: Clip, text: str | None, asr: str | None) -> Transcript:
    if text is not None:
        return Transcript(text, clip.language)
    transcriber = load_transcriber(asr or "auto")
    if transcriber is None:  # `none` was rejected before
        raise ConfigError("expected words to align, got no transcriber: write them with --text")
    (transcript,) = transcriber.transcribe([clip])
    return transcript


_HOW: Final = {
    "forced": "forced alignment",
    "word_times": "no forced alignment; word times are the transcriber's",
    "even": "no forced alignment; an even split of the recording",
}


def _print_lines(alignment: Alignment) -> None:
    console, notes = Console(), Console(stderr=True)
    if not alignment.words:
        notes.print("no words: nothing was transcribed", highlight=False)
        return
    rows = [("start", "end", "word", "syllables", "phones (ms)"), *_rows(alignment)]
    widths = [max(cell_len(row[column]) for row in rows) for column in range(4)]
    for number, (start, end, *texts, phones) in enumerate(rows):
        padded = [
            text + " " * (width - cell_len(text)) for text, width in zip(texts, widths[2:], strict=True)
        ]
        line = "  ".join((start.rjust(widths[0]), end.rjust(widths[1]), *padded, phones)).rstrip()
        # Not wrapped: one line per word, however wide.
        console.print(Text(line, "dim" if number == 0 else ""), soft_wrap=True)
    if alignment.method != "forced":
        notes.print(_HOW[alignment.method], highlight=False, soft_wrap=True)


def _rows(alignment: Alignment) -> list[tuple[str, str, str, str, str]]:
    syllables, phones = list(alignment.syllables), list(alignment.phones)
    rows = []
    for word in alignment.words:
        spoken = " ".join(span.text for span in _take(syllables, word))
        timed = " ".join(f"{span.text} {_ms(span.end) - _ms(span.start)}" for span in _take(phones, word))
        rows.append(
            (f"{_ms(word.start) / 1000:.3f}", f"{_ms(word.end) / 1000:.3f}", word.text, spoken, timed)
        )
    return rows


def _take(spans: list[Span], word: Word) -> list[Span]:
    """Remove and return the leading spans that end within the word."""
    count = next((index for index, span in enumerate(spans) if span.end > word.end), len(spans))
    taken = spans[:count]
    del spans[:count]
    return taken


def _json(file: Path, transcript: Transcript, alignment: Alignment) -> str:
    alignment_json = {
        "file": printable(file),
        "text": transcript.text,
        "method": alignment.method,
        "words": [_mark(word) | {"confidence": word.confidence} for word in alignment.words],
        "syllables": [_mark(span) for span in alignment.syllables],
        "phones": [_mark(span) for span in alignment.phones],
    }
    return msgspec.json.encode(alignment_json).decode()


def _mark(span: Word | Span) -> dict[str, Any]:
    return {"text": span.text, "start_ms": _ms(span.start), "end_ms": _ms(span.end)}


def _ms(sample: int) -> int:
    return round(sample / _SAMPLES_PER_MS)
