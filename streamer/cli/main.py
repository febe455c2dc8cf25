"""`emostream`: the command line. Each command is a module beside this one, see `command_table`; errors are
printed in one line.
"""

from __future__ import annotations

import io
import logging
import os
import sys
from collections.abc import Sequence
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.logging import RichHandler

from emostream import usage_errors
from emostream.models import ModelError, limit_arenas

from ..errors import EmostreamError
from .command_table import CommandTable
from .standard_streams import flush_output, is_full_disk, open_missing, report_full_disk

_ARENAS: Final = 2
"""Of memory: with one for each thread, eight hours in one stream leave 8 MiB more."""

app = typer.Typer(
    name="emostream",
    cls=CommandTable,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"emostream {version('emostream')}")
        raise typer.Exit


@app.callback()
def emostream(
    _show_version: Annotated[
        bool,
        typer.Option("--version", help="Print the version and exit.", callback=_print_version, is_eager=True),
    ] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log at level INFO.")] = False,
) -> None:
    """Speech emotion recognition in real time: a label with calibrated probabilities for every utterance.

    Start with [bold]emostream demo[/bold]: it plays a bundled recording and shows a web page.
    """
    handler = RichHandler(console=Console(stderr=True), show_path=False, show_time=verbose)
    logging.basicConfig(level=logging.WARNING, format="%(message)s", handlers=[handler], force=True)
    logging.getLogger("emostream").setLevel(logging.INFO if verbose else logging.WARNING)


def main() -> None:
    """Exit status: 0 success, 1 some inputs failed, 2 bad input, 130 interrupted."""
    # Threads that wait would spin, on cores that other models and streams need (docs/adr/0042): those of
    # numpy's BLAS for 27 ms after each product, and Whisper's. Libraries read it when they are imported.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    limit_arenas(_ARENAS)
    open_missing()
    for stream, errors in ((sys.stdout, "strict"), (sys.stderr, "backslashreplace")):
        if isinstance(stream, io.TextIOWrapper):  # on Windows a redirected one cannot encode all text
            stream.reconfigure(encoding="utf-8", errors=errors)
    status = flush_output(run())
    if _any_model_busy():
        # A model still computes a result that is no longer needed; see ModelWorker.
        sys.stderr.flush()
        logging.shutdown()
        os._exit(status)
    sys.exit(status)


def _any_model_busy() -> bool:
    """Not imported for it: where there is no worker's module, there is no worker."""
    module = sys.modules.get(f"{__package__.rpartition('.')[0]}.inference.model_worker")
    return module is not None and bool(module.ModelWorker.any_busy())


def run(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status. arguments: of the command line, `sys.argv`'s by default."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    try:
        status = app(given, prog_name="emostream", standalone_mode=False)
    except usage_errors.UsageError as error:
        if line := usage_errors.usage_line(error, given):
            print(f"emostream: {line}", file=sys.stderr)
        return 2
    except SystemExit as done:
        return done.code if isinstance(done.code, int) else 0 if done.code is None else 1
    except (EmostreamError, ModelError) as error:
        print(f"emostream: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        if not is_full_disk(error):
            raise
        return report_full_disk(error)
    except KeyboardInterrupt:
        return 130
    return status if isinstance(status, int) else 0


if __name__ == "__main__":
    main()
