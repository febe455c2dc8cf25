"""Freed memory goes back to the system where the C library can do it."""

from __future__ import annotations

import ctypes
import sys

import pytest

from emostream.models import limit_arenas, release_free_memory


def test_it_is_given_back_on_linux(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []

    class Library:
        def malloc_trim(self, pad: int) -> int:
            calls.append(pad)
            return 1

    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(ctypes, "CDLL", lambda name: Library())
    assert release_free_memory()
    assert calls == [0]


@pytest.mark.parametrize("platform", ["linux", "darwin"])
def test_a_c_library_without_it_is_left_alone(monkeypatch: pytest.MonkeyPatch, platform: str) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(ctypes, "CDLL", lambda name: object())
    assert not release_free_memory()


def test_here_it_does_not_fail() -> None:
    assert release_free_memory() in (True, False)


def test_threads_share_arenas_on_linux(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[int, int]] = []

    class Library:
        def mallopt(self, option: int, value: int) -> int:
            calls.append((option, value))
            return 1

    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(ctypes, "CDLL", lambda name: Library())
    assert limit_arenas(2)
    assert calls == [(-8, 2)]


@pytest.mark.parametrize("platform", ["linux", "darwin"])
def test_arenas_elsewhere_are_left_alone(monkeypatch: pytest.MonkeyPatch, platform: str) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(ctypes, "CDLL", lambda name: object())
    assert not limit_arenas(2)
