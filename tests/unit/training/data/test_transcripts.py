"""What a transcriber understands is asked for once, survives a kill, and is held against what was said."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from emostream.models import Clip, Samples, Transcript, Word, load_transcriber
from emostream.training.corpora.example import CorpusError, Example
from emostream.training.data.asr_report import transcript_rows, transcript_table
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
    """Understands one word, `boom`, where a clip is loudest. Dies after so many batches."""

    def __init__(self, name: str = "loudest", batch: int = 2, lives: int = 1_000) -> None:
        self.name = name
        self.batch_size = batch
        self.lives = lives
        self.heard: list[Clip] = []

    def transcribe(self, clips: Sequence[Clip]) -> list[Transcript]:
        if not self.lives:
            raise KeyboardInterrupt
        self.lives -= 1
        self.heard += clips
        return [self._one(clip) for clip in clips]

    def _one(self, clip: Clip) -> Transcript:
        at = int(np.abs(clip.samples).argmax())
        return Transcript("Böom!", clip.language, (Word("Böom!", at, at + 1, 0.5),))


class Steps(list[tuple[int, int]]):
    def __call__(self, done: int, of: int) -> None:
        self.append((done, of))


def test_every_clip_is_asked_for_once(tmp_path: Path) -> None:
    clips, sounds, steps = examples(5), half_seconds(5), Steps()
    transcriber = LoudestSample()
    first = cached_transcripts(clips, sounds, transcriber, tmp_path, steps)
    assert [first[str(i)].words[0].start for i in range(5)] == [
        np.abs(sounds.clip(str(i))).argmax() for i in range(5)
    ]
    assert steps == [(0, 5), (2, 5), (4, 5), (5, 5)]
    again = cached_transcripts(clips, sounds, transcriber, tmp_path, steps)
    assert again == first
    assert len(transcriber.heard) == 5
    assert read_transcripts(clips, sounds, tmp_path) == first
    assert read_transcripts(clips, sounds, tmp_path, "loudest") == first


def test_every_batch_is_on_disk_before_the_next_is_heard(tmp_path: Path) -> None:
    on_disk = []

    def progress(done: int, of: int) -> None:
        on_disk.append((done, (tmp_path / FILE).read_bytes().count(b"\n") if done else 0))

    cached_transcripts(examples(5), half_seconds(5), LoudestSample(), tmp_path, progress)
    assert on_disk == [(0, 0), (2, 2), (4, 4), (5, 5)]


@pytest.mark.parametrize("half_a_line", [b"", b'{"key": "4", "so', '{"key": "ö'.encode()[:-1]])
def test_a_killed_run_goes_on_where_it_stopped(half_a_line: bytes, tmp_path: Path) -> None:
    clips, sounds = examples(7), half_seconds(7)
    with pytest.raises(KeyboardInterrupt):
        cached_transcripts(clips, sounds, LoudestSample(lives=2), tmp_path, Steps())
    with (tmp_path / FILE).open("ab") as file:
        file.write(half_a_line)
    survivor = LoudestSample()
    resumed = cached_transcripts(clips, sounds, survivor, tmp_path, Steps())
    assert len(survivor.heard) == 3
    whole = cached_transcripts(clips, sounds, LoudestSample(), tmp_path / "whole", Steps())
    assert resumed == whole
    assert (tmp_path / FILE).read_bytes() == (tmp_path / "whole" / FILE).read_bytes()


def test_what_a_transcript_depends_on(tmp_path: Path) -> None:
    clips, sounds, transcriber = examples(3), half_seconds(3), LoudestSample()
    cached_transcripts(clips, sounds, transcriber, tmp_path, Steps())
    changes = {
        "sound": (clips, sounds_of(*(noise(9_000, seed) for seed in range(3))), "loudest"),
        "language": (examples(3, language="pl"), sounds, "loudest"),
        "transcriber": (clips, sounds, "louder"),
    }
    for what, (asked, heard, name) in changes.items():
        other = LoudestSample(name)
        cached_transcripts(asked, heard, other, tmp_path, Steps())
        assert len(other.heard) == 3, what
    assert {clip.language for clip in transcriber.heard} == {"en"}
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


def test_a_long_clip_is_heard_in_pieces_cut_in_its_pauses(tmp_path: Path) -> None:
    """Three clicks, two pauses: every click is found, and found in its place."""
    long = noise(70 * SECOND, level=0.05)
    clicks, pauses = [10 * SECOND, 30 * SECOND + 7, 60 * SECOND], [int(25.2 * SECOND), int(51.3 * SECOND)]
    long[clicks] = 0.9
    for pause in pauses:
        long[pause : pause + SECOND // 2] = 0
    transcriber = LoudestSample()
    sounds = sounds_of(noise(SECOND), long)
    heard = cached_transcripts(examples(2), sounds, transcriber, tmp_path, Steps())["1"]
    assert [word.start for word in heard.words] == clicks
    assert heard.text == "Böom! Böom! Böom!"
    pieces = [clip.samples for clip in transcriber.heard[1:]]
    assert max(map(len, pieces)) <= 28 * SECOND
    cuts = np.cumsum([len(piece) for piece in pieces])[:-1]
    assert all(p <= cut <= p + SECOND // 2 for cut, p in zip(cuts, pauses, strict=True))
    np.testing.assert_array_equal(np.concatenate(pieces), sounds.clip("1"))


def test_the_real_fallback_transcriber(tmp_path: Path) -> None:
    """PocketSphinx is always there; what it says of noise does not matter, that it is kept does."""
    transcriber = load_transcriber("pocketsphinx")
    assert transcriber is not None
    first = cached_transcripts(examples(1), half_seconds(1), transcriber, tmp_path, Steps())
    assert read_transcripts(examples(1), half_seconds(1), tmp_path, transcriber.name) == first
    assert json.loads((tmp_path / FILE).read_text(encoding="utf-8"))["by"] == "pocketsphinx en-us"


def errors(said: str, heard: str) -> int:
    """Insertions, deletions and replacements of words, the slow way."""
    if not said or not heard:
        return len(said.split()) + len(heard.split())
    (first, _, behind_first), (other, _, behind_other) = said.partition(" "), heard.partition(" ")
    replaced = errors(behind_first, behind_other) + (first != other)
    return min(replaced, errors(behind_first, heard) + 1, errors(said, behind_other) + 1)


SAID = {
    "0": ("sad", "en", "It's GREAT, isn't it?", Transcript("its great isn't it")),
    "1": ("sad", "en-US", "No.", Transcript("")),
    "2": ("happy", "en", "one two three four", Transcript("one to free four five")),
    "3": ("happy", "pl", "Tak, wiem.", Transcript("", rejected="no speech")),
    "4": ("happy", "en", "", Transcript("something")),
}


def rows_of_said() -> list[Example]:
    return [
        Example(corpus="c", key=key, emotion=emotion, emotion_orig="", words=words, language=language)
        for key, (emotion, language, words, _) in SAID.items()
    ]


def test_the_report_is_what_counting_by_hand_gives() -> None:
    transcripts = {key: said[3] for key, said in SAID.items()}
    polish = [replace(e, corpus="pl", key=f"pl{e.key}") for e in rows_of_said() if e.language == "pl"]
    every, happy, sad, other, _ = transcript_rows(
        rows_of_said() + polish, transcripts | {"pl3": Transcript("?")}
    )
    wrong_sad = errors("it's great isn't it", "its great isn't it") + 1
    wrong_happy = errors("one two three four", "one to free four five")
    assert (sad.emotion, sad.clips, sad.word_error_rate) == ("sad", 2, wrong_sad / 5)
    assert (happy.emotion, happy.clips, happy.word_error_rate) == ("happy", 3, wrong_happy / 4)
    assert (every.emotion, every.clips) == ("all", 5)
    assert every.word_error_rate == (wrong_sad + wrong_happy) / 9
    assert (sad.empty, sad.rejected) == (1 / 2, 0)
    assert (happy.empty, happy.rejected) == (1 / 3, 1 / 3)
    assert (other.corpus, other.word_error_rate, other.empty) == ("pl", None, 1.0)


def test_the_table_is_markdown() -> None:
    rows = transcript_rows(rows_of_said(), {key: said[3] for key, said in SAID.items()})
    assert transcript_table(rows).splitlines() == [
        "| corpus | emotion | clips | word error rate | empty | rejected |",
        "|---|---|---:|---:|---:|---:|",
        "| c | all | 5 | 55.6 % | 40.0 % | 20.0 % |",
        "| c | happy | 3 | 75.0 % | 33.3 % | 33.3 % |",
        "| c | sad | 2 | 40.0 % | 50.0 % | 0.0 % |",
    ]


def test_sounds_from_files_go_the_same_way(tmp_path: Path) -> None:
    """The memory-mapped cache and an array in memory are one to the transcriber."""
    soundfile.write(tmp_path / "a.wav", noise(SECOND), SECOND)
    clip = [replace(examples(1)[0], path=tmp_path / "a.wav")]
    mapped = cached_audio(clip, tmp_path)
    memory = AudioCache(np.array(mapped.samples), mapped.spans)
    first = cached_transcripts(clip, mapped, LoudestSample(), tmp_path, Steps())
    assert read_transcripts(clip, memory, tmp_path) == first
