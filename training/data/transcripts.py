"""What the recognizer's own transcriber understands of every clip: training reads what serving reads."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from emostream.models import SAMPLE_RATE_HZ, Clip, Samples, Transcriber, Transcript, Word

from ..corpora.example import CorpusError, Example
from .audio_cache import FRAME, AudioCache

Transcripts = Mapping[str, Transcript]
"""Key of an example -> what was understood of its clip; word places count from the start of the clip."""

Progress = Callable[[int, int], None]
"""Called with the clips that are done and the clips there are."""

FILE: Final = "transcripts.jsonl"
"""In the cache folder: a line for each clip and transcriber, appended batch by batch."""

_LONGEST: Final = 28 * SAMPLE_RATE_HZ
_SEARCHED: Final = 4 * SAMPLE_RATE_HZ


def cached_transcripts(
    examples: Sequence[Example],
    sounds: AudioCache,
    transcriber: Transcriber,
    cache: Path,
    progress: Progress,
) -> Transcripts:
    """Transcripts of all clips; those that `cache` has of the same sound and transcriber are taken from it.

    A killed run goes on behind its last batch. The example's language is the transcriber's hint. A clip of
    more than 28 s, which Whisper would refuse, is heard in pieces. Raises CorpusError for a damaged cache,
    and what the transcriber raises. One process at a time writes a cache.
    """
    file = cache / FILE
    cache.mkdir(parents=True, exist_ok=True)
    _drop_half_line(file)
    known, asked = _read(file), {e.key: _question(e, sounds, transcriber.name) for e in examples}
    left = [example for example in examples if asked[example.key] not in known]
    done = len(examples) - len(left)
    progress(done, len(examples))
    with file.open("a", encoding="utf-8", newline="\n") as out:
        for batch in _batches(left, transcriber.batch_size):
            heard = _transcribed(batch, sounds, transcriber)
            for example, transcript in zip(batch, heard, strict=True):
                known[asked[example.key]] = transcript
                out.write(_line(asked[example.key], transcript))
            out.flush()
            done += len(batch)
            progress(done, len(examples))
    return {key: known[question] for key, question in asked.items()}


def read_transcripts(
    examples: Sequence[Example], sounds: AudioCache, cache: Path, name: str | None = None
) -> Transcripts:
    """What `cached_transcripts` left in `cache`, without a transcriber.

    name: of the transcriber; None where the cache knows one only. Raises CorpusError where a clip has none,
    its sound or its language having changed included.
    """
    file = cache / FILE
    known = _read(file)
    names = sorted({question[-1] for question in known})
    if name is None and len(names) > 1:
        raise CorpusError(f"expected the transcripts of one transcriber in {file}, got {names}: name one")
    name = name or (names[0] if names else "")
    asked = {example.key: _question(example, sounds, name) for example in examples}
    missing = [key for key, question in asked.items() if question not in known]
    if missing:
        raise CorpusError(
            f"expected transcripts of {len(asked)} clips in {file}, got none of {len(missing)}, the first is "
            f"{missing[0]}: transcribe them first"
        )
    return {key: known[question] for key, question in asked.items()}


_Question = tuple[str, str, str, str]
"""Key, fingerprint of the sound, language hint, name of the transcriber: what a transcript depends on."""


def _question(example: Example, sounds: AudioCache, transcriber: str) -> _Question:
    start, end = sounds.spans[example.key]
    fingerprint = hashlib.blake2b(sounds.samples[start:end].tobytes(), digest_size=8).hexdigest()
    return example.key, fingerprint, example.language, transcriber


def _batches(examples: Sequence[Example], size: int) -> Iterator[Sequence[Example]]:
    for start in range(0, len(examples), size):
        yield examples[start : start + size]


def _transcribed(batch: Sequence[Example], sounds: AudioCache, transcriber: Transcriber) -> list[Transcript]:
    pieces = [_pieces(sounds.clip(example.key)) for example in batch]
    clips = [Clip(piece, example.language) for example, of in zip(batch, pieces, strict=True) for piece in of]
    heard = iter(transcriber.transcribe(clips))
    return [_joined([(next(heard), len(piece)) for piece in of]) for of in pieces]


def _pieces(samples: Samples) -> list[Samples]:
    """A long clip cut at the quietest tenth of a second of the last four that may be heard at once."""
    pieces = []
    while len(samples) > _LONGEST:
        window = samples[_LONGEST - _SEARCHED : _LONGEST].astype(np.float64) ** 2
        loudness = window.reshape(-1, 5 * FRAME).sum(axis=1)
        cut = _LONGEST - _SEARCHED + int(loudness.argmin()) * 5 * FRAME + 5 * FRAME // 2
        pieces.append(samples[:cut])
        samples = samples[cut:]
    return [*pieces, samples]


def _joined(pieces: Sequence[tuple[Transcript, int]]) -> Transcript:
    """pieces: transcripts and lengths in samples. One alone stays as it is."""
    if len(pieces) == 1:
        return pieces[0][0]
    words: list[Word] = []
    front = 0
    for piece, length in pieces:
        words += [
            Word(word.text, word.start + front, word.end + front, word.confidence) for word in piece.words
        ]
        front += length
    texts = [piece.text for piece, _ in pieces if piece.text]
    rejected = next((piece.rejected for piece, _ in pieces if piece.rejected), None)
    return Transcript(" ".join(texts), pieces[0][0].language, tuple(words), rejected)


def _drop_half_line(file: Path) -> None:
    """A kill in the middle of a write leaves a last line without its end: it is cut off."""
    if not file.exists():
        return
    with file.open("r+b") as lines:
        content = lines.read()
        lines.truncate(content.rfind(b"\n") + 1)


def _line(question: _Question, transcript: Transcript) -> str:
    words = [[word.text, word.start, word.end, word.confidence] for word in transcript.words]
    said = {"text": transcript.text, "said_in": transcript.language, "words": words}
    key, sound, language, by = question
    asked = {"key": key, "sound": sound, "language": language, "by": by}
    return json.dumps(asked | said | {"rejected": transcript.rejected}, ensure_ascii=False) + "\n"


def _read(file: Path) -> dict[_Question, Transcript]:
    known: dict[_Question, Transcript] = {}
    if not file.exists():
        return known
    lines = file.read_text(encoding="utf-8", errors="replace").split("\n")[:-1]  # a half last line is none
    for number, line in enumerate(lines, start=1):
        try:
            fields: dict[str, Any] = json.loads(line)
            question = (fields["key"], fields["sound"], fields["language"], fields["by"])
            words = tuple(Word(*word) for word in fields["words"])
            known[question] = Transcript(fields["text"], fields["said_in"], words, fields["rejected"])
        except (ValueError, KeyError, TypeError) as error:
            raise CorpusError(
                f"{file}:{number}: expected a transcript, got {line[:60]!r}: delete the line or the file"
            ) from error
    return known
