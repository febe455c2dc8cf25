"""Cached transcripts by the recognizer's own transcriber: training reads what serving reads."""

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
"""Key of an example -> transcript of its clip; word times count from the start of the clip."""

Progress = Callable[[int, int], None]
"""Called with the number of clips done and the total."""

FILE: Final = "transcripts.jsonl"
"""In the cache folder: a line per clip and transcriber, appended batch by batch."""

_MAX_SAMPLES: Final = 28 * SAMPLE_RATE_HZ
_CUT_SEARCH_SAMPLES: Final = 4 * SAMPLE_RATE_HZ


def cached_transcripts(
    examples: Sequence[Example],
    sounds: AudioCache,
    transcriber: Transcriber,
    cache: Path,
    progress: Progress,
) -> Transcripts:
    """Transcripts of all clips; those that `cache` has for the same audio and transcriber are taken from it.

    A killed run resumes after its last batch. The example's language is the transcriber's hint. A clip of
    more than 28 s, which Whisper would refuse, is transcribed in pieces. Raises CorpusError for a damaged
    cache, and what the transcriber raises. One process at a time writes a cache.
    """
    file = cache / FILE
    cache.mkdir(parents=True, exist_ok=True)
    _drop_incomplete_line(file)
    known, requests = _read(file), {e.key: _request(e, sounds, transcriber.name) for e in examples}
    remaining = [example for example in examples if requests[example.key] not in known]
    done = len(examples) - len(remaining)
    progress(done, len(examples))
    with file.open("a", encoding="utf-8", newline="\n") as out:
        for batch in _batches(remaining, transcriber.batch_size):
            transcribed = _transcribe(batch, sounds, transcriber)
            for example, transcript in zip(batch, transcribed, strict=True):
                known[requests[example.key]] = transcript
                out.write(_line(requests[example.key], transcript))
            out.flush()
            done += len(batch)
            progress(done, len(examples))
    return {key: known[request] for key, request in requests.items()}


def read_transcripts(
    examples: Sequence[Example], sounds: AudioCache, cache: Path, name: str | None = None
) -> Transcripts:
    """What `cached_transcripts` left in `cache`, without a transcriber.

    name: of the transcriber; None if the cache has only one. Raises CorpusError where a clip has none,
    also after its audio or its language changed.
    """
    file = cache / FILE
    known = _read(file)
    names = sorted({request[-1] for request in known})
    if name is None and len(names) > 1:
        raise CorpusError(f"expected the transcripts of one transcriber in {file}, got {names}: name one")
    name = name or (names[0] if names else "")
    requests = {example.key: _request(example, sounds, name) for example in examples}
    missing = [key for key, request in requests.items() if request not in known]
    if missing:
        raise CorpusError(
            f"expected transcripts of {len(requests)} clips in {file}, got none of {len(missing)}, the "
            f"first is {missing[0]}: transcribe them first"
        )
    return {key: known[request] for key, request in requests.items()}


_Request = tuple[str, str, str, str]
"""Key, hash of the audio, language hint, name of the transcriber: what a transcript depends on."""


def _request(example: Example, sounds: AudioCache, transcriber: str) -> _Request:
    start, end = sounds.spans[example.key]
    fingerprint = hashlib.blake2b(sounds.samples[start:end].tobytes(), digest_size=8).hexdigest()
    return example.key, fingerprint, example.language, transcriber


def _batches(examples: Sequence[Example], size: int) -> Iterator[Sequence[Example]]:
    for start in range(0, len(examples), size):
        yield examples[start : start + size]


def _transcribe(batch: Sequence[Example], sounds: AudioCache, transcriber: Transcriber) -> list[Transcript]:
    pieces = [_split_long(sounds.clip(example.key)) for example in batch]
    clips = [
        Clip(piece, example.language) for example, parts in zip(batch, pieces, strict=True) for piece in parts
    ]
    transcripts = iter(transcriber.transcribe(clips))
    return [_join([(next(transcripts), len(piece)) for piece in parts]) for parts in pieces]


def _split_long(samples: Samples) -> list[Samples]:
    """A long clip cut at the quietest tenth of a second of the last four seconds that fit at once."""
    pieces = []
    while len(samples) > _MAX_SAMPLES:
        window = samples[_MAX_SAMPLES - _CUT_SEARCH_SAMPLES : _MAX_SAMPLES].astype(np.float64) ** 2
        loudness = window.reshape(-1, 5 * FRAME).sum(axis=1)
        cut = _MAX_SAMPLES - _CUT_SEARCH_SAMPLES + int(loudness.argmin()) * 5 * FRAME + 5 * FRAME // 2
        pieces.append(samples[:cut])
        samples = samples[cut:]
    return [*pieces, samples]


def _join(pieces: Sequence[tuple[Transcript, int]]) -> Transcript:
    """pieces: transcripts and lengths in samples. A single one stays as it is."""
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


def _drop_incomplete_line(file: Path) -> None:
    """Removes a last line without its end, which a kill in the middle of a write leaves."""
    if not file.exists():
        return
    with file.open("r+b") as lines:
        content = lines.read()
        lines.truncate(content.rfind(b"\n") + 1)


def _line(request: _Request, transcript: Transcript) -> str:
    words = [[word.text, word.start, word.end, word.confidence] for word in transcript.words]
    result = {"text": transcript.text, "said_in": transcript.language, "words": words}
    key, sound, language, by = request
    identity = {"key": key, "sound": sound, "language": language, "by": by}
    return json.dumps(identity | result | {"rejected": transcript.rejected}, ensure_ascii=False) + "\n"


def _read(file: Path) -> dict[_Request, Transcript]:
    known: dict[_Request, Transcript] = {}
    if not file.exists():
        return known
    lines = file.read_text(encoding="utf-8", errors="replace").split("\n")[:-1]  # not an incomplete last line
    for number, line in enumerate(lines, start=1):
        try:
            fields: dict[str, Any] = json.loads(line)
            request = (fields["key"], fields["sound"], fields["language"], fields["by"])
            words = tuple(Word(*word) for word in fields["words"])
            known[request] = Transcript(fields["text"], fields["said_in"], words, fields["rejected"])
        except (ValueError, KeyError, TypeError) as error:
            raise CorpusError(
                f"{file}:{number}: expected a transcript, got {line[:60]!r}: delete the line or the file"
            ) from error
    return known
