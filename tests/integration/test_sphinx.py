"""The PocketSphinx adapter: real words, no state between clips, no decoder noise in the text, odd input."""

from __future__ import annotations

import logging
import re
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emostream.models.errors import TranscriberError
from emostream.models.transcription.sphinx import SphinxTranscriber
from emostream.models.types import Clip, Samples, Transcript
from emostream.streamer.audio.decode import decode_file
from tests.support.speech import recording

ACTED = [
    ("ravdess/audio/03-01-01-01-01-01-02.flac", "kids are talking by the door"),
    ("ravdess/audio/03-01-02-01-01-01-05.flac", "kids are talking by the door"),
    ("ravdess/audio/03-01-01-01-02-01-09.flac", "dogs are sitting by the door"),
]


@pytest.fixture(scope="module")
def sphinx() -> SphinxTranscriber:
    return SphinxTranscriber()


def hum(seconds: float, seed: int) -> Samples:
    """Buzzing noise that makes the decoder write something: (N,) float32."""
    n = int(seconds * 16_000)
    noise = np.random.default_rng(seed).normal(0.0, 0.02, n)
    buzz = np.sign(np.sin(np.arange(n) / 20.0)) * np.sin(np.arange(n) / 900.0)
    return (0.3 * buzz + noise).astype(np.float32)


def words(transcript: Transcript) -> set[str]:
    return set(transcript.text.split())


def assert_well_formed(clip: Clip, transcript: Transcript) -> None:
    assert transcript.text == " ".join(word.text for word in transcript.words)
    assert not re.search(r"[<\[(+]", transcript.text)
    edges = [edge for word in transcript.words for edge in (word.start, word.end)]
    assert edges == sorted(edges)
    assert all(0 <= edge <= len(clip.samples) for edge in edges)
    assert all(word.confidence is not None and 0.0 <= word.confidence <= 1.0 for word in transcript.words)


@pytest.mark.data
def test_several_words_of_a_famous_sentence_are_recognized(sphinx: SphinxTranscriber) -> None:
    clip = Clip(recording("recordings/jfk.flac"))
    (transcript,) = sphinx.transcribe([clip])
    reference = "and so my fellow americans ask not what your country can do for you"
    assert len(words(transcript) & set(reference.split())) >= 6
    assert transcript.language == "en"
    assert_well_formed(clip, transcript)


@pytest.mark.data
def test_acted_sentences_are_partly_recognized(sphinx: SphinxTranscriber) -> None:
    clips = [Clip(recording(name)) for name, _ in ACTED]
    transcripts = sphinx.transcribe(clips)
    found = sum(
        len(words(t) & set(reference.split())) for t, (_, reference) in zip(transcripts, ACTED, strict=True)
    )
    assert found >= 9
    for clip, transcript in zip(clips, transcripts, strict=True):
        assert_well_formed(clip, transcript)


@pytest.mark.data
def test_a_transcript_does_not_depend_on_the_clip_before(sphinx: SphinxTranscriber) -> None:
    loud, clip = Clip(recording("recordings/jfk.flac")[:40_000]), Clip(recording(ACTED[0][0])[12_000:44_000])
    alone = SphinxTranscriber().transcribe([clip])
    assert alone[0].words, "there must be words, or this means nothing"
    assert sphinx.transcribe([loud, clip])[1:] == alone
    assert sphinx.transcribe([clip, clip]) == alone * 2


@pytest.mark.parametrize(
    "samples",
    [
        np.zeros(0, np.float32),
        np.zeros(1, np.float32),
        np.ones(160, np.float32),
        np.zeros(32_000, np.float32),
        np.full(16_000, np.nan, np.float32),
    ],
    ids=["empty", "one sample", "10 ms", "silence", "nothing but NaN"],
)
def test_a_silent_clip_has_no_text(sphinx: SphinxTranscriber, samples: Samples) -> None:
    assert sphinx.transcribe([Clip(samples)]) == [Transcript("")]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e30])
def test_invalid_samples_give_a_transcript(sphinx: SphinxTranscriber, value: float) -> None:
    harmed = hum(0.5, 0)
    harmed[::100] = value
    healthy = Clip(hum(0.5, 1))
    before = sphinx.transcribe([healthy])
    assert sphinx.transcribe([Clip(harmed), healthy])[1:] == before


def test_no_clips_give_no_transcripts(sphinx: SphinxTranscriber) -> None:
    assert sphinx.transcribe([]) == []


def test_another_language_gives_one_warning(caplog: pytest.LogCaptureFixture) -> None:
    transcriber = SphinxTranscriber()
    quiet = np.zeros(800, np.float32)
    with caplog.at_level(logging.WARNING, logger="emostream"):
        transcriber.transcribe([Clip(quiet), Clip(quiet, "en-US"), Clip(quiet, "pl"), Clip(quiet, "de")])
    assert len(caplog.records) == 1
    assert "'pl'" in caplog.records[0].message


def test_a_missing_model_is_reported_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(**_: object) -> None:
        raise RuntimeError("Failed to initialize\nPocketSphinx")

    monkeypatch.setattr("pocketsphinx.Decoder", fail)
    with pytest.raises(TranscriberError, match="reinstall pocketsphinx") as caught:
        SphinxTranscriber()
    assert "\n" not in str(caught.value)


def test_its_name_contains_the_model(sphinx: SphinxTranscriber) -> None:
    assert sphinx.name == "pocketsphinx en-us"


