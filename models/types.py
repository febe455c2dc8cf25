"""The data types and protocols that `models` and its callers exchange.

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

from .baseline import BaselineSettings, SpeakerBaseline

SAMPLE_RATE_HZ: Final = 16_000

Samples = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Clip:
    """The audio of one utterance.

    samples: (N,) float32, mono, 16 kHz. language: BCP 47 hint for the transcriber, or None.
    expected_language: without a hint, what to take where the clip is too short or unclear to tell.
    """

    samples: Samples
    language: str | None = None
    expected_language: str | None = None

    @property
    def seconds(self) -> float:
        return len(self.samples) / SAMPLE_RATE_HZ


@dataclass(frozen=True, slots=True)
class Word:
    """A word with its span in the clip: samples [start, end); confidence in [0, 1], None where unknown."""

    text: str
    start: int
    end: int
    confidence: float | None = None


@dataclass(frozen=True, slots=True)
class Span:
    """A labelled span of the clip: samples [start, end). text: an ARPAbet phone, or a syllable's phones."""

    text: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Transcript:
    """The transcription of a clip. `text` is empty where no speech was recognized.

    words: in order, possibly empty although there is text (a transcriber without word times).
    rejected: why the hallucination filter discarded the text; None where nothing was discarded.
    language_certain: whether the language was detected, and may be expected of the speech that follows.
    """

    text: str
    language: str | None = None
    words: tuple[Word, ...] = ()
    rejected: str | None = None
    language_certain: bool = False


AlignmentMethod = Literal["forced", "word_times", "even"]


@dataclass(frozen=True, slots=True)
class Alignment:
    """The time spans of a transcript's words, syllables and phones in the clip, each in order.

    words: one for each word of the transcript. syllables, phones: empty where not requested or where the
    language has no dictionary. method: `forced` (by an acoustic model), `word_times` (the transcriber's own;
    inside a word an even split) or `even` (by character count; also where there is no text).
    """

    words: tuple[Word, ...] = ()
    syllables: tuple[Span, ...] = ()
    phones: tuple[Span, ...] = ()
    method: AlignmentMethod = "even"


@dataclass(frozen=True, slots=True)
class EmotionInput:
    """The input of the recognizer: a clip and its transcript. clip None: text only; transcript None: audio
    only."""

    clip: Clip | None
    transcript: Transcript | None = None


@dataclass(frozen=True, slots=True)
class EncodedAudio:
    """The result of `encode` for one clip. Opaque: only `fuse` of the same recognizer reads `frames`.

    clip None: no audio. voice: the clip's mean state, of which a speaker's baseline is made (`baseline`);
    None where the model takes no baseline.
    """

    frames: Any
    clip: Clip | None
    voice: Samples | None = None

    @property
    def seconds(self) -> float:
        return 0.0 if self.clip is None else self.clip.seconds


REASONS: Final = (
    "too_short",
    "low_snr",
    "no_text",
    "unsupported_language",
    "modalities_disagree",
    "low_confidence",
    "unlike_training",
    "unknown_voice",
    "doubtful_speech",
)
"""Reasons to doubt a prediction: too little audio, noise, no words, words in a language that the text branch
does not know, heads that disagree, a close decision, audio unlike all that was trained on, a speaker of whom
nothing is known yet, a sound that may be no speech."""

