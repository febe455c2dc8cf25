"""`emostream`: one command a file, errors as one line."""

from __future__ import annotations

import errno
import io
import logging
import os
import sys
from importlib.metadata import version
from typing import Annotated

import typer
from rich.console import Console
from rich.logging import RichHandler

from emostream.models import ModelError

from ..errors import EmostreamError
from ..inference.model_worker import ModelWorker
from . import align, bench, client, demo, devices, doctor, live, record, replay, serve, summary
from .ray_address import TakesRay

_DISK_TROUBLE = (errno.ENOSPC, errno.EIO)

app = typer.Typer(
    name="emostream",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def emostream(
    show_version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", is_eager=True)
    ] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log what happens inside.")] = False,
) -> None:
    """Hears speech and says which emotion each utterance carries, and how sure it is.

    Start with [bold]emostream demo[/bold]: it plays a bundled recording and shows a page.
    """
    if show_version:
        typer.echo(f"emostream {version('emostream')}")
        raise typer.Exit
    handler = RichHandler(console=Console(stderr=True), show_path=False, show_time=verbose)
    logging.basicConfig(level=logging.WARNING, format="%(message)s", handlers=[handler], force=True)
    logging.getLogger("emostream").setLevel(logging.INFO if verbose else logging.WARNING)


for command in (
    demo.demo,
    live.live,
    serve.serve,
    record.record,
    summary.summary,
    align.align,
    client.client,
    devices.devices,
    doctor.doctor,
):
    app.command()(command)
app.command(cls=TakesRay)(replay.replay)
app.add_typer(bench.app, name="bench")


def main() -> None:
    """Exit status: 0 done, 1 done with failures that were named, 2 bad input, 130 interrupted."""
    for stream, errors in ((sys.stdout, "strict"), (sys.stderr, "backslashreplace")):
        if isinstance(stream, io.TextIOWrapper):  # on Windows a redirected one cannot write every word
            stream.reconfigure(encoding="utf-8", errors=errors)
    status = _run()
    if ModelWorker.any_busy():
        # A model still computes what nobody waits for; see ModelWorker.
        sys.stdout.flush()
        sys.stderr.flush()
        logging.shutdown()
        os._exit(status)
    sys.exit(status)


def _run() -> int:
    try:
        app(prog_name="emostream")
    except SystemExit as done:
        return done.code if isinstance(done.code, int) else 0 if done.code is None else 1
    except (EmostreamError, ModelError) as error:
        print(f"emostream: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        if error.errno not in _DISK_TROUBLE:
            raise
        print(f"emostream: expected to write the results, got: {error.strerror}; make room", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    main()
