"""Whisper behind `Sequence[Clip] -> list[Transcript]`.

faster-whisper's batched pipeline cuts one long recording into chunks; here the chunks are clips that know
nothing of each other. Clips stand in one buffer, each from a whole second on, because the pipeline's offsets
pass through floats and whole frames and only whole seconds come back unharmed.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from faster_whisper import BatchedInferencePipeline
from faster_whisper.audio import pad_or_trim

from ..errors import TranscriberError
from ..types import SAMPLE_RATE_HZ, Clip, Samples, Transcript
from ..waveform import audible, bounded
from .hallucination import DEFAULT_THRESHOLDS, Heard, Thresholds, judge
from .whisper_model import IndependentClips, open_model, present_device, unusable
from .word_times import TimedWord, words_in_clip

logger = logging.getLogger("emostream")

_WINDOW_S: Final = 30
"""What Whisper hears at once; what lies behind it would be lost without a word."""

_MOST_CLIPS: Final = 16
"""In one forward: each takes 30 s of features, and about 60 MB in a small model, however short it is."""


class WhisperTranscriber:
    """Transcribes with one loaded model, from one thread.

    A clip alone takes the same path as sixteen, and its transcript is the same in any company.
    """

    def __init__(
        self, model: IndependentClips, name: str, thresholds: Thresholds = DEFAULT_THRESHOLDS
    ) -> None:
        self._model = model
        self._thresholds = thresholds
        self._pipeline = BatchedInferencePipeline(model)
        self._name = name
        # An ignored hint is said once, not once an utterance: hints come from clients, without end.
        self._hint_said = False

    @classmethod
    def load(
        cls,
        folder: Path,
        *,
        label: str,
        device: str = "auto",
        compute_type: str = "default",
        cpu_threads: int | None = None,
    ) -> WhisperTranscriber:
        """The model in `folder`, warm, shown to people as `whisper LABEL (...)`.

        Raises TranscriberError (no usable model there) and DeviceError. With device `auto`, a graphics card
        that is there but cannot be used (its libraries are often missing) is left aside with a warning.
        """
        present = present_device(device)
        try:
            return cls._load_on(present, folder, label, compute_type, cpu_threads)
        except TranscriberError as error:
            if device != "auto" or present == "cpu":
                raise
            logger.warning(
                "Whisper cannot use the graphics card and runs on the processor instead: %s", error
            )
            return cls._load_on("cpu", folder, label, "default", cpu_threads)

    @classmethod
    def _load_on(
        cls, device: str, folder: Path, label: str, compute_type: str, cpu_threads: int | None
    ) -> WhisperTranscriber:
        model = open_model(folder, device=device, compute_type=compute_type, cpu_threads=cpu_threads)
        precision = model.model.compute_type.removesuffix("_float32")
        transcriber = cls(model, f"whisper {label} ({precision}, {device})")
        try:
            transcriber.warm_up()
        except (RuntimeError, ValueError) as error:  # only now does a model of other shapes show itself
            raise unusable(folder, error) from error
        return transcriber

    @property
    def name(self) -> str:
        return self._name

    @property
    def batch(self) -> int:
        return 8  # the encoder's 30 s windows fill two cores long before that; a GPU gains up to it

    def transcribe(self, clips: Sequence[Clip]) -> list[Transcript]:
        """The words of each clip, in order. Clips of at most 30 s, any sample values.

        Raises TranscriberError for a longer clip.
        """
        for clip in clips:
            if clip.seconds > _WINDOW_S:
                raise TranscriberError(
                    f"Whisper hears clips of at most {_WINDOW_S} s, got one of {clip.seconds:.1f} s: cut it "
                    "into utterances first"
                )
        transcripts = [Transcript("") for _ in clips]
        bounded_clips = ((i, bounded(clip.samples)) for i, clip in enumerate(clips))
        sounds = {i: samples for i, samples in bounded_clips if audible(samples)}
        for language, members in self._by_language(clips, sounds).items():
            for first in range(0, len(members), _MOST_CLIPS):
                group = members[first : first + _MOST_CLIPS]
                heard = self._listen([sounds[i] for i in group], language)
                for i, one in zip(group, heard, strict=True):
                    verdict = judge(one, self._thresholds)
                    transcripts[i] = Transcript(verdict.text, language, verdict.words, verdict.rejected)
        return transcripts

    def warm_up(self) -> None:
        """Run the whole path once on two seconds of low noise, so that the first utterance does not wait."""
        noise = np.random.default_rng(0).normal(0.0, 0.01, 2 * SAMPLE_RATE_HZ).astype(np.float32)
        self._listen([noise], "en", max_new_tokens=8)

    def _by_language(self, clips: Sequence[Clip], sounds: dict[int, Samples]) -> dict[str, list[int]]:
        """Indices of the clips in `sounds`, by the language each is to be written in."""
        languages = {i: self._language(clips[i].language) for i in sounds}
        unknown = [i for i, language in languages.items() if language is None]
        for first in range(0, len(unknown), _MOST_CLIPS):
            group = unknown[first : first + _MOST_CLIPS]
            languages.update(zip(group, self._detect([sounds[i] for i in group]), strict=True))
        groups: dict[str, list[int]] = {}
        for i, language in languages.items():
            groups.setdefault(language or "en", []).append(i)
        return groups

    def _language(self, hint: str | None) -> str | None:
        """The model's code for a BCP 47 hint; None where the model must find out."""
        multilingual = bool(self._model.model.is_multilingual)
        code = hint.replace("_", "-").split("-")[0].lower() if hint else None
        if code is not None and code not in self._model.supported_languages:
            if not self._hint_said:
                self._hint_said = True
                logger.warning(
                    "%s does not know the language %r: its hint is ignored; %s",
                    self._name,
                    hint,
                    "the language is detected"
                    if multilingual
                    else "name a model without .en for other languages",
                )
            code = None
        return code if multilingual else "en"

    def _detect(self, sounds: Sequence[Samples]) -> list[str]:
        """The likeliest language of each sound: a second pass of the encoder, saved by a hint.

        The pipeline's own detection would hear all clips as one recording.
        """
        features = np.stack([pad_or_trim(self._model.feature_extractor(sound)[..., :-1]) for sound in sounds])
        guesses = self._model.model.detect_language(self._model.encode(features))  # features: (B, mels, 3000)
        return [guess[0][0].strip("<|>") for guess in guesses]

    def _listen(
        self, sounds: Sequence[Samples], language: str, *, max_new_tokens: int | None = None
    ) -> list[Heard]:
        """One batched call: what the model writes for each sound, before any guard."""
        starts_s = np.cumsum([0, *(_whole_seconds(sound) for sound in sounds)])
        buffer = np.zeros(int(starts_s[-1]) * SAMPLE_RATE_HZ, dtype=np.float32)
        spans = []
        for sound, start_s in zip(sounds, starts_s[:-1].tolist(), strict=True):
            start = start_s * SAMPLE_RATE_HZ
            buffer[start : start + len(sound)] = sound
            # Half a sample more, because the pipeline truncates seconds to samples.
            spans.append({"start": start_s, "end": (start + len(sound) + 0.5) / SAMPLE_RATE_HZ})
        segments, _ = self._pipeline.transcribe(
            buffer,
            language=language,
            clip_timestamps=spans,
            vad_filter=False,
            condition_on_previous_text=False,
            word_timestamps=True,
            temperature=0.0,
            batch_size=len(sounds),
            max_new_tokens=max_new_tokens,
        )
        by_start: dict[int, list[Any]] = {}
        for segment in segments:
            by_start.setdefault(segment.seek // self._model.frames_per_second, []).append(segment)
        return [
            _heard(by_start.get(s, []), sound) for s, sound in zip(starts_s.tolist(), sounds, strict=False)
        ]


def _whole_seconds(sound: Samples) -> int:
    return -(-len(sound) // SAMPLE_RATE_HZ)


def _heard(segments: Sequence[Any], sound: Samples) -> Heard:
    """The segments of one clip as one: a model may write time stamps although it was told not to."""
    timed: list[TimedWord] = [
        (word.word, word.start, word.end, word.probability) for segment in segments for word in segment.words
    ]
    return Heard(
        text="".join(segment.text for segment in segments).strip(),
        words=words_in_clip(timed, len(sound)),
        duration_s=len(sound) / SAMPLE_RATE_HZ,
        avg_logprob=segments[0].avg_logprob if segments else None,
        no_speech_prob=segments[0].no_speech_prob if segments else None,
    )
