"""The clips of the recipe: targets, pieces, weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from emostream.training.cross_corpus.clips import NOISE, ORDINARY, balanced_weights, load_clips
from tests.support.speech_collection import write_collection


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_collection(tmp_path_factory.mktemp("data"))


def test_every_clip_has_a_target_and_ordinary_speech_comes_in_pieces(data: Path) -> None:
    clips = load_clips(data)
    acted = [clip for clip in clips if clip.label >= 0]
    assert len(acted) == 2 * 4 * 4 * 2
    assert all(clip.target[clip.label] == 1.0 for clip in acted)
    ordinary = [clip for clip in clips if clip.corpus == ORDINARY]
    assert [clip.key for clip in ordinary[:3]] == [f"librispeech/audio/0.wav#{piece}" for piece in range(3)]
    assert all(sum(clip.target) == pytest.approx(1.0) and clip.target[3] > 0.8 for clip in ordinary)
    assert all(sum(clip.target) == 0.0 for clip in clips if clip.corpus == NOISE)
    assert all(len(clip.samples()) > 3200 for clip in clips)
    np.testing.assert_array_equal(ordinary[1].samples(), load_clips(data)[clips.index(ordinary[1])].samples())


def test_votes_replace_a_part_of_the_acted_label(data: Path, tmp_path: Path) -> None:
    folder = write_collection(tmp_path, ("ravdess",), clips=1)
    (folder / "ravdess" / "votes.csv").write_text(
        "clip,angry,happy,sad,neutral\n0_angry_0,2,0,0,2\n", encoding="utf-8"
    )
    targets = {clip.example.audio_path.stem: clip.target for clip in load_clips(folder, votes=0.5)}
    assert targets["0_angry_0"] == pytest.approx((0.75, 0.0, 0.0, 0.25))
    assert targets["0_happy_0"] == (0.0, 1.0, 0.0, 0.0)


def test_weights_balance_corpora_and_labels_and_cap_speakers(data: Path) -> None:
    clips = [clip for clip in load_clips(data) if clip.corpus != NOISE]
    keep = [clip for clip in clips if clip.corpus != "nemo" or clip.label != 0 or clip.speaker == "nemo_0"]
    weights = balanced_weights(keep, 0.1, 100, np.random.default_rng(0))
    mass: dict[tuple[str, int], float] = {}
    for clip, weight in zip(keep, weights, strict=True):
        mass[clip.corpus, clip.label] = mass.get((clip.corpus, clip.label), 0.0) + weight
    assert mass.pop((ORDINARY, -1)) == pytest.approx(0.1)
    assert len(mass) == 8
    assert all(value == pytest.approx(0.9 / 8) for value in mass.values())
    capped = balanced_weights(keep, 0.1, 3, np.random.default_rng(0))
    counted = {clip.speaker: 0 for clip in keep}
    for clip, weight in zip(keep, capped, strict=True):
        counted[clip.speaker] += weight > 0
    assert max(counted.values()) == 3
