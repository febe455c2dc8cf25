"""Threads for each model: together no more than there are cores, and one at least."""

from __future__ import annotations

import pytest

from emostream.models import cpu_threads
from emostream.models.cpu_threads import emotion_threads, physical_cores, recording_calls, transcriber_threads


@pytest.fixture(autouse=True)
def quiet_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)


@pytest.mark.parametrize(
    ("cores", "words", "emotion"), [(1, 1, 1), (2, 2, 1), (3, 3, 2), (4, 4, 2), (8, 4, 4), (64, 4, 60)]
)
def test_two_models_share_the_cores(
    monkeypatch: pytest.MonkeyPatch, cores: int, words: int, emotion: int
) -> None:
    monkeypatch.setattr(cpu_threads, "physical_cores", lambda: cores)
    assert (transcriber_threads(), emotion_threads(words=True)) == (words, emotion)
    assert emotion_threads(words=False) == cores


def test_omp_num_threads_applies_to_both_models(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert emotion_threads(words=True) is None
    assert transcriber_threads() == 3


def test_only_cores_of_the_affinity_mask_count(monkeypatch: pytest.MonkeyPatch) -> None:
    assert physical_cores() >= 1
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0}, raising=False)
    assert physical_cores() == 1


@pytest.mark.parametrize(
    ("cores", "omp", "calls"), [(2, "", 2), (8, "", 8), (64, "", 16), (8, "3", 3), (8, "0", 8)]
)
def test_recordings_have_a_call_for_each_core(
    monkeypatch: pytest.MonkeyPatch, cores: int, omp: str, calls: int
) -> None:
    monkeypatch.setattr(cpu_threads, "physical_cores", lambda: cores)
    monkeypatch.setenv("OMP_NUM_THREADS", omp)
    assert recording_calls() == calls
