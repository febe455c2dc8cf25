"""`emostream`: the command line. Each command is a module beside this one; errors are printed in one line."""

from __future__ import annotations

import io
import logging
import os
import sys
from collections.abc import Sequence
from importlib.metadata import version
from typing import Annotated

import typer
from rich.console import Console
from rich.logging import RichHandler

from emostream.models import ModelError

from ..errors import EmostreamError
from ..inference.model_worker import ModelWorker
from . import (
    align,
    batch,
    bench,
    client,
    compare,
    demo,
    devices,
    doctor,
    live,
    record,
    replay,
    serve,
    speakers,
    summary,
    wyoming,
)
from .standard_streams import flush_output, is_full_disk, open_missing, report_full_disk
from .usage_errors import UsageError, usage_line

app = typer.Typer(
    name="emostream",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
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


def _reflowed(text: str) -> str:
    """A docstring with one line per paragraph: rich keeps line breaks."""
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in text.split("\n\n"))


for command in (
    demo.demo,
    live.live,
    serve.serve,
    replay.replay,
    record.record,
    summary.summary,
    compare.compare,
    align.align,
    batch.batch,
    client.client,
    wyoming.wyoming,
    speakers.speakers,
    devices.devices,
    doctor.doctor,
):
    app.command(help=_reflowed(command.__doc__ or ""))(command)
app.add_typer(bench.app, name="bench")


def main() -> None:
    """Exit status: 0 success, 1 some inputs failed, 2 bad input, 130 interrupted."""
    open_missing()
    for stream, errors in ((sys.stdout, "strict"), (sys.stderr, "backslashreplace")):
        if isinstance(stream, io.TextIOWrapper):  # on Windows a redirected one cannot encode all text
            stream.reconfigure(encoding="utf-8", errors=errors)
    status = flush_output(run())
    if ModelWorker.any_busy():
        # A model still computes a result that is no longer needed; see ModelWorker.
        sys.stderr.flush()
        logging.shutdown()
        os._exit(status)
    sys.exit(status)


def run(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status. arguments: of the command line, `sys.argv`'s by default."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    try:
        status = app(given, prog_name="emostream", standalone_mode=False)
    except UsageError as error:
        if line := usage_line(error, given):
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
