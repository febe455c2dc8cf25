"""Threads of each call of Whisper."""

from __future__ import annotations

import pytest

from emostream.models import cpu_threads
from emostream.models.transcription.whisper_loader import concurrent_calls_of
from emostream.models.transcription.whisper_options import WhisperOptions


@pytest.fixture(autouse=True)
def six_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    have_cores(monkeypatch, 6)


def have_cores(monkeypatch: pytest.MonkeyPatch, cores: int) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(cpu_threads, "physical_cores", lambda: cores)


@pytest.mark.parametrize(
    ("options", "calls", "threads"),
    [
        (WhisperOptions("cpu"), 2, 4),
        (WhisperOptions("cpu", cpu_threads=1), 2, 1),
        (WhisperOptions("cpu", concurrent_calls=6), 6, 1),
        (WhisperOptions("cpu", concurrent_calls=2), 2, 3),
        (WhisperOptions("cpu", concurrent_calls=16), 16, 1),
        (WhisperOptions("cuda", concurrent_calls=6), 2, 1),
    ],
)
def test_calls_share_the_cores(options: WhisperOptions, calls: int, threads: int) -> None:
    assert (concurrent_calls_of(options), options.threads) == (calls, threads)


@pytest.mark.parametrize(
    ("cores", "calls", "threads"), [(1, 2, 1), (2, 2, 2), (4, 2, 4), (8, 2, 4), (16, 4, 4), (96, 16, 4)]
)
def test_people_who_speak_are_served_by_few_calls_on_several_cores(
    monkeypatch: pytest.MonkeyPatch, cores: int, calls: int, threads: int
) -> None:
    have_cores(monkeypatch, cores)
    options = WhisperOptions("cpu")
    assert (concurrent_calls_of(options), options.threads) == (calls, threads)
