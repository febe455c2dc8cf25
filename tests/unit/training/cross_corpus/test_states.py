"""The cache of an encoder's states: what it holds, that it resumes, and what a view changes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from emostream.models.collate import collate_audio
from emostream.training.augmentation.settings import AugmentSettings
from emostream.training.cross_corpus.clips import SpeechClip, load_clips
from emostream.training.cross_corpus.states import (
    AugmentedView,
    StateCache,
    Views,
    held_out_noise,
    training_noises,
    write_states,
)
from emostream.training.errors import SettingsError
from tests.support.speech_collection import tiny_whisper_encoder, write_collection


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[SpeechClip]:
    return load_clips(write_collection(tmp_path_factory.mktemp("data"), ("ravdess",), clips=1))


def no_progress(done: int, total: int) -> None:
    pass


def acted(clips: list[SpeechClip]) -> list[SpeechClip]:
    return [clip for clip in clips if clip.corpus == "ravdess"][:4]


def test_the_cache_contains_the_states_of_the_encoder(clips: list[SpeechClip], tmp_path: Path) -> None:
    encoder, part = tiny_whisper_encoder(), acted(clips)
    write_states(part, encoder, tmp_path, "ravdess", None, no_progress)
    views = Views(({"ravdess": StateCache(tmp_path, "ravdess")},), (2, 4))
    batch = collate_audio([part[2].samples()], encoder.waveform_spec)
    with torch.inference_mode():
        layers, _ = encoder.layers(batch.samples, batch.mask)
    expected = torch.stack([layers[2][0], layers[4][0]])
    torch.testing.assert_close(views.states(part[2], 0).float(), expected[:, ::2], atol=5e-3, rtol=5e-3)
    np.testing.assert_allclose(views.mean(part[2], 0), expected.mean(1).numpy(), atol=1e-4)
    assert views.count(part[2]) == 1


def test_a_killed_run_resumes(clips: list[SpeechClip], tmp_path: Path) -> None:
    encoder, part = tiny_whisper_encoder(), acted(clips)
    write_states(part, encoder, tmp_path / "whole", "ravdess", None, no_progress)
    write_states(part[:2], encoder, tmp_path / "cut", "ravdess", None, no_progress)
    for name, junk in (("ravdess.f16", b"rest"), ("ravdess.jsonl", b'{"key": "half')):
        with (tmp_path / "cut" / name).open("ab") as file:
            file.write(junk)
    write_states(part, encoder, tmp_path / "cut", "ravdess", None, no_progress)
    for name in ("ravdess.f16", "ravdess.mean.f32", "ravdess.jsonl"):
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_a_missing_cache_is_reported_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="expected cached states of nemo"):
        StateCache(tmp_path, "nemo")


def test_a_view_changes_a_clip_as_it_changes_its_session(clips: list[SpeechClip]) -> None:
    view = AugmentedView(1, AugmentSettings(equalizer=1.0), training_noises(clips))
    part = [clip for clip in clips if clip.corpus == "ravdess"]
    clip = part[0]
    changed = view(clip, clip.samples())
    np.testing.assert_array_equal(changed, view(clip, clip.samples()))
    assert not np.array_equal(changed, clip.samples())
    assert {view.session(one) for one in part} <= {0, 1, 2}


def test_noises_are_held_out_for_evaluation(clips: list[SpeechClip]) -> None:
    kept = {clip.example.audio_path for clip in clips if clip.corpus == "noise" and held_out_noise(clip)}
    assert not kept & set(training_noises(clips))
