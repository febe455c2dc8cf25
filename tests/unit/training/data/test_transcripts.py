"""Cached transcripts: transcribed once, resumed after a kill; and the report of word error rates."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from emostream.models import Clip, Samples, Transcript, Word, load_transcriber
from emostream.training.augmentation.confusions import Confusions
from emostream.training.augmentation.settings import TextErrorRates
from emostream.training.corpora.example import CorpusError, Example
from emostream.training.data.asr_report import (
    TranscriptRow,
    WordErrors,
    simulated_word_errors,
    transcript_rows,
    transcript_table,
)
from emostream.training.data.audio_cache import AudioCache, cached_audio
from emostream.training.data.transcripts import FILE, cached_transcripts, read_transcripts
from tests.support.tiny_emotion import noise

SECOND = 16_000


def examples(count: int, language: str = "en") -> list[Example]:
    return [
        Example(corpus="c", key=str(index), emotion="sad", emotion_orig="sad", language=language)
        for index in range(count)
    ]


def sounds_of(*clips: Samples) -> AudioCache:
    ends = np.cumsum([len(clip) for clip in clips]).tolist()
    spans = {str(i): (end - len(clip), end) for i, (clip, end) in enumerate(zip(clips, ends, strict=True))}
    return AudioCache((np.concatenate(clips) * 32_767).astype(np.int16), spans)


def half_seconds(count: int) -> AudioCache:
    return sounds_of(*(noise(SECOND // 2, seed) for seed in range(count)))


class LoudestSample:
    """Transcribes one word, `boom`, where a clip is loudest. Raises after `max_batches`."""

    def __init__(self, name: str = "loudest", batch: int = 2, max_batches: int = 1_000) -> None:
        self.name = name
        self.batch_size = batch
        self.batches_left = max_batches
        self.clips: list[Clip] = []

    def transcribe(self, clips: Sequence[Clip]) -> list[Transcript]:
        if not self.batches_left:
            raise KeyboardInterrupt
        self.batches_left -= 1
        self.clips += clips
        return [self._one(clip) for clip in clips]

    def _one(self, clip: Clip) -> Transcript:
        at = int(np.abs(clip.samples).argmax())
        return Transcript("Böom!", clip.language, (Word("Böom!", at, at + 1, 0.5),))


class Steps(list[tuple[int, int]]):
    def __call__(self, done: int, of: int) -> None:
        self.append((done, of))


def test_every_clip_is_transcribed_once(tmp_path: Path) -> None:
    clips, sounds, steps = examples(5), half_seconds(5), Steps()
    transcriber = LoudestSample()
    first = cached_transcripts(clips, sounds, transcriber, tmp_path, steps)
    assert [first[str(i)].words[0].start for i in range(5)] == [
        np.abs(sounds.clip(str(i))).argmax() for i in range(5)
    ]
    assert steps == [(0, 5), (2, 5), (4, 5), (5, 5)]
    again = cached_transcripts(clips, sounds, transcriber, tmp_path, steps)
    assert again == first
    assert len(transcriber.clips) == 5
    assert read_transcripts(clips, sounds, tmp_path) == first
    assert read_transcripts(clips, sounds, tmp_path, "loudest") == first


def test_every_batch_is_on_disk_before_the_next(tmp_path: Path) -> None:
    on_disk = []

    def progress(done: int, of: int) -> None:
        on_disk.append((done, (tmp_path / FILE).read_bytes().count(b"\n") if done else 0))

    cached_transcripts(examples(5), half_seconds(5), LoudestSample(), tmp_path, progress)
    assert on_disk == [(0, 0), (2, 2), (4, 4), (5, 5)]


@pytest.mark.parametrize("half_a_line", [b"", b'{"key": "4", "so', '{"key": "ö'.encode()[:-1]])
def test_a_killed_run_resumes(half_a_line: bytes, tmp_path: Path) -> None:
    clips, sounds = examples(7), half_seconds(7)
    with pytest.raises(KeyboardInterrupt):
        cached_transcripts(clips, sounds, LoudestSample(max_batches=2), tmp_path, Steps())
    with (tmp_path / FILE).open("ab") as file:
        file.write(half_a_line)
    second = LoudestSample()
    resumed = cached_transcripts(clips, sounds, second, tmp_path, Steps())
    assert len(second.clips) == 3
    uninterrupted = cached_transcripts(clips, sounds, LoudestSample(), tmp_path / "whole", Steps())
    assert resumed == uninterrupted
    assert (tmp_path / FILE).read_bytes() == (tmp_path / "whole" / FILE).read_bytes()


def test_other_audio_language_or_transcriber_is_transcribed_anew(tmp_path: Path) -> None:
    clips, sounds, transcriber = examples(3), half_seconds(3), LoudestSample()
    cached_transcripts(clips, sounds, transcriber, tmp_path, Steps())
    changes = {
        "sound": (clips, sounds_of(*(noise(9_000, seed) for seed in range(3))), "loudest"),
        "language": (examples(3, language="pl"), sounds, "loudest"),
        "transcriber": (clips, sounds, "louder"),
    }
    for change, (examples_, audio, name) in changes.items():
        other = LoudestSample(name)
        cached_transcripts(examples_, audio, other, tmp_path, Steps())
        assert len(other.clips) == 3, change
    assert {clip.language for clip in transcriber.clips} == {"en"}
    with pytest.raises(CorpusError, match=r"one transcriber .*\['louder', 'loudest'\]: name one"):
        read_transcripts(clips, sounds, tmp_path)


def test_missing_transcripts_are_counted(tmp_path: Path) -> None:
    sounds = half_seconds(5)
    with pytest.raises(CorpusError, match=r"transcripts of 5 clips .* none of 5, the first is 0: transcribe"):
        read_transcripts(examples(5), sounds, tmp_path)
    cached_transcripts(examples(3), sounds, LoudestSample(), tmp_path, Steps())
    with pytest.raises(CorpusError, match="none of 2, the first is 3"):
        read_transcripts(examples(5), sounds, tmp_path)


@pytest.mark.parametrize("damage", ["{}", "not json", '"text"'])
def test_a_damaged_line_is_named(damage: str, tmp_path: Path) -> None:
    cached_transcripts(examples(2), half_seconds(2), LoudestSample(), tmp_path, Steps())
    lines = (tmp_path / FILE).read_text(encoding="utf-8").splitlines()
    (tmp_path / FILE).write_text("\n".join([lines[0], damage, lines[1], ""]), encoding="utf-8")
    with pytest.raises(CorpusError, match=rf"{FILE}:2: expected a transcript, got"):
        read_transcripts(examples(2), half_seconds(2), tmp_path)


def test_a_long_clip_is_transcribed_in_pieces_cut_in_its_pauses(tmp_path: Path) -> None:
    """Three clicks, two pauses: every click is found at its position."""
    long = noise(70 * SECOND, level=0.05)
    clicks, pauses = [10 * SECOND, 30 * SECOND + 7, 60 * SECOND], [int(25.2 * SECOND), int(51.3 * SECOND)]
    long[clicks] = 0.9
    for pause in pauses:
        long[pause : pause + SECOND // 2] = 0
    transcriber = LoudestSample()
    sounds = sounds_of(noise(SECOND), long)
    transcript = cached_transcripts(examples(2), sounds, transcriber, tmp_path, Steps())["1"]
    assert [word.start for word in transcript.words] == clicks
    assert transcript.text == "Böom! Böom! Böom!"
    pieces = [clip.samples for clip in transcriber.clips[1:]]
    assert max(map(len, pieces)) <= 28 * SECOND
    cuts = np.cumsum([len(piece) for piece in pieces])[:-1]
    assert all(p <= cut <= p + SECOND // 2 for cut, p in zip(cuts, pauses, strict=True))
    np.testing.assert_array_equal(np.concatenate(pieces), sounds.clip("1"))


def test_the_real_fallback_transcriber(tmp_path: Path) -> None:
    """PocketSphinx is always installed; its transcript of noise does not matter, only that it is cached."""
    transcriber = load_transcriber("pocketsphinx")
    assert transcriber is not None
    first = cached_transcripts(examples(1), half_seconds(1), transcriber, tmp_path, Steps())
    assert read_transcripts(examples(1), half_seconds(1), tmp_path, transcriber.name) == first
    assert json.loads((tmp_path / FILE).read_text(encoding="utf-8"))["by"] == "pocketsphinx en-us"


def word_errors(reference: str, hypothesis: str) -> int:
    """Insertions, deletions and substitutions of words, by plain recursion."""
    if not reference or not hypothesis:
        return len(reference.split()) + len(hypothesis.split())
    (first, _, reference_rest), (other, _, hypothesis_rest) = (
        reference.partition(" "),
        hypothesis.partition(" "),
    )
    substituted = word_errors(reference_rest, hypothesis_rest) + (first != other)
    deleted, inserted = word_errors(reference_rest, hypothesis), word_errors(reference, hypothesis_rest)
    return min(substituted, deleted + 1, inserted + 1)


UTTERANCES = {
    "0": ("sad", "en", "It's GREAT, isn't it?", Transcript("its great isn't it")),
    "1": ("sad", "en-US", "No.", Transcript("")),
    "2": ("happy", "en", "one two three four", Transcript("one to free four five")),
    "3": ("happy", "pl", "Tak, wiem.", Transcript("", rejected="no speech")),
    "4": ("happy", "en", "", Transcript("something")),
}


def examples_of_utterances() -> list[Example]:
    return [
        Example(corpus="c", key=key, emotion=emotion, emotion_orig="", words=words, language=language)
        for key, (emotion, language, words, _) in UTTERANCES.items()
    ]


def test_the_report_equals_a_count_by_hand() -> None:
    transcripts = {key: utterance[3] for key, utterance in UTTERANCES.items()}
    polish = [
        replace(e, corpus="pl", key=f"pl{e.key}") for e in examples_of_utterances() if e.language == "pl"
    ]
    everything, happy, sad, other, _ = transcript_rows(
        examples_of_utterances() + polish, transcripts | {"pl3": Transcript("?")}
    )
    errors_sad = word_errors("it's great isn't it", "its great isn't it") + 1
    errors_happy = word_errors("one two three four", "one to free four five")
    assert (sad.emotion, sad.clips, happy.emotion, happy.clips) == ("sad", 2, "happy", 3)
    assert rate_of(sad) == pytest.approx(errors_sad / 5)
    assert rate_of(happy) == pytest.approx(errors_happy / 4)
    assert happy.word_errors == WordErrors(substitutions=2 / 4, deletions=0.0, insertions=1 / 4)
    assert (everything.emotion, everything.clips) == ("all", 5)
    assert rate_of(everything) == pytest.approx((errors_sad + errors_happy) / 9)
    assert (sad.empty, sad.rejected) == (1 / 2, 0)
    assert (happy.empty, happy.rejected) == (1 / 3, 1 / 3)
    assert (other.corpus, other.word_errors, other.empty) == ("pl", None, 1.0)


def rate_of(row: TranscriptRow) -> float:
    assert row.word_errors is not None
    return row.word_errors.rate


def test_simulated_errors_are_counted_as_a_transcribers_are() -> None:
    """Where every word is left out but the one that stays, and where nothing is changed."""
    confusions = Confusions(())
    everything = TextErrorRates(substitutions=0.0, deletions=1.0, insertions=0.0)
    spoken = [e for e in examples_of_utterances() if e.english]
    found = simulated_word_errors(spoken, confusions, everything)
    assert found is not None
    assert 0.3 < found.deletions < 1.0
    assert found.substitutions == found.insertions == 0.0
    nothing = TextErrorRates(substitutions=0.0, deletions=0.0, insertions=0.0)
    assert simulated_word_errors(spoken, confusions, nothing) == WordErrors(0.0, 0.0, 0.0)
    assert simulated_word_errors([], confusions, nothing) is None


def test_the_table_is_markdown() -> None:
    rows = transcript_rows(
        examples_of_utterances(), {key: utterance[3] for key, utterance in UTTERANCES.items()}
    )
    assert transcript_table(rows).splitlines() == [
        "| corpus | emotion | clips | word error rate | substituted | deleted | inserted | empty "
        "| rejected |",
        "|---|---|---:|---:|---:|---:|---:|---:|---:|",
        "| c | all | 5 | 55.6 % | 33.3 % | 11.1 % | 11.1 % | 40.0 % | 20.0 % |",
        "| c | happy | 3 | 75.0 % | 50.0 % | 0.0 % | 25.0 % | 33.3 % | 33.3 % |",
        "| c | sad | 2 | 40.0 % | 20.0 % | 20.0 % | 0.0 % | 50.0 % | 0.0 % |",
    ]


def test_audio_from_files_gives_the_same_transcripts(tmp_path: Path) -> None:
    """The memory-mapped cache and an array in memory are equivalent."""
    soundfile.write(tmp_path / "a.wav", noise(SECOND), SECOND)
    clip = [replace(examples(1)[0], path=tmp_path / "a.wav")]
    mapped = cached_audio(clip, tmp_path)
    memory = AudioCache(np.array(mapped.samples), mapped.spans)
    first = cached_transcripts(clip, mapped, LoudestSample(), tmp_path, Steps())
    assert read_transcripts(clip, memory, tmp_path) == first
