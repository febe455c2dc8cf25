"""Whisper behind `Sequence[Clip] -> list[Transcript]`: which clips share a pass, in which language, what is
believed of what comes out."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
from faster_whisper import WhisperModel

from ..audio_checks import is_audible, sanitize_samples
from ..errors import TranscriberError
from ..types import SAMPLE_RATE_HZ, Clip, Samples, Transcript, Word
from .hallucination import (
    DEFAULT_THRESHOLDS,
    DecodedText,
    FilterResult,
    HallucinationThresholds,
    filter_hypothesis,
)
from .whisper_decoding import WITHOUT_SPACES, Hypothesis, WhisperDecoder
from .whisper_loader import load_whisper_model, resolve_whisper_device, unusable_model
from .whisper_window import MAX_CLIP_S, token_limit, window_for
from .word_times import words_in_clip

logger = logging.getLogger("emostream")

_MOST_CLIPS: Final = 16
"""In one forward: in a window of 30 s each takes about 60 MB in a small model, however short it is."""

_SUSPICIOUS_REPEATS: Final = 3
_SUSPICIOUS_CHARACTERS: Final = 12
"""See `HallucinationThresholds.loop_repeats` and `loop_characters`."""


class WhisperTranscriber:
    """Transcribes with one loaded model, from one thread.

    A clip alone takes the same path as sixteen, and its transcript is the same in any company.
    """

    def __init__(
        self, model: WhisperModel, name: str, thresholds: HallucinationThresholds = DEFAULT_THRESHOLDS
    ) -> None:
        self._decoder = WhisperDecoder(model)
        self._thresholds = thresholds
        # Of a text that did not end by itself: less of a loop is proof enough, for it has a reason.
        self._suspicious = replace(
            thresholds,
            loop_repeats=min(_SUSPICIOUS_REPEATS, thresholds.loop_repeats),
            loop_characters=min(_SUSPICIOUS_CHARACTERS, thresholds.loop_characters),
        )
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
        present = resolve_whisper_device(device)
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
        model = load_whisper_model(folder, device=device, compute_type=compute_type, cpu_threads=cpu_threads)
        precision = model.model.compute_type.removesuffix("_float32")
        transcriber = cls(model, f"whisper {label} ({precision}, {device})")
        try:
            transcriber.warm_up()
        except (RuntimeError, ValueError) as error:  # only now does a model of other shapes show itself
            raise unusable_model(folder, error) from error
        return transcriber

    @property
    def name(self) -> str:
        return self._name

    @property
    def batch_size(self) -> int:
        return 8  # the encoder fills two cores long before that; a GPU gains up to it

    def transcribe(self, clips: Sequence[Clip]) -> list[Transcript]:
        """The words of each clip, in order. Clips of at most 30 s, any sample values.

        Raises TranscriberError for a longer clip.
        """
        for clip in clips:
            if clip.seconds > MAX_CLIP_S:
                raise TranscriberError(
                    f"Whisper hears clips of at most {MAX_CLIP_S} s, got one of {clip.seconds:.1f} s: cut it "
                    "into utterances first"
                )
        transcripts = [Transcript("") for _ in clips]
        bounded_clips = ((i, sanitize_samples(clip.samples)) for i, clip in enumerate(clips))
        sounds = {i: samples for i, samples in bounded_clips if is_audible(samples)}
        passes: dict[tuple[int, int], list[int]] = {}
        for i in sounds:
            passes.setdefault(self._window_and_limit(clips[i]), []).append(i)
        for (seconds, limit), members in passes.items():
            for first in range(0, len(members), _MOST_CLIPS):
                group = members[first : first + _MOST_CLIPS]
                hints = [clips[i].language for i in group]
                heard = self._pass([sounds[i] for i in group], hints, seconds, limit)
                for i, transcript in zip(group, heard, strict=True):
                    transcripts[i] = transcript
        return transcripts

    def _window_and_limit(self, clip: Clip) -> tuple[int, int]:
        """Clips that agree in both share a pass. Neither may depend on what is heard only there."""
        english = self._language(clip.language) == "en"
        return window_for(clip.seconds), token_limit(clip.seconds, english, self._thresholds)

    def warm_up(self) -> None:
        """Run the whole path once on two seconds of low noise, so that the first utterance does not wait."""
        noise = np.random.default_rng(0).normal(0.0, 0.01, 2 * SAMPLE_RATE_HZ).astype(np.float32)
        self._pass([noise], ["en"], window_for(2.0), limit=8)

    def _pass(
        self, sounds: Sequence[Samples], hints: Sequence[str | None], seconds: int, limit: int
    ) -> list[Transcript]:
        """One pass over sounds that are all heard in a window of `seconds` and may have `limit` tokens."""
        decoder = self._decoder
        encoded = decoder.encode(sounds, seconds * decoder.frames_per_second)
        languages = [self._language(hint) for hint in hints]
        if None in languages:
            found = decoder.detect(encoded)
            languages = [said or heard for said, heard in zip(languages, found, strict=True)]
        codes = [code or "en" for code in languages]
        written = decoder.write(encoded, codes, limit)
        # Judged before its words are placed, where spaces divide the text: many words take long to place.
        verdicts = [
            None if code in WITHOUT_SPACES else self._verdict(one, (), len(sound))
            for one, sound, code in zip(written, sounds, codes, strict=True)
        ]
        kept = [
            one if verdict is None else decoder.cut(one, verdict.text)
            for one, verdict in zip(written, verdicts, strict=True)
        ]
        frames = [-(-len(sound) * decoder.frames_per_second // SAMPLE_RATE_HZ) for sound in sounds]
        transcripts = []
        placed = decoder.place(encoded, kept, codes, frames)
        for one, verdict, timed, sound, code in zip(written, verdicts, placed, sounds, codes, strict=True):
            words = words_in_clip(timed, len(sound))
            if verdict is None:
                verdict = self._verdict(one, words, len(sound))
                words = verdict.words
            transcripts.append(Transcript(verdict.text, code, words, verdict.rejected))
        return transcripts

    def _verdict(self, written: Hypothesis, words: tuple[Word, ...], samples: int) -> FilterResult:
        heard = DecodedText(
            text=self._decoder.text(written),
            words=words,
            duration_s=samples / SAMPLE_RATE_HZ,
            avg_logprob=written.avg_logprob,
            no_speech_prob=written.no_speech_prob,
        )
        verdict = filter_hypothesis(heard, self._thresholds if written.whole else self._suspicious)
        if heard.text and not written.whole and verdict.text == heard.text:
            # It would have gone on, and no loop shows where it left what was said.
            return FilterResult("", rejected="impossible speaking rate")
        return verdict

    def _language(self, hint: str | None) -> str | None:
        """The model's code for a BCP 47 hint; None where the model must find out."""
        multilingual = self._decoder.multilingual
        code = hint.replace("_", "-").split("-")[0].lower() if hint else None
        if code is not None and code not in self._decoder.languages:
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
