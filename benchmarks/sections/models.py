"""The emotion model's speed: model.md as a whole."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks import model
from benchmarks.suite.parts import Page, Part, Progress, Setup


def measure(setup: Setup) -> Iterator[Part]:
    yield Progress("forwards by size, precision and batch")
    text = model.document(setup.stamp, smoke=setup.smoke)
    yield Page("model.md", text)
    yield "Forwards, and the audio encoder through torch and ONNX Runtime: [model.md](model.md).\n"