Probabilities = tuple[float, ...]
"""One probability per label, in the order of the recognizer's `labels`; the sum is 1."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """The predicted emotion of one utterance.

    probabilities: calibrated, fused over the available modalities. audio_only, text_only: the
    single-modality heads, None where there was no audio or no text. uncertain: reasons to doubt it, out of
    REASONS; empty when there is none. reliable: whether to believe the label. error_probability: that it is
    wrong, None where the model has no predictor of its errors.
    """

    label: str
    confidence: float
    probabilities: Probabilities
    audio_only: Probabilities | None
    text_only: Probabilities | None
    uncertain: tuple[str, ...] = ()
    reliable: bool = True
    error_probability: float | None = None


NoEmotionReason = Literal["no_speech", "misread_samples"]
"""Why an utterance gets no emotion."""


@dataclass(frozen=True, slots=True)
class SpeechPresence:
    """Whether a clip holds speech. reason: None where it does. probability: of speech, in the stretch of the
    clip that sounds most like it; 0 to 1. doubtful: it may be another sound of a voice, or like one.
    """

    probability: float
    reason: NoEmotionReason | None = None
    doubtful: bool = False


class SpeechDetector(Protocol):
    """Tells clips with speech from other sounds. Synchronous; one result per clip, in order; called from one
    thread. A clip's result depends on nothing else, and a clip with speech stays one when more follows.
    """

    def detect(self, clips: Sequence[Clip]) -> list[SpeechPresence]: ...


class Transcriber(Protocol):
    """Speech recognition. Synchronous; one result per clip, in order; called from one thread."""

    @property
    def name(self) -> str:
        """For display: `whisper tiny.en (int8, cpu)`, `pocketsphinx en-us`."""
        ...

    @property
    def batch_size(self) -> int:
        """The number of clips up to which batching in one call is faster."""
        ...

    def transcribe(self, clips: Sequence[Clip]) -> list[Transcript]: ...


@runtime_checkable
class IncrementalTranscriber(Transcriber, Protocol):
    """A transcriber that can start on an utterance before it ends. Only a cache: `transcribe` returns the
    same with and without it, and calls may be skipped.
    """

    def transcribe_partial(self, clip: Clip) -> None:
        """Decode the beginning of a clip ahead of time. Called from the thread that calls `transcribe`."""
        ...


@runtime_checkable
class PretrainedTranscriber(Transcriber, Protocol):
    """A transcriber whose weights may come from several places."""

    source: str
    """Where they were found, for display: `local cache`, `installed package`, `model hub` or `folder`."""


@runtime_checkable
class LanguageTranscriber(Transcriber, Protocol):
    """A transcriber that tells which languages it transcribes."""

    @property
    def languages(self) -> Sequence[str]:
        """Their primary subtags: `en`, `de`."""
        ...


@runtime_checkable
class ConcurrentTranscriber(Transcriber, Protocol):
    """A transcriber whose `transcribe` may be called from `concurrent_calls` threads at once."""

    @property
    def concurrent_calls(self) -> int: ...


@runtime_checkable
class InterimTranscriber(Transcriber, Protocol):
    """A transcriber with a cheaper way to the words of an utterance in progress. Where it is concurrent, that
    way may be taken from another thread than `transcribe`.
    """

    def transcribe_interim(self, clips: Sequence[Clip]) -> list[Transcript]:
        """As `transcribe`, but without word times, and words may differ."""
        ...


@runtime_checkable
class LanguageDetector(Transcriber, Protocol):
    """A transcriber that may detect the language of a clip without a hint."""

    @property
    def detects_language(self) -> bool: ...

    @property
    def own_language_from_s(self) -> float:
        """Seconds of a clip from which on its own language may be certain (`Transcript.language_certain`),
        which makes the expected one irrelevant. A shorter clip is taken to be in the expected one.
        """
        ...


class Recognizer(Protocol):
    """Emotion recognition from audio and text. Synchronous; one result per input, in order.

    `encode` needs no text, so it can run while the transcriber runs; `align` gives every word of a
    transcript a span inside its clip; `fuse` combines the two. A clip's result does not depend on its batch.
    `encode` and `fuse` are called from one thread, `align` possibly from another one.
    """

    @property
    def name(self) -> str: ...

    @property
    def device(self) -> str: ...

    @property
    def batch_seconds(self) -> float:
        """Padded seconds of sound up to which batching in one call of `encode` is no slower."""
        ...

    @property
    def labels(self) -> tuple[str, ...]: ...

    @property
    def baseline(self) -> BaselineSettings | None:
        """How the baseline of a speaker is formed; None where the model takes none."""
        ...

    def encode(self, clips: Sequence[Clip]) -> list[EncodedAudio]: ...

    def align(self, clips: Sequence[Clip], transcripts: Sequence[Transcript | None]) -> list[Alignment]: ...

    def fuse(
        self,
        codes: Sequence[EncodedAudio],
        transcripts: Sequence[Transcript | None],
        alignments: Sequence[Alignment],
        baselines: Sequence[SpeakerBaseline | None] | None = None,
    ) -> list[Prediction]:
        """baselines: of each clip's speaker, formed by `baseline`'s rules out of the `voice` of his earlier
        utterances; None: nothing is known of him.
        """
        ...


@runtime_checkable
class ConcurrentRecognizer(Recognizer, Protocol):
    """A recognizer whose `encode` and `fuse` may be called from `concurrent_calls` threads at once."""

    @property
    def concurrent_calls(self) -> int: ...


class Aligner(Protocol):
    """Alignment of words with audio. Synchronous; one result per clip, in order; called from one thread."""

    def align(self, clips: Sequence[Clip], transcripts: Sequence[Transcript | None]) -> list[Alignment]:
        """One alignment per clip, one word for each of its transcript, all spans inside the clip."""
        ...
