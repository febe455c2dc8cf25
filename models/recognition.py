"""Recognition with any network: batches, languages, baselines, calibration and reliability.

What computes is up to the subclasses: `recognizer` (torch), `graphs.recognizer` (ONNX Runtime).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from .alignment.word_spans import align_from_transcript
from .baseline import BaselineSettings, SpeakerBaseline, Voice
from .batching import map_in_batches
from .calibration import Posteriors, fused_posterior, head_posterior, modality_pattern
from .checkpoint_files import BUNDLED, BUNDLED_WHISPER
from .emotion_fields import EmotionFields
from .languages import is_in_languages
from .reliability_estimator import Evidence, ReliabilityEstimator
from .types import Aligner, Alignment, Clip, EmotionInput, EncodedAudio, Prediction, Probabilities, Transcript

Logits = Mapping[str, npt.NDArray[np.float32]]
"""Head -> (B, C)."""


@dataclass(frozen=True, slots=True)
class FusionInput:
    """A batch of `Recognition._logits`. texts: None or without words where there is no text, or none of use.

    voices: the speakers' baselines, None where unknown, and all None in a model that takes none; known: how
    much of each is the speaker's own, 0 to 1.
    """

    codes: Sequence[EncodedAudio]
    texts: Sequence[str | None]
    alignments: Sequence[Alignment]
    voices: Sequence[Voice | None]
    known: Sequence[float]

    def shifts(self) -> npt.NDArray[np.float32] | None:
        """(B, D), zero where the speaker is unknown; None where all are."""
        one = next((voice for voice in self.voices if voice is not None), None)
        if one is None:
            return None
        return np.stack([np.zeros_like(one) if voice is None else voice for voice in self.voices])


class Recognition(ABC):
    """Implements `types.Recognizer`. Synchronous; one result per input, in order. Call `encode` and `fuse`
    from one thread, unless it is a `types.ConcurrentRecognizer`.

    A model whose granularities need spans has its own aligner; `align` may run on another thread.
    """

    def __init__(self, config: EmotionFields, name: str, budget_s: float, aligner: Aligner | None) -> None:
        """budget_s: padded seconds in one forward pass. aligner: required (ValueError) where the model needs
        spans.
        """
        if config.spans and aligner is None:
            wanted = ", ".join(config.spans)
            raise ValueError(f"expected an aligner for {wanted}, got none: pass load_aligner()")
        self._config = config
        self._name = name
        self._budget_s = budget_s
        self._aligner = aligner
        self._baseline = None if config.baseline is None else BaselineSettings.from_fields(config.baseline)
        self._reliability = ReliabilityEstimator(config)

    @abstractmethod
    def _encode(self, clips: Sequence[Clip | None]) -> list[EncodedAudio]:
        """One forward pass of the audio branch."""

    @abstractmethod
    def _logits(self, batch: FusionInput) -> tuple[Logits, Sequence[bool]]:
        """One forward pass of the text branch and the fusion, and which rows had text."""

    def warm_up(self) -> None:
        """The first call of a network is slower than later ones."""
        second = Clip(np.zeros(16_000, dtype=np.float32))
        self.recognize([EmotionInput(second, Transcript("warm up")), EmotionInput(second)])
        self.recognize([EmotionInput(second)])

    @property
    def name(self) -> str:
        return self._name

    @property
    @abstractmethod
    def device(self) -> str: ...

    @property
    def batch_seconds(self) -> float:
        return self._budget_s

    @property
    def labels(self) -> tuple[str, ...]:
        return tuple(self._config.label_names)

    @property
    def baseline(self) -> BaselineSettings | None:
        """How the baseline of a speaker is formed; None where the model takes none."""
        return self._baseline

    def encode(self, clips: Sequence[Clip | None]) -> list[EncodedAudio]:
        """The audio branch. Each result holds its clip's own frames (T, H) without padding; None is no audio.

        An encoder with a maximum length (Whisper: 30 s) truncates longer clips.
        """
        return map_in_batches(
            [0.0 if clip is None else clip.seconds for clip in clips],
            self.batch_seconds,
            lambda batch: self._encode([clips[index] for index in batch]),
        )

    def align(
        self, clips: Sequence[Clip | None], transcripts: Sequence[Transcript | None]
    ) -> list[Alignment]:
        """The alignment that the model's granularities need: the transcripts' own word times, or forced."""
        if self._aligner is None:
            return [
                align_from_transcript(transcript, 0 if clip is None else len(clip.samples))
                for clip, transcript in zip(clips, transcripts, strict=True)
            ]
        empty = Clip(np.zeros(0, dtype=np.float32))
        return self._aligner.align([empty if clip is None else clip for clip in clips], transcripts)

    def fuse(
        self,
        codes: Sequence[EncodedAudio],
        transcripts: Sequence[Transcript | None],
        alignments: Sequence[Alignment],
        baselines: Sequence[SpeakerBaseline | None] | None = None,
    ) -> list[Prediction]:
        """The text branch, the fusion and the calibration; only the finer granularities use the spans.

        baselines: of the speakers, formed by `baseline`'s rules; a model without such rules leaves them
        aside.
        """
        speakers = [None] * len(codes) if baselines is None else list(baselines)
        if not len(codes) == len(transcripts) == len(alignments) == len(speakers):
            raise ValueError(
                f"expected as many codes, transcripts, alignments and baselines, got {len(codes)}, "
                f"{len(transcripts)}, {len(alignments)} and {len(speakers)}"
            )
        return map_in_batches(
            [code.seconds for code in codes],
            self._budget_s,
            lambda batch: self._fuse(
                [codes[index] for index in batch],
                [transcripts[index] for index in batch],
                [alignments[index] for index in batch],
                [speakers[index] for index in batch],
            ),
        )

    def recognize(self, inputs: Sequence[EmotionInput]) -> list[Prediction]:
        """Encode, align and fuse any number of inputs, for offline use."""
        clips = [item.clip for item in inputs]
        transcripts = [item.transcript for item in inputs]
        return self.fuse(self.encode(clips), transcripts, self.align(clips, transcripts))

    def _fuse(
        self,
        codes: Sequence[EncodedAudio],
        transcripts: Sequence[Transcript | None],
        alignments: Sequence[Alignment],
        speakers: Sequence[SpeakerBaseline | None],
    ) -> list[Prediction]:
        # Words in a language that the text branch does not know leave the audio alone to decide: neither
        # they nor their spans are used. Without audio they are all there is.
        foreign = [self._is_foreign(*pair) for pair in zip(codes, transcripts, strict=True)]
        unused = [code.clip is not None and off for code, off in zip(codes, foreign, strict=True)]
        texts = [
            None if transcript is None or off else transcript.text
            for transcript, off in zip(transcripts, unused, strict=True)
        ]
        voices = [self._voice_of(speaker) for speaker in speakers]
        known = [self._known_share(speaker) for speaker in speakers]
        spans = [Alignment() if off else one for one, off in zip(alignments, unused, strict=True)]
        logits, has_text = self._logits(FusionInput(codes, texts, spans, voices, known))
        return [
            self._prediction(
                {head: values[index] for head, values in logits.items()},
                code,
                has_text[index],
                voices[index],
                known[index],
                foreign[index],
            )
            for index, code in enumerate(codes)
        ]

    def _is_foreign(self, code: EncodedAudio, transcript: Transcript | None) -> bool:
        """Whether there are words, in a language that the text branch does not know."""
        if transcript is None or not transcript.text.strip():
            return False
        return not is_in_languages(code.clip, transcript, self._config.text_languages)

    def _voice_of(self, speaker: SpeakerBaseline | None) -> Voice | None:
        return None if speaker is None or self._baseline is None else speaker.voice(self._baseline)

    def _known_share(self, speaker: SpeakerBaseline | None) -> float:
        """How much of the baseline is the speaker's own, 0 to 1."""
        return 0.0 if speaker is None or self._baseline is None else speaker.known_share(self._baseline)

    def _prediction(
        self,
        logits: Logits,
        code: EncodedAudio,
        has_text: bool,
        baseline: Voice | None,
        known_share: float,
        foreign: bool,
    ) -> Prediction:
        """logits: head -> (C,)."""
        has_audio = code.clip is not None
        fused = _tuple(fused_posterior(logits, modality_pattern(has_audio, has_text), self._config))
        audio_only = _tuple(head_posterior(logits["audio"], "audio", self._config)) if has_audio else None
        text_only = _tuple(head_posterior(logits["text"], "text", self._config)) if has_text else None
        winner = fused.index(max(fused))
        estimate = self._reliability(
            Evidence(code, fused, audio_only, text_only, baseline, known_share, foreign)
        )
        return Prediction(
            label=self.labels[winner],
            confidence=fused[winner],
            probabilities=fused,
            audio_only=audio_only,
            text_only=text_only,
            uncertain=estimate.reasons,
            reliable=estimate.reliable,
            error_probability=estimate.error_probability,
        )


def display_name(kinds: tuple[str, str], folder: Path, parameters: int, how: str) -> str:
    """kinds: of the audio and the text encoder. how: device, runtime, precision."""
    which = "bundled" if folder in (BUNDLED, BUNDLED_WHISPER) else folder.name
    return f"{'+'.join(kinds)} {which} ({parameters / 1e6:.1f} M parameters, {how})"


def _tuple(probabilities: Posteriors) -> Probabilities:
    return tuple(probabilities.tolist())
