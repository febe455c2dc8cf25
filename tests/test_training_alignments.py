"""Words of training clips: found once, moved with the clip, heard by the network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from emostream.models import LABELS, Alignment, Clip, Span, Transcript, Word
from emostream.models.emotion import EmotionModel
from emostream.training.corpora.example import Example
from emostream.training.errors import SettingsError
from emostream.training.log import Log
from emostream.training.preparation.alignments import Alignments, cached_alignments, moved
from emostream.training.preparation.sounds import Sounds
from emostream.training.recipe.fusion import FusionData, heard, train_fusion
from emostream.training.recipe.pairs import Pairing
from emostream.training.recipe.settings import FusionSettings, read_settings
from emostream.training.recipe.student import student_config

from .tiny_emotion import SENTENCES, noise, tiny_model, tiny_tokenizer

SECOND = 16_000
CLIPS = [
    Example(
        corpus="c",
        key=f"{i}.flac",
        speaker=f"s{i}",
        emotion=LABELS[i % 4],
        emotion_orig="",
        split="train",
        words="so happy" if i else "",
    )
    for i in range(8)
]
LINES = [
    Example(corpus="c", key=text, split="train", words=text, emotion=label, emotion_orig=label)
    for text, label in zip(SENTENCES, ("happy", "angry", "sad", "neutral"), strict=True)
]


def sounds() -> Sounds:
    pieces = [(8_000 * noise(SECOND, seed, level=1.0)).astype(np.int16) for seed in range(len(CLIPS))]
    spans = {clip.key: (i * SECOND, (i + 1) * SECOND) for i, clip in enumerate(CLIPS)}
    return Sounds(np.concatenate(pieces), spans)


def halves(samples: int) -> Alignment:
    half = samples // 2
    return Alignment(
        (Word("so", 0, half), Word("happy", half, samples)),
        (Span("S-OW", 0, half), Span("HH-AE-P-IY", half, samples)),
        (Span("S", 0, half), Span("OW", half, samples)),
        "forced",
    )


def test_a_click_stays_under_its_word() -> None:
    """Faster, cut, padded, in noise: the one loud sample of the clip and the word on it move as one."""
    rng, at = np.random.default_rng(0), 20_000
    clip = np.zeros(40_000, np.float32)
    clip[at] = 1.0
    before = Alignment(words=(Word("click", at, at + 1),))
    places = set()
    for _ in range(60):
        samples, after = heard(clip, before, FusionSettings(), rng)
        assert abs(int(np.abs(samples).argmax()) - after.words[0].start) <= 2
        places.add(after.words[0].start)
    assert len(places) > 50


def test_every_tier_moves() -> None:
    after = moved(halves(1_000), 2.0, -100)
    assert [(x.start, x.end) for x in after.words] == [(-100, 150), (150, 400)]
    assert [(x.text, x.start, x.end) for x in after.syllables] == [
        ("S-OW", -100, 150),
        ("HH-AE-P-IY", 150, 400),
    ]
    assert [(x.start, x.end) for x in after.phones] == [(-100, 150), (150, 400)]


class CountingAligner:
    def __init__(self) -> None:
        self.texts: list[str] = []

    def align(self, clips: Sequence[Clip], transcripts: Sequence[Transcript | None]) -> list[Alignment]:
        self.texts += [transcript.text for transcript in transcripts if transcript]
        return [halves(len(clip.samples)) for clip in clips]


def test_clips_with_words_are_aligned_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    aligner = CountingAligner()
    monkeypatch.setattr("emostream.training.preparation.alignments.load_aligner", lambda: aligner)
    spoken = {clip.key: Transcript(clip.english, "en") for clip in CLIPS if clip.english}
    seen: list[tuple[int, int]] = []

    def cached(spoken: dict[str, Transcript]) -> Alignments:
        return cached_alignments(spoken, sounds(), tmp_path, lambda *done: seen.append(done))

    found = cached(spoken)
    assert seen == [(7, 7)]
    assert set(found) == {clip.key for clip in CLIPS[1:]}
    assert found["1.flac"] == halves(SECOND)
    assert cached(spoken) == found
    assert aligner.texts == ["so happy"] * 7
    cached({name: spoken[name] for name in ("1.flac", "2.flac")})
    assert len(aligner.texts) == 9


def trained(folder: Path, alignments: Alignments) -> EmotionModel:
    settings = FusionSettings(epochs=1, batch=8, drop_text=0.0, drop_audio=0.0, average_decay=0.5)
    pairing = Pairing(LINES, LABELS, ["strange"], settings)
    data = FusionData(CLIPS, CLIPS[:4], sounds(), pairing, tiny_tokenizer(), alignments)
    model = tiny_model(granularities=["frame", "word"])
    folder.mkdir()
    return train_fusion(model, data, settings, 1, folder / "fusion.pt", Log(folder / "log.txt"))


def test_the_streams_learn_from_the_spans(tmp_path: Path) -> None:
    """With alignments the words' own vector learns; without any there is nothing to learn it from."""
    start = tiny_model(granularities=["frame", "word"]).kinds["word"]
    aligned = trained(tmp_path / "with", {clip.key: halves(SECOND) for clip in CLIPS}).kinds["word"]
    alone = trained(tmp_path / "without", {}).kinds["word"]
    assert (aligned - start).abs().max() > 10 * (alone - start).abs().max()


def test_the_ablations_are_settings(tmp_path: Path) -> None:
    file = tmp_path / "ablation.toml"
    file.write_text('[student]\ngranularities = ["word", "frame"]\nfusion = "early"\n')
    config = student_config(read_settings(file).student)
    assert (config.granularities, config.fusion) == (["frame", "word"], "early")


@pytest.mark.parametrize("line", ['granularities = ["letter"]', 'fusion = "middle"', 'span_pooling = "max"'])
def test_ablations_that_are_none(line: str, tmp_path: Path) -> None:
    file = tmp_path / "ablation.toml"
    file.write_text(f"[student]\n{line}\n")
    with pytest.raises(SettingsError, match="student: expected"):
        student_config(read_settings(file).student)
