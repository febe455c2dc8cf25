"""The only words that `models` and its callers exchange.

Audio is mono float32 at `SAMPLE_RATE_HZ`, nominally in [-1, 1]. Positions are sample indices, here
counted from the start of the clip. Nothing in this file imports a framework: the streamer reads it
without paying for torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

SAMPLE_RATE_HZ: Final = 16_000

Samples = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Clip:
    """One utterance of sound.

    samples: (N,) float32, mono, 16 kHz. language: BCP 47 hint for the transcriber, or None.
    """

    samples: Samples
    language: str | None = None

    @property
    def seconds(self) -> float:
        return len(self.samples) / SAMPLE_RATE_HZ


@dataclass(frozen=True, slots=True)
class Word:
    """A word with its place in the clip: samples [start, end); confidence in [0, 1], None where unknown."""

    text: str
    start: int
    end: int
    confidence: float | None = None


@dataclass(frozen=True, slots=True)
class Span:
    """A named stretch of the clip: samples [start, end). text: an ARPAbet phone, or a syllable's phones."""

    text: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Transcript:
    """What was said. `text` is empty where nothing was understood.

    words: in order, possibly empty although there is text (a transcriber without word times).
    rejected: why a guard threw the transcriber's text away, None where nothing was thrown away.
    """

    text: str
    language: str | None = None
    words: tuple[Word, ...] = ()
    rejected: str | None = None


AlignmentMethod = Literal["forced", "word_times", "even"]


@dataclass(frozen=True, slots=True)
class Alignment:
    """Where in the clip a transcript's words, syllables and phones lie, each in order.

    words: one for each word of the transcript. syllables, phones: empty where nobody asked for them or the
    language has no dictionary. method: `forced` (an acoustic model found the places), `word_times` (the
    transcriber's own; inside a word an even split) or `even` (by letters alone; also where nothing was said).
    """

    words: tuple[Word, ...] = ()
    syllables: tuple[Span, ...] = ()
    phones: tuple[Span, ...] = ()
    method: AlignmentMethod = "even"


@dataclass(frozen=True, slots=True)
class EmotionInput:
    """A clip and its words: what the recognizer judges. clip None: words alone; transcript None: sound."""

    clip: Clip | None
    transcript: Transcript | None = None


@dataclass(frozen=True, slots=True)
class EncodedAudio:
    """What `encode` made of one clip. Opaque: only `fuse` of the same recognizer reads `frames`.

    clip None: no sound.
    """

    frames: Any
    clip: Clip | None

    @property
    def seconds(self) -> float:
        return 0.0 if self.clip is None else self.clip.seconds


Probabilities = tuple[float, ...]
"""One probability per label, in the order of the recognizer's `labels`; the sum is 1."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """The judgement on one utterance.

    probabilities: calibrated, fused over what was there to hear and read. audio_only, text_only: the
    single-modality heads, None where there was no sound or no text. uncertain: reasons out of
    too_short, low_snr, no_text, modalities_disagree, low_confidence; empty when there is none.
    """

    label: str
    confidence: float
    probabilities: Probabilities
    audio_only: Probabilities | None
    text_only: Probabilities | None
    uncertain: tuple[str, ...] = ()


class Transcriber(Protocol):
    """Sound to words. Synchronous, ordered, equal length, called from one thread."""

    @property
    def name(self) -> str:
        """Shown to people: `whisper tiny.en (int8, cpu)`, `pocketsphinx en-us`."""
        ...

    @property
    def batch_size(self) -> int:
        """How many clips gain from being transcribed in one call."""
        ...

    def transcribe(self, clips: Sequence[Clip]) -> list[Transcript]: ...


@runtime_checkable
class IncrementalTranscriber(Transcriber, Protocol):
    """A transcriber that can work on an utterance while somebody still speaks. A cache: what `transcribe`
    says of a clip does not change by it, and whether there was time for it is nobody's worry.
    """

    def transcribe_partial(self, clip: Clip) -> None:
        """Work ahead on the beginning of a clip. Called from the thread that transcribes."""
        ...


class Recognizer(Protocol):
    """Sound and words to emotion. Synchronous, ordered, equal length.

    `encode` needs no words, so it can run while the transcriber runs; `align` gives every word of a
    transcript a span inside its clip; `fuse` joins the two. A batch does not change a clip's result.
    `encode` and `fuse` are called from one thread, `align` from one that may be another.
    """

    @property
    def name(self) -> str: ...

    @property
    def device(self) -> str: ...

    @property
    def labels(self) -> tuple[str, ...]: ...

    def encode(self, clips: Sequence[Clip]) -> list[EncodedAudio]: ...

    def align(self, clips: Sequence[Clip], transcripts: Sequence[Transcript | None]) -> list[Alignment]: ...

    def fuse(
        self,
        codes: Sequence[EncodedAudio],
        transcripts: Sequence[Transcript | None],
        alignments: Sequence[Alignment],
    ) -> list[Prediction]: ...


class Aligner(Protocol):
    """Words to their places in the sound. Synchronous, ordered, equal length, called from one thread."""

    def align(self, clips: Sequence[Clip], transcripts: Sequence[Transcript | None]) -> list[Alignment]:
        """One alignment a clip, words one for one those of its transcript, all spans inside the clip."""
        ...
