"""The table of commands: what `--help` lists without importing them is what they say themselves."""

from __future__ import annotations

import subprocess
import sys

import pytest

from emostream import lazy_commands
from emostream.training.__main__ import main
from emostream.training.cli.command_table import COMMANDS


@pytest.mark.parametrize("name", COMMANDS)
def test_the_summary_is_the_first_paragraph_of_the_help(name: str) -> None:
    loaded = lazy_commands.LazyCommand(name, COMMANDS[name], "emostream.training.cli").load()
    assert loaded.name == name
    assert " ".join(loaded.help.partition("\n\n")[0].split()) == COMMANDS[name]


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ("fit --corpus x", "expected --data, got nothing; see python -m emostream.training fit --help"),
        (
            "fti",
            "expected a command of python -m emostream.training, got fti (did you mean fit?); see "
            "python -m emostream.training --help",
        ),
        (
            "evaluate --outputdir x",
            "expected an option of python -m emostream.training evaluate, got --outputdir (did you mean "
            "--output-dir?); see python -m emostream.training evaluate --help",
        ),
        (
            "table folds --workers 0",
            "expected a whole number of at least 1 for --workers, got '0'; see "
            "python -m emostream.training table folds --help",
        ),
    ],
)
def test_a_mistake_is_one_line(arguments: str, line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments.split()) == 2
    assert capsys.readouterr() == ("", f"error: {line}\n")


def test_help_imports_no_framework() -> None:
    """Neither that of the program, nor that of any command."""
    program = (
        "import sys\n"
        "from emostream.training.__main__ import main\n"
        "from emostream.training.cli.command_table import COMMANDS\n"
        "for command in [[], *([name] for name in COMMANDS), ['table', 'papers']]:\n"
        "    assert main([*command, '--help']) == 0\n"
        "    heavy = {'torch', 'transformers', 'accelerate', 'scipy', 'sklearn'} & set(sys.modules)\n"
        "    assert not heavy, (command, heavy)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert all(name in done.stdout for name in COMMANDS)
