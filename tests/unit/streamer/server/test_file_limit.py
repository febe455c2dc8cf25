"""The connections fit the limit of open files."""

from __future__ import annotations

import logging
import sys

import pytest

from emostream.streamer.config import ServerSettings
from emostream.streamer.server.file_limit import fit_to_file_limit

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limit")


class Limits:
    """Of a process; the hard one cannot be raised."""

    def __init__(self, soft: int, hard: int) -> None:
        self.soft, self.hard = soft, hard

    def get(self, kind: int) -> tuple[int, int]:
        return self.soft, self.hard

    def set(self, kind: int, limits: tuple[int, int]) -> None:
        self.soft, hard = limits
        assert self.soft <= self.hard == hard


@pytest.mark.parametrize(
    ("soft", "hard", "connections"),
    [(65_536, 65_536, 2_000), (256, 65_536, 2_000), (1_024, 1_024, None), (100, 100, 1)],
)
def test_connections_fit(
    soft: int,
    hard: int,
    connections: int | None,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    limits = Limits(soft, hard)
    monkeypatch.setattr("resource.getrlimit", limits.get)
    monkeypatch.setattr("resource.setrlimit", limits.set)
    with caplog.at_level(logging.WARNING):
        fitted = fit_to_file_limit(ServerSettings(connections=2_000))
    if connections == 2_000:
        assert fitted.connections == 2_000
        assert limits.soft >= 2_000 + 128
        assert caplog.messages == []
        return
    assert fitted.connections == connections or 500 < fitted.connections < soft - 128
    (line,) = caplog.messages
    assert f"got {soft}: at most {fitted.connections} connections; raise it with `ulimit -n" in line
