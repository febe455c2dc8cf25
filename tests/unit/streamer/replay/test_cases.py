"""Recordings that users report, replayed: where their three utterances are, and what is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from emostream.streamer.clock import WallClock
from emostream.streamer.config import AudioSettings, Settings
from emostream.streamer.inference.engine import Engine
from emostream.streamer.protocol import messages
from emostream.streamer.replay.discovery import ReplayJob, find_jobs
from emostream.streamer.replay.outputs import OutputSinks, ReplayOutcome
from emostream.streamer.replay.runner import ReplayOptions, ReplayRunner
from tests.support.fakes import FakeRecognizer
from tests.support.shared import SHARED
from tests.support.streams import ListSink, finals

CASES = SHARED / "cases"
SPANS_MS = [(100, 4_600), (5_400, 7_600), (8_200, 11_000)]

pytestmark = pytest.mark.skipif(not CASES.is_dir(), reason=f"no recordings in {CASES}")


async def replayed(path: Path, track: int = 1) -> tuple[list[messages.ServerEvent], ReplayOutcome]:
    sink, engine = ListSink(), Engine(None, FakeRecognizer(), WallClock())
    settings = Settings(audio=AudioSettings(track=track))

    @asynccontextmanager
    async def outputs(job: ReplayJob, outcome: ReplayOutcome) -> AsyncIterator[OutputSinks]:
        yield OutputSinks([sink])

    runner = ReplayRunner(engine, settings, ReplayOptions(), WallClock(), on_done=lambda outcome: None)
    jobs, failures = find_jobs([path], settings.audio)
    assert failures == []
    async with engine.running():
        (outcome,) = await runner.run_all(jobs, outputs, asyncio.Event())
    return sink.events, outcome


def moved(after_ms: int, ms: int) -> list[tuple[int, int]]:
    return [(start + ms, end + ms) if start >= after_ms else (start, end) for start, end in SPANS_MS]


@pytest.mark.parametrize(
    ("name", "track", "spans", "gaps"),
    [
        ("c_pause_10s.webm", 1, moved(5_000, 10_000), [(5_014, 10_000)]),
        ("c_late_sound.mp4", 1, moved(0, 9_980), [(0, 9_978)]),
        ("c_joined_same.mp3", 1, SPANS_MS, []),
        ("c_first_track_silent.mkv", 2, SPANS_MS, []),
        ("st_opposite.wav", 1, SPANS_MS, []),
        ("wav_three_headers_joined.wav", 1, SPANS_MS, []),
    ],
)
async def test_utterances_keep_the_files_own_clock(
    name: str, track: int, spans: list[tuple[int, int]], gaps: list[tuple[int, int]]
) -> None:
    seen, outcome = await replayed(CASES / name, track)
    assert outcome.failure is None
    found = [(one.start_ms, one.end_ms) for one in finals(seen)]
    assert [begin for begin, _ in found] == pytest.approx([begin for begin, _ in spans], abs=250)
    assert [end for _, end in found] == pytest.approx([end for _, end in spans], abs=250)
    dropped = [event for event in seen if isinstance(event, messages.Dropped)]
    assert [event.at_ms for event in dropped] == pytest.approx([at for at, _ in gaps], abs=30)
    assert [event.ms for event in dropped] == pytest.approx([ms for _, ms in gaps], abs=30)
    assert outcome.totals is not None
    assert found[-1][1] <= outcome.totals.audio_ms


async def test_a_silent_track_beside_a_loud_one_is_told() -> None:
    seen, outcome = await replayed(CASES / "c_first_track_silent.mkv")
    assert finals(seen) == []
    (note,) = outcome.notes
    assert "choose it with --track 2" in note


async def test_channels_that_cancel_are_told() -> None:
    _, outcome = await replayed(CASES / "st_opposite.wav")
    (note,) = outcome.notes
    assert "channel 1, is heard alone" in note
