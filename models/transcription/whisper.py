"""Whisper as a `types.Transcriber`: batching of clips, language, filtering of hallucinations."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from faster_whisper import WhisperModel

from ..audio_checks import is_audible, sanitize_samples
from ..errors import TranscriberError
from ..types import SAMPLE_RATE_HZ, Clip, Transcript, Word
from .hallucination import (
    DEFAULT_THRESHOLDS,
    DecodedText,
    FilterResult,
    HallucinationThresholds,
    filter_hypothesis,
)
from .language_detection import MIN_SECONDS, ChosenLanguage, choose_language
from .whisper_decoding import WITHOUT_SPACES, Hypothesis, WhisperDecoder
from .whisper_loader import (
    concurrent_calls_of,
    load_whisper_model,
    resolve_whisper_device,
    unusable_model,
)
from .whisper_options import WhisperOptions
from .whisper_window import MAX_CLIP_S, token_limit, window_for
from .word_times import TimedWord, words_in_clip

logger = logging.getLogger("emostream")

_MAX_PASS_CLIPS: Final = {"cpu": 2, "cuda": 16}
"""In one forward pass. On a CPU two short clips cost 14 % less than one after the other with base, 28 % with
tiny.en, four the same and eight more again (docs/adr/0040). On a GPU memory sets the limit: in a window of
30 s a clip takes about 60 MB in a small model, however short it is."""

_TRUNCATED_LOOP_REPEATS: Final = 3
_TRUNCATED_LOOP_CHARACTERS: Final = 12
"""As `HallucinationThresholds.loop_repeats` and `loop_characters`, for a text that hit the token limit."""


class WhisperTranscriber:
    """Transcribes with one loaded model, from as many threads at once as `concurrent_calls` says.

    A single clip takes the same path as sixteen, and its transcript does not depend on its batch.
    """

    def __init__(
        self,
        model: WhisperModel,
        name: str,
        thresholds: HallucinationThresholds = DEFAULT_THRESHOLDS,
        concurrent_calls: int = 1,
    ) -> None:
        self._decoder = WhisperDecoder(model)
        self._pass_clips = _MAX_PASS_CLIPS[model.model.device]
        self._thresholds = thresholds
        # For a text that hit the token limit a shorter loop is evidence enough: something caused the overrun.
        self._truncated_thresholds = replace(
            thresholds,
            loop_repeats=min(_TRUNCATED_LOOP_REPEATS, thresholds.loop_repeats),
            loop_characters=min(_TRUNCATED_LOOP_CHARACTERS, thresholds.loop_characters),
        )
        self._name = name
        self._concurrent_calls = concurrent_calls
        self.source = "folder"
        # Warn about an unsupported hint once, not for every utterance of every client.
        self._warned_about_hint = False

    @classmethod
    def load(
        cls,
        folder: Path,
        *,
        label: str,
        source: str = "folder",
        device: str = "auto",
        compute_type: str = "default",
        cpu_threads: int | None = None,
        concurrent_calls: int | None = None,
    ) -> WhisperTranscriber:
        """The model in `folder`, warmed up, with the display name `whisper LABEL (...)`. source: see
        `types.PretrainedTranscriber`; the rest: see `WhisperOptions`.

        Raises TranscriberError (no usable model there) and DeviceError. With device `auto`, a GPU that is
        present but unusable (its libraries are often missing) is skipped with a warning.
        """
        options = WhisperOptions(device, compute_type, cpu_threads, concurrent_calls)
        transcriber = cls._load_with_fallback(folder, label, options)
        transcriber.source = source
        return transcriber

    @classmethod
    def _load_with_fallback(cls, folder: Path, label: str, options: WhisperOptions) -> WhisperTranscriber:
        present = options.on(resolve_whisper_device(options.device))
        try:
            return cls._load_on(folder, label, present)
        except TranscriberError as error:
            if options.device != "auto" or present.device == "cpu":
                raise
            logger.warning("Whisper cannot use the GPU and runs on the CPU instead: %s", error)
            return cls._load_on(folder, label, replace(options, device="cpu", compute_type="default"))

    @classmethod
    def _load_on(cls, folder: Path, label: str, options: WhisperOptions) -> WhisperTranscriber:
        model = load_whisper_model(folder, options)
        precision = model.model.compute_type.removesuffix("_float32")
        name = f"whisper {label} ({precision}, {options.device})"
        transcriber = cls(model, name, concurrent_calls=concurrent_calls_of(options))
        try:
            transcriber.warm_up()
        except (RuntimeError, ValueError) as error:  # a model of the wrong shape fails only here
            raise unusable_model(folder, error) from error
        return transcriber

    @property
    def name(self) -> str:
        return self._name

    @property
    def languages(self) -> Sequence[str]:
        return self._decoder.languages if self._decoder.multilingual else ("en",)

    @property
    def concurrent_calls(self) -> int:
        return self._concurrent_calls

    @property
    def detects_language(self) -> bool:
        return self._decoder.multilingual

    @property
    def own_language_from_s(self) -> float:
        return MIN_SECONDS

    @property
    def batch_size(self) -> int:
        return 8  # a GPU gains up to it; on a CPU those of one length are looked for among them

    def transcribe(self, clips: Sequence[Clip]) -> list[Transcript]:
        """The words of each clip, in order. Clips of at most 30 s, any sample values.

        Raises TranscriberError for a longer clip.
        """
        return self._transcribe(clips, word_times=True)

    def transcribe_interim(self, clips: Sequence[Clip]) -> list[Transcript]:
        """As `transcribe`, without word times. Greedy search costs as much, and runs on (docs/adr/0020)."""
        return self._transcribe(clips, word_times=False)

    def _transcribe(self, clips: Sequence[Clip], *, word_times: bool) -> list[Transcript]:
        for clip in clips:
            if clip.seconds > MAX_CLIP_S:
                raise TranscriberError(
                    f"Whisper transcribes clips of at most {MAX_CLIP_S} s, got one of {clip.seconds:.1f} s: "
                    "cut it into utterances first"
                )
        transcripts = [Transcript("") for _ in clips]
        sanitized = ((i, sanitize_samples(clip.samples)) for i, clip in enumerate(clips))
        waveforms = {i: samples for i, samples in sanitized if is_audible(samples)}
        groups: dict[tuple[int, tuple[int, ...]], list[int]] = {}
        for i in waveforms:
            groups.setdefault(self._window_and_limits(clips[i]), []).append(i)
        for (seconds, limits), members in groups.items():
            for first in range(0, len(members), self._pass_clips):
                batch = members[first : first + self._pass_clips]
                prepared = [replace(clips[i], samples=waveforms[i]) for i in batch]
                results = self._transcribe_batch(prepared, seconds, limits, word_times=word_times)
                for i, transcript in zip(batch, results, strict=True):
                    transcripts[i] = transcript
        return transcripts

    def _window_and_limits(self, clip: Clip) -> tuple[int, tuple[int, ...]]:
        """Clips that agree in both share a batch. Neither may depend on the decoded text.

        The limits are that of the clip's language where it is given; else those of English and of any other.
        """
        language = self._given_language(clip)
        possible = (True, False) if language is None else (language == "en",)
        return window_for(clip.seconds), tuple(
            token_limit(clip.seconds, english, self._thresholds) for english in possible
        )

    def warm_up(self) -> None:
        """Run the whole path once on a second of quiet noise: a model of the wrong shape fails here.

        In a window of its own length, which takes a tenth of the time of the windows of utterances.
        """
        noise = np.random.default_rng(0).normal(0.0, 0.01, SAMPLE_RATE_HZ).astype(np.float32)
        self._transcribe_batch([Clip(noise, "en")], 1, (8,), word_times=True)

    def _transcribe_batch(
        self, clips: Sequence[Clip], seconds: int, limits: tuple[int, ...], *, word_times: bool
    ) -> list[Transcript]:
        """One batch of audible clips, padded to a window of `seconds`. limits: in tokens, see
        `_window_and_limits`.
        """
        decoder, waveforms = self._decoder, [clip.samples for clip in clips]
        encoded = decoder.encode(waveforms, seconds * decoder.frames_per_second)
        chosen = self._languages(clips, encoded)
        languages = [language.code for language in chosen]
        if len(limits) > 1:
            limit_of = dict(zip((True, False), limits, strict=True))
            needed = [limit_of[language == "en"] for language in languages]
            if len(set(needed)) > 1:  # rare; for the one limit see `WhisperDecoder.decode`
                return [
                    self._transcribe_batch([clip], seconds, (limit,), word_times=word_times)[0]
                    for clip, limit in zip(clips, needed, strict=True)
                ]
            limits = (needed[0],)
        hypotheses = decoder.decode(encoded, languages, limits[0])
        # Where spaces separate words, filter before aligning them: aligning many words takes long.
        results = [
            None if language in WITHOUT_SPACES else self._filter(hypothesis, (), len(waveform))
            for hypothesis, waveform, language in zip(hypotheses, waveforms, languages, strict=True)
        ]
        accepted = [
            hypothesis if result is None else decoder.truncate(hypothesis, result.text)
            for hypothesis, result in zip(hypotheses, results, strict=True)
        ]
        frames = [-(-len(waveform) * decoder.frames_per_second // SAMPLE_RATE_HZ) for waveform in waveforms]
        aligned: list[list[TimedWord]] = [[] for _ in waveforms]
        if word_times:
            aligned = decoder.align_words(encoded, accepted, languages, frames)
        transcripts = []
        for i, (hypothesis, result, timed) in enumerate(zip(hypotheses, results, aligned, strict=True)):
            words = words_in_clip(timed, len(waveforms[i]))
            if result is None:
                result = self._filter(hypothesis, words, len(waveforms[i]))
                words = result.words
            certain = chosen[i].certain and bool(result.text)
            transcripts.append(Transcript(result.text, languages[i], words, result.rejected, certain))
        return transcripts

    def _languages(self, clips: Sequence[Clip], encoded: Any) -> list[ChosenLanguage]:
        """The language of each clip, detected where there is no usable hint."""
        given = [self._given_language(clip) for clip in clips]
        known = [ChosenLanguage(code, certain=False) for code in given if code is not None]
        if len(known) == len(clips):
            return known
        rankings = self._decoder.detect_languages(encoded)
        return [
            choose_language(ranking, clip.seconds, clip.expected_language)
            if code is None
            else ChosenLanguage(code, certain=False)
            for clip, code, ranking in zip(clips, given, rankings, strict=True)
        ]

    def _given_language(self, clip: Clip) -> str | None:
        """None where the language must be detected."""
        return self._language(clip.language) or (
            clip.expected_language if clip.seconds < MIN_SECONDS else None
        )

    def _filter(self, hypothesis: Hypothesis, words: tuple[Word, ...], samples: int) -> FilterResult:
        decoded = DecodedText(
            text=self._decoder.text(hypothesis),
            words=words,
            duration_s=samples / SAMPLE_RATE_HZ,
            avg_logprob=hypothesis.avg_logprob,
            no_speech_prob=hypothesis.no_speech_prob,
        )
        thresholds = self._thresholds if hypothesis.complete else self._truncated_thresholds
        result = filter_hypothesis(decoded, thresholds)
        if decoded.text and not hypothesis.complete and result.text == decoded.text:
            # The text hit the token limit, and no loop shows where the hallucination begins.
            return FilterResult("", rejected="impossible speaking rate")
        return result

    def _language(self, hint: str | None) -> str | None:
        """The model's code for a BCP 47 hint; None where the model must detect the language."""
        multilingual = self._decoder.multilingual
        code = hint.replace("_", "-").split("-")[0].lower() if hint else None
        if code is not None and code not in self._decoder.languages:
            if not self._warned_about_hint:
                self._warned_about_hint = True
                logger.warning(
                    "%s does not support the language %r: its hint is ignored; %s",
                    self._name,
                    hint,
                    "the language is detected"
                    if multilingual
                    else "name a model without .en for other languages",
                )
            code = None
        return code if multilingual else "en"
