"""The real weights of `emostream[whisper]`: their words, their place, and another language's label."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from emostream.models import Clip, EmotionInput, PretrainedTranscriber, Samples, load_transcriber
from emostream.models.recognizer import EmotionRecognizer
from emostream.streamer.audio.decode import decode_file
from tests.support.programs import RECORDING, json_lines, run
from tests.support.shared import DATA, manifest, needs_data
from tests.support.whisper_weights import packaged_whisper


@pytest.fixture
def no_hub_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Models come from packages: the local cache is empty, and the hub may not be asked."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


def words(text: str) -> list[str]:
    return re.findall(r"[a-z']+", text.lower())


@needs_data
@pytest.mark.data
@pytest.mark.parametrize("name", ["base", "tiny.en"])
@pytest.mark.usefixtures("no_hub_cache")
def test_a_clear_sentence_comes_out_word_for_word(name: str) -> None:
    packaged_whisper(name)
    transcriber = load_transcriber(name, device="cpu")
    assert isinstance(transcriber, PretrainedTranscriber)
    assert transcriber.source == "installed package"
    clips = [row for row in manifest(corpus="ravdess", emotion="neutral") if row["text"]][:4]
    transcripts = transcriber.transcribe([Clip(decode_file(DATA / row["path"])) for row in clips])
    right = [words(t.text) == words(row["text"]) for t, row in zip(transcripts, clips, strict=True)]
    assert sum(right) >= 3
    assert {transcript.language for transcript in transcripts} == {"en"}


@needs_data
@pytest.mark.data
@pytest.mark.usefixtures("no_hub_cache")
def test_polish_words_are_detected_and_leave_the_label_to_the_audio() -> None:
    packaged_whisper("base")
    transcriber = load_transcriber("base", device="cpu")
    assert transcriber is not None
    recognizer = EmotionRecognizer.load(device="cpu")
    # The clip with the most words is the easiest to detect.
    row = max(manifest(corpus="nemo"), key=lambda row: len(row["text"].split()))
    samples: Samples = decode_file(DATA / row["path"])
    clip = Clip(samples)
    (transcript,) = transcriber.transcribe([clip])
    assert transcript.language == "pl"
    assert transcript.text
    with_words, without = recognizer.recognize([EmotionInput(clip, transcript), EmotionInput(clip)])
    assert "unsupported_language" in with_words.uncertain
    assert with_words.text_only is None
    assert with_words.label == without.label
    assert with_words.probabilities == pytest.approx(without.probabilities, abs=1e-5)


def test_auto_takes_base_without_a_hub() -> None:
    packaged_whisper("base")
    done = run("replay", str(RECORDING))
    assert done.returncode == 0, done.stderr
    assert re.search(r"whisper base \(.*\), from the (installed package|local cache)", done.stderr)
    finals = [line for line in json_lines(done.stdout) if line["type"] == "emotion"]
    assert {line["language"] for line in finals if line["text"]} == {"en"}
    assert sum(len(words(line["text"])) for line in finals) > 10


def test_the_doctor_lists_the_folders_of_the_models() -> None:
    packaged_whisper("base")
    done = run("doctor")
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"base in the\s+(installed package|local cache)", done.stdout)
