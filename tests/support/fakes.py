"""Models, voices and clocks whose results can be worked out by hand."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from emostream.models import (
    LABELS,
    Alignment,
    BaselineSettings,
    Clip,
    EncodedAudio,
    Prediction,
    SpeakerBaseline,
    SpeechPresence,
    Transcript,
    Word,
)
from emostream.streamer.audio.frontend import Samples

FRAME = 320


def voice(ms: int, *, seed: int = 0, level: float = 0.1) -> Samples:
    """Noise that stands for speech: (N,) float32 at 16 kHz."""
    noise = np.random.default_rng(seed).standard_normal(ms * 16)
    return (level * noise).astype(np.float32)


def silence(ms: int) -> Samples:
    return np.zeros(ms * 16, np.float32)


class LoudnessVad:
    """Everything louder than -60 dBFS is speech."""

    name = "loudness"

    def is_speech(self, frames: Samples) -> list[bool]:
        return [bool(np.mean(np.square(frame)) > 1e-6) for frame in frames]


class FakeTranscriber:
    """The transcript is the length of the clip, in the language that is expected of it, or English.
    `fails_on`: lengths in ms that raise.
    """

    name = "fake words"
    batch_size = 8

    def __init__(self, fails_on: Sequence[int] = ()) -> None:
        self.fails_on = fails_on
        self.batches: list[int] = []

    def transcribe(self, clips: Sequence[Clip]) -> list[Transcript]:
        self.batches.append(len(clips))
        lengths = [len(clip.samples) // 16 for clip in clips]
        if any(length in self.fails_on for length in lengths):
            raise RuntimeError("these words are poison")
        return [
            Transcript(
                text=f"{length} milliseconds",
                language=clip.expected_language or "en",
                words=(Word(str(length), 0, 160, 0.5), Word("milliseconds", 160, 320, None)),
            )
            for clip, length in zip(clips, lengths, strict=True)
        ]


class FakeRecognizer:
    """The label follows the length of the clip, the probabilities are 0.7, 0.1, 0.1, 0.1."""

    name = "fake emotion"
    device = "cpu"
    batch_seconds = 64.0
    labels = LABELS
    baseline: BaselineSettings | None = None

    def __init__(self, fails_on: Sequence[int] = ()) -> None:
        self.fails_on = fails_on
        self.batches: list[int] = []

    def encode(self, clips: Sequence[Clip]) -> list[EncodedAudio]:
        self.batches.append(len(clips))
        if any(len(clip.samples) // 16 in self.fails_on for clip in clips):
            raise RuntimeError("this clip is poison")
        return [EncodedAudio(frames=len(clip.samples), clip=clip) for clip in clips]

    def align(self, clips: Sequence[Clip], transcripts: Sequence[Transcript | None]) -> list[Alignment]:
        return [
            Alignment() if transcript is None else Alignment(transcript.words) for transcript in transcripts
        ]

    def fuse(
        self,
        codes: Sequence[EncodedAudio],
        transcripts: Sequence[Transcript | None],
        alignments: Sequence[Alignment],
        baselines: Sequence[SpeakerBaseline | None] | None = None,
    ) -> list[Prediction]:
        return [
            predict(code.frames, has_text=bool(transcript and transcript.text))
            for code, transcript in zip(codes, transcripts, strict=True)
        ]


class AdaptiveRecognizer(FakeRecognizer):
    """Its probabilities follow the clip's loudness and all of the speaker's baseline, so that any utterance
    more, less or in another order shows. seen: the number of utterances behind each baseline it was given, by
    length of the clip in ms.
    """

    baseline: BaselineSettings = BaselineSettings(prior_count=1.0, neutral_weight=0.5)

    def __init__(self, fails_on: Sequence[int] = ()) -> None:
        super().__init__(fails_on)
        self.seen: list[tuple[int, int | None]] = []

    def encode(self, clips: Sequence[Clip]) -> list[EncodedAudio]:
        return [replace(code, voice=self.voice(code.clip)) for code in super().encode(clips)]

    @staticmethod
    def voice(clip: Clip | None) -> Samples:
        assert clip is not None
        loudness = float(np.sqrt(np.mean(np.square(clip.samples, dtype=np.float64))))
        return np.array([loudness, clip.seconds], np.float32)

    def fuse(
        self,
        codes: Sequence[EncodedAudio],
        transcripts: Sequence[Transcript | None],
        alignments: Sequence[Alignment],
        baselines: Sequence[SpeakerBaseline | None] | None = None,
    ) -> list[Prediction]:
        plain = super().fuse(codes, transcripts, alignments)
        speakers = [None] * len(codes) if baselines is None else list(baselines)
        judged = zip(plain, codes, speakers, strict=True)
        return [self._judge(one, code, speaker) for one, code, speaker in judged]

    def _judge(self, plain: Prediction, code: EncodedAudio, speaker: SpeakerBaseline | None) -> Prediction:
        assert code.voice is not None
        self.seen.append((code.frames // 16, None if speaker is None else speaker.utterances))
        baseline = None if speaker is None else speaker.voice(self.baseline)
        seen = code.voice if baseline is None else code.voice - baseline
        odds = np.exp(np.concatenate([seen, -seen]))
        probabilities = tuple((odds / odds.sum()).tolist())
        winner = int(np.argmax(odds))
        return replace(
            plain,
            label=LABELS[winner],
            confidence=probabilities[winner],
            probabilities=probabilities,
            audio_only=probabilities,
        )


class FakeSpeechDetector:
    """`voice` is speech, at a tenth of its level it is not. clips: the lengths in ms that it was given."""

    def __init__(self) -> None:
        self.clips: list[int] = []

    def detect(self, clips: Sequence[Clip]) -> list[SpeechPresence]:
        self.clips += [len(clip.samples) // 16 for clip in clips]
        loud = [float(np.abs(clip.samples).max()) > 0.1 for clip in clips]
        return [SpeechPresence(0.9) if one else SpeechPresence(0.25, "no_speech") for one in loud]


def predict(samples: int, *, has_text: bool) -> Prediction:
    winner = samples // FRAME % len(LABELS)
    probabilities = tuple(0.7 if i == winner else 0.1 for i in range(len(LABELS)))
    return Prediction(
        label=LABELS[winner],
        confidence=0.7,
        probabilities=probabilities,
        audio_only=probabilities,
        text_only=probabilities if has_text else None,
        uncertain=() if has_text else ("no_text",),
    )


class ManualClock:
    """Time stands still until the test moves it; sleepers wake in order."""

    def __init__(self) -> None:
        self.time = 0.0
        self._sleepers: list[tuple[float, asyncio.Event]] = []
        self._sleeping = asyncio.Event()

    def now(self) -> float:
        return self.time

    async def sleep_until(self, moment: float) -> None:
        if moment <= self.time:
            return
        event = asyncio.Event()
        self._sleepers.append((moment, event))
        self._sleeping.set()
        await event.wait()

    async def wait_for_sleeper(self) -> None:
        """Return when at least one sleeper waits."""
        while not self._sleepers:
            self._sleeping.clear()
            await self._sleeping.wait()

    def advance_to(self, moment: float) -> None:
        self.time = moment
        due = [sleeper for sleeper in self._sleepers if sleeper[0] <= moment]
        self._sleepers = [sleeper for sleeper in self._sleepers if sleeper[0] > moment]
        for _, event in sorted(due, key=lambda sleeper: sleeper[0]):
            event.set()
