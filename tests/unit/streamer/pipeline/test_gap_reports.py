"""Which `dropped` events gaps become."""

from __future__ import annotations

from emostream.streamer.audio.sources import AudioGap
from emostream.streamer.pipeline.gap_reports import GapReports


def reported(*gaps: tuple[int, int, bool]) -> list[tuple[int, int]]:
    """(at_ms, ms, frequent) of each gap -> (at_ms, ms) of each report."""
    reports = GapReports()
    found = [report for at, ms, often in gaps for report in reports.add(AudioGap(ms, "x", often), at)]
    return [(report.at_ms, report.ms) for report in [*found, *reports.take(), *reports.take()]]


def test_gaps_of_a_codec_that_sends_nothing_in_silence_are_one_report_a_pause() -> None:
    pause = [(at, 380, True) for at in range(0, 4_000, 400)]
    next_pause = [(at, 380, True) for at in range(20_000, 21_000, 400)]
    assert reported(*pause, *next_pause) == [(0, 3_800), (20_000, 1_140)]


def test_other_gaps_are_a_report_each() -> None:
    assert reported((0, 380, False), (400, 380, False)) == [(0, 380), (400, 380)]
    assert reported((0, 380, True), (400, 10_000, True), (10_400, 380, True)) == [
        (0, 380),
        (400, 10_000),
        (10_400, 380),
    ]
