"""What is shown while the models load: a status line on a terminal, a line in a log."""

from __future__ import annotations

from io import StringIO

from rich.console import Console

from emostream.streamer.cli.console import loading_status


def test_a_log_gets_a_line_when_loading_begins_and_not_before() -> None:
    written = StringIO()
    with loading_status(Console(file=written)) as start:
        assert written.getvalue() == ""
        start()
        assert written.getvalue() == "Loading the models ...\n"
    assert written.getvalue() == "Loading the models ...\n"


def test_a_terminal_gets_a_status_line_that_is_erased() -> None:
    written = StringIO()
    with loading_status(Console(file=written, force_terminal=True)) as start:
        start()
    _, found, after = written.getvalue().partition("Loading the models ...")
    erase_line = "\x1b[2K"
    assert found
    assert erase_line in after
