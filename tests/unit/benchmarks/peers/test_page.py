"""peers.md: delays without the window, what was not run, and rows that stay."""

from __future__ import annotations

from benchmarks.peers.delay import Delays
from benchmarks.peers.page import MeasuredRow, page
from benchmarks.peers.peer import PEERS

STAMP = "2026-11-30 at commit {}, some CPU"
OURS = MeasuredRow(PEERS["emostream"], "base", 1, Delays((0.51, 0.52, 0.53), 0, 1), 0.25, 440.4)
FAILED = MeasuredRow(PEERS["RealtimeSTT"], "base", 1, reason="portaudio.h | not found")


def test_a_row_has_the_delay_beyond_the_window() -> None:
    text = page([OURS], "60 s", STAMP.format("abc"), "")
    assert "| emostream | base | 1 | 20 / 29 | 0, 1, of 4 | 0.25 | 440 | abc |" in text
    assert "| emostream | this one | 500 ms |" in text
    assert "| WhisperLive | 0.10.0 | none |" in text


def test_what_was_not_run_says_why() -> None:
    text = page([FAILED], "60 s", STAMP.format("abc"), "")
    assert "| RealtimeSTT | base | 1 | not run: portaudio.h / not found |" in text


def test_rows_stay_until_they_are_measured_again() -> None:
    before = page([OURS, FAILED], "60 s", STAMP.format("abc"), "")
    again = MeasuredRow(PEERS["emostream"], "base", 1, Delays((0.6,)), 0.5, 500.0)
    more = MeasuredRow(PEERS["emostream"], "base", 8, Delays((), 0, 4), 0.5, 500.0)
    text = page([again, more], "60 s", STAMP.format("def"), before)
    assert "| emostream | base | 1 | 100 / 100 | 0, 0, of 1 | 0.50 | 500 | def |" in text
    assert "| emostream | base | 8 | none / none | 0, 4, of 4 | 0.50 | 500 | def |" in text
    assert text.count("| RealtimeSTT | base | 1 |") == 1
    assert text.count("| emostream | base | 1 |") == 1
    assert page([], "60 s", STAMP.format("def"), text) == text


def test_servers_with_the_same_load_stand_beside_each_other() -> None:
    many = MeasuredRow(PEERS["emostream"], "base", 8, Delays((0.6,)), 0.5, 500.0)
    tiny = MeasuredRow(PEERS["WhisperLive"], "tiny.en", 8, Delays((0.6,)), 0.5, 500.0)
    text = page([many, FAILED, OURS, tiny], "60 s", STAMP.format("abc"), "")
    rows = [
        "| WhisperLive | tiny.en | 8",
        "| emostream | base | 1",
        "| RealtimeSTT | base | 1",
        "| emostream | base | 8",
    ]
    places = [text.index(row) for row in rows]
    assert places == sorted(places)


def test_figures_stay_where_the_server_cannot_be_installed_any_more() -> None:
    before = page([OURS], "60 s", STAMP.format("abc"), "")
    reason = "no such release"
    gone, broken = (MeasuredRow(OURS.peer, "base", 1, reason=reason, installed=one) for one in (False, True))
    not_run = f"| emostream | base | 1 | not run: {reason} |"
    assert "| emostream | base | 1 | 20 / 29 |" in page([gone], "60 s", STAMP.format("def"), before)
    assert not_run in page([broken], "60 s", STAMP.format("def"), before)
    assert not_run in page([gone], "60 s", STAMP.format("def"), "")
