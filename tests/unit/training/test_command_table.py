"""The table of commands: what `--help` lists without importing them is what they say themselves."""

from __future__ import annotations

import subprocess
import sys

import pytest

from emostream.training.cli.command_table import COMMANDS, LazyCommand


@pytest.mark.parametrize("name", COMMANDS)
def test_the_summary_is_the_first_paragraph_of_the_help(name: str) -> None:
    loaded = LazyCommand(name).load()
    assert loaded.name == name
    assert " ".join(loaded.help.partition("\n\n")[0].split()) == COMMANDS[name]


def test_help_imports_no_framework() -> None:
    program = (
        "import sys\n"
        "from emostream.training.__main__ import main\n"
        "assert main(['--help']) == 0\n"
        "assert not {'torch', 'transformers', 'accelerate'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert all(name in done.stdout for name in COMMANDS)
