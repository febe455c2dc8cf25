"""Engines for the integrations, with fake models."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from emostream.integrations import LocalEngine
from emostream.models import Clip, Transcript
from emostream.streamer.clock import Clock
from emostream.streamer.config import Settings
from emostream.streamer.inference.engine import Engine
from tests.support.fakes import FakeRecognizer, FakeTranscriber


class HintedTranscriber(FakeTranscriber):
    """The transcript is in the language of the hint."""

    def transcribe(self, clips: Sequence[Clip]) -> list[Transcript]:
        return [
            replace(transcript, language=clip.language or transcript.language)
            for transcript, clip in zip(super().transcribe(clips), clips, strict=True)
        ]


class Loads:
    """Counts how often models are loaded."""

    def __init__(self, recognizer: FakeRecognizer | None = None) -> None:
        self.count = 0
        self._recognizer = recognizer or FakeRecognizer()

    def __call__(self, settings: Settings, clock: Clock) -> Engine:
        self.count += 1
        return Engine(HintedTranscriber(), self._recognizer, clock)


def forbid_other_machines(monkeypatch: pytest.MonkeyPatch) -> None:
    """A framework that calls home fails the test."""
    connect = socket.socket.connect

    def checked(self: socket.socket, address: Any) -> None:
        assert not isinstance(address, tuple) or address[0] in ("127.0.0.1", "::1", "localhost"), address
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", checked)


@contextmanager
def fake_local_engine(load: Loads | None = None) -> Iterator[LocalEngine]:
    engine = LocalEngine(load=load or Loads())
    try:
        yield engine
    finally:
        engine.close()