class Counting:
    """A decoder that counts the samples it searches."""

    def __init__(self, decoder: Any) -> None:
        self._decoder = decoder
        self.searched = 0

    def process_raw(self, pcm: bytes, no_search: bool = False, full_utt: bool = False) -> None:
        self.searched += 0 if no_search else len(pcm) // 2
        self._decoder.process_raw(pcm, no_search=no_search, full_utt=full_utt)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._decoder, name)


@pytest.fixture(scope="module")
def spoken() -> list[Samples]:
    """Three sentences of the bundled recording, 3 to 4 s each."""
    sound = decode_file(Path(str(files("emostream.demo") / "recording.ogg")))
    return [
        sound[start : start + length] for start, length in ((0, 60_000), (64_000, 48_000), (128_000, 56_000))
    ]


@pytest.mark.parametrize(
    "ends", [[24_000, 38_000, 45_000], [30_001, 30_002, 59_999, 60_000], [10, 23_999, 60_000]]
)
def test_incremental_decoding_changes_no_transcript(
    sphinx: SphinxTranscriber, spoken: list[Samples], ends: list[int]
) -> None:
    clip = Clip(spoken[0])
    cold = SphinxTranscriber().transcribe([clip])
    assert cold[0].words, "there must be words, or this means nothing"
    for end in ends:
        sphinx.transcribe_partial(Clip(clip.samples[:end]))
    assert sphinx.transcribe([clip]) == cold
    assert sphinx.transcribe([clip]) == cold


def test_audio_decoded_incrementally_is_not_decoded_again(spoken: list[Samples]) -> None:
    sphinx, sound = SphinxTranscriber(), spoken[0]
    counting = sphinx._decoders[0]._decoder = Counting(sphinx._decoders[0]._decoder)
    for end in (38_000, 46_000, 54_000):
        sphinx.transcribe_partial(Clip(sound[:end]))
    assert counting.searched == 48_000  # a second at a time, however far behind
    sphinx.transcribe([Clip(sound)])
    assert counting.searched == len(sound)


def test_several_utterances_are_decoded_incrementally_at_once(
    sphinx: SphinxTranscriber, spoken: list[Samples]
) -> None:
    cold = [SphinxTranscriber().transcribe([Clip(sound)])[0] for sound in spoken]
    for end in range(24_000, 60_000, 6_000):
        for sound in spoken:
            sphinx.transcribe_partial(Clip(sound[:end]))
    assert [sphinx.transcribe([Clip(sound)])[0] for sound in spoken] == cold


@pytest.mark.parametrize("fatal", [1, 2, 3], ids=["at the mean", "at the first piece", "at the second piece"])
def test_a_decoder_that_fails_is_replaced(spoken: list[Samples], fatal: int) -> None:
    """Its state is unknown: the next transcript is that of a new decoder."""
    sphinx = SphinxTranscriber()
    healthy = sphinx._decoders[0]._decoder

    class Stumbling(Counting):
        calls = 0

        def process_raw(self, pcm: bytes, no_search: bool = False, full_utt: bool = False) -> None:
            self.calls += 1
            if self.calls == fatal:
                raise RuntimeError("stumbled")
            super().process_raw(pcm, no_search=no_search, full_utt=full_utt)

    sphinx._decoders[0]._decoder = Stumbling(healthy)
    with pytest.raises(RuntimeError, match="stumbled"):
        for end in (40_000, 60_000):
            sphinx.transcribe_partial(Clip(spoken[0][:end]))
    assert all(one._decoder is not healthy for one in sphinx._decoders)
    for sound in spoken:
        assert sphinx.transcribe([Clip(sound)]) == SphinxTranscriber().transcribe([Clip(sound)])


def test_a_third_utterance_waits_for_an_inactive_one(spoken: list[Samples]) -> None:
    now = 0.0
    sphinx = SphinxTranscriber(lambda: now)
    first, second, third = (Clip(sound[:48_000]) for sound in spoken)
    sphinx.transcribe_partial(first)
    now = 2.0
    sphinx.transcribe_partial(second)
    sphinx.transcribe_partial(third)
    one, other = sphinx._decoders
    assert one.continues(first.samples)
    assert other.continues(second.samples)
    now = 3.5  # the first has not gone on for more than three seconds
    sphinx.transcribe_partial(third)
    assert one.continues(third.samples)
    assert other.continues(second.samples)


def test_leading_silence_is_excluded_from_the_cepstral_mean(spoken: list[Samples]) -> None:
    """The features of the speech are not normalized by background noise."""
    room = np.random.default_rng(0).normal(0.0, 0.0005, 40_000).astype(np.float32)
    sphinx = SphinxTranscriber()
    sound = np.concatenate([room, spoken[2]])
    alone, late = sphinx.transcribe([Clip(spoken[2]), Clip(sound)])
    assert len(alone.words) >= 4
    assert len(words(alone) & words(late)) >= 0.7 * len(words(alone))
    for end in (30_000, 50_000, 80_000):
        sphinx.transcribe_partial(Clip(sound[:end]))
    assert sphinx.transcribe([Clip(sound)]) == [late]


def test_an_utterance_whose_beginning_changed_is_decoded_anew(
    sphinx: SphinxTranscriber, spoken: list[Samples]
) -> None:
    sphinx.transcribe_partial(Clip(spoken[0]))
    later = Clip(spoken[0][4_000:])  # louder speech followed, and the quiet beginning was cut off
    assert sphinx.transcribe([later]) == SphinxTranscriber().transcribe([later])


def test_an_utterance_may_begin_with_digital_silence(sphinx: SphinxTranscriber) -> None:
    quiet = np.zeros(40_000, np.float32)
    sphinx.transcribe_partial(Clip(quiet))
    assert sphinx.transcribe([Clip(quiet)]) == [Transcript("")]
