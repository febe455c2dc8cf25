"""Which commands have their help measured."""

from __future__ import annotations

from benchmarks.sections.help import command_names
from emostream.streamer.cli.main import app


def test_commands_of_commands_have_help_too() -> None:
    names = command_names(app)
    assert names[0] == []
    assert ["serve"] in names
    assert ["bench", "streams"] in names
