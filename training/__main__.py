"""The command line `python -m emostream.training`: prepare, probe, fit, table, train, evaluate,
export."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Final

import typer

from emostream import usage_errors
from emostream.models import ModelError

from .cli.command_table import CommandTable
from .corpora.example import CorpusError
from .errors import PredictionsError, SettingsError

_PROGRAM: Final = "python -m emostream.training"
_INSTALL: Final = "pip install 'emostream[train]'"
_INTERRUPTED: Final = 130
"""The exit code that Typer gives a KeyboardInterrupt."""

app = typer.Typer(
    name=_PROGRAM,
    cls=CommandTable,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(help="Train checkpoints from corpora, and evaluate them.")
def _training() -> None:
    """What makes a group of it: its commands are not known to it before they are called."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit codes: 0 done, 1 training failed, 2 bad input, both with one line on stderr; 130 interrupted."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    try:
        status = app(args=given, prog_name=_PROGRAM, standalone_mode=False)
    except usage_errors.UsageError as error:
        if line := usage_errors.usage_line(error, given):
            print(f"error: {line}", file=sys.stderr)
        return 2
    except SystemExit as exit_:
        return exit_.code if isinstance(exit_.code, int) else 0 if exit_.code is None else 1
    except (ModelError, CorpusError, SettingsError, PredictionsError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("emostream"):
            raise  # a defect of this program, not of the installation
        package = error.name.partition(".")[0]
        print(f"error: expected the package {package}, but it is not installed: {_INSTALL}", file=sys.stderr)
        return 2
    except FloatingPointError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    if status == _INTERRUPTED:
        print("interrupted: run the same command to resume", file=sys.stderr)
    return status if isinstance(status, int) else 0


if __name__ == "__main__":
    sys.exit(main())
