"""Reader of the forced alignments that come with IEMOCAP, as `Alignment`.

Beside every sentence are `.wdseg`, `.syseg` and `.phseg`: words, syllables and phones, as CMU Sphinx-3's
aligner writes them (`write_wdseg` and `write_phseg` of its main_align.c). A header, a line for each segment,
the sum of the scores:

         SFrm  EFrm    SegAScr Word
            0    41    -166721 <s>
           42    58    -108302 IT'S(2)
     Total score:     -275023

Frames last 10 ms, the last one belongs to the segment. A phone comes with its neighbours and its position in
the word, `IH T S e`; the phone itself is the first.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from emostream.models import SAMPLE_RATE_HZ, Alignment, Span, Word

from .example import CorpusError

_FRAME_SAMPLES: Final = SAMPLE_RATE_HZ // 100

_NOT_A_SEGMENT: Final = re.compile(r"\s*(SFrm\b.*|Total score:.*)?", re.IGNORECASE)
_SEGMENT: Final = re.compile(r"\s*(\d+)\s+(\d+)\s+\S+\s+(\S.*?)\s*")
_FILLER: Final = re.compile(r"<.*>|\[.*\]|\+.*\+|SIL\b.*", re.IGNORECASE)
_VARIANT: Final = re.compile(r"\(\d+\)$")
_BETWEEN_PHONES: Final = re.compile(r"[^A-Z0-9]+")


def read_alignment(folder: Path, utterance: str) -> Alignment | None:
    """IEMOCAP's alignment of one utterance; None for a sentence that has none.

    folder: of its dialogue, `Session1/sentences/ForcedAlignment/Ses01F_impro01`. utterance:
    `Ses01F_impro01_F000`. Words are in capitals; silence, laughter and noises are left out; syllables and
    phones are empty where their file is missing. The last segment may end some frames after the audio.

    Raises CorpusError with file and line where a file is damaged.
    """
    words = folder / f"{utterance}.wdseg"
    if not words.is_file():
        return None
    return Alignment(
        words=tuple(
            Word(_VARIANT.sub("", span.text.split()[0]), span.start, span.end) for span in _segments(words)
        ),
        syllables=tuple(
            Span(_syllable_name(span.text), span.start, span.end)
            for span in _segments(folder / f"{utterance}.syseg")
        ),
        phones=tuple(
            Span(span.text.split()[0].upper(), span.start, span.end)
            for span in _segments(folder / f"{utterance}.phseg")
        ),
        method="forced",
    )


def _segments(path: Path) -> Iterator[Span]:
    """The speech segments, with the names of the file; none if there is no file."""
    if not path.is_file():
        return
    earliest = 0
    # Latin-1 decodes any byte: a file that is not text fails at a line, not at its encoding.
    for number, line in enumerate(path.read_text(encoding="latin-1").split("\n"), start=1):
        if _NOT_A_SEGMENT.fullmatch(line):
            continue
        found = _SEGMENT.fullmatch(line)
        if found is None:
            raise CorpusError(
                f"{path}:{number}: expected `start end score name`, got {line!r}: get the file from the "
                "corpus again"
            )
        first, last = int(found[1]), int(found[2])
        if not earliest <= first <= last:
            raise CorpusError(
                f"{path}:{number}: expected frames in order from {earliest} on, got {first} to {last}: get "
                "the file from the corpus again"
            )
        earliest = last + 1
        if not _FILLER.fullmatch(found[3]):
            yield Span(found[3], first * _FRAME_SAMPLES, (last + 1) * _FRAME_SAMPLES)


def _syllable_name(text: str) -> str:
    """`ih_t_s`, `IH T S` and `IH-T-S` all become IH-T-S, as in `models.alignment`."""
    return _BETWEEN_PHONES.sub("-", text.upper()).strip("-")
