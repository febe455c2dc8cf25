"""The table of commands: what `--help` lists without importing them is what they say themselves."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
import typer

from emostream import lazy_commands
from emostream.streamer.cli.command_table import COMMANDS
from emostream.streamer.cli.main import app
from tests.support.programs import run_here

NOT_FOR_HELP = {"numpy", "asyncio", "websockets", "av", "onnxruntime", "torch"}


@pytest.mark.parametrize("name", COMMANDS)
def test_the_summary_is_the_first_paragraph_of_the_help(name: str) -> None:
    loaded = lazy_commands.LazyCommand(name, COMMANDS[name], "emostream.streamer.cli.commands").load()
    assert loaded.name == name
    assert loaded.help.partition("\n\n")[0] == COMMANDS[name]


def test_the_program_lists_the_table() -> None:
    assert list(typer.main.get_command(app).commands) == list(COMMANDS)  # type: ignore[attr-defined]


def test_help_imports_nothing_that_computes() -> None:
    """Neither that of the program, nor that of any command."""
    program = (
        "import sys\n"
        "from emostream.streamer.cli.command_table import COMMANDS\n"
        "from emostream.streamer.cli.main import run\n"
        "for command in [[], *([name] for name in COMMANDS)]:\n"
        "    assert run([*command, '--help']) == 0\n"
        "print(' '.join(sys.modules), file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "--output-dir" in done.stdout
    assert not NOT_FOR_HELP & set(done.stderr.split())


@pytest.mark.parametrize("command", list(COMMANDS))
def test_what_an_option_takes_has_a_name(command: str) -> None:
    """FILE, N, HOST: no type of the program's own language. Choices name themselves, flags take nothing."""
    lines = run_here(command, "--help").stdout.splitlines()
    options = [line for line in lines if line.lstrip("│ ").startswith("--")]
    assert options
    shown = {name for line in options for name in re.findall(r"<([\w \[\]]+)>", line)}
    assert shown <= {"bool"}, shown
