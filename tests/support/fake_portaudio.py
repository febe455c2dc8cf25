"""PortAudio without a sound card."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from emostream.streamer.audio import microphone


class FakePortAudio(SimpleNamespace):
    """A sound card with two inputs; `record` calls back as PortAudio's thread would."""

    class PortAudioError(Exception):
        pass

    def __init__(self) -> None:
        super().__init__(default=SimpleNamespace(device=[1, 0]))
        self.opened: list[dict[str, Any]] = []

    def query_devices(self) -> list[dict[str, Any]]:
        return [
            {"index": 0, "name": "Speakers", "max_input_channels": 0, "default_samplerate": 48_000.0},
            {
                "index": 1,
                "name": "Built-in Microphone",
                "max_input_channels": 2,
                "default_samplerate": 44_100.0,
            },
            {"index": 2, "name": "USB Microphone", "max_input_channels": 1, "default_samplerate": 48_000.0},
        ]

    def InputStream(self, **settings: Any) -> Any:  # noqa: N802 - PortAudio's name
        self.opened.append(settings)
        return self

    def start(self) -> None:
        self.opened[-1]["started"] = True

    def close(self) -> None:
        self.opened[-1]["closed"] = True

    def record(self, value: float, *, overflow: bool = False) -> None:
        settings = self.opened[-1]
        data = np.full((settings["blocksize"], 1), value, np.float32)
        settings["callback"](data, len(data), None, SimpleNamespace(input_overflow=overflow))
        data.fill(99.0)  # PortAudio uses its buffer again


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch) -> FakePortAudio:
    fake = FakePortAudio()
    monkeypatch.setattr(microphone, "_portaudio", lambda: fake)
    return fake
