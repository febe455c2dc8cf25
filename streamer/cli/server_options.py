"""Options of the server that clients reach."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerOptions:
    """Where the server listens, and who may connect."""

    host: Annotated[
        str | None,
        typer.Option(
            "--host", metavar="HOST", help="Address to listen on. Default: 127.0.0.1.", show_default=False
        ),
    ] = None
    port: Annotated[
        int | None,
        typer.Option("--port", metavar="PORT", help="Port to listen on. Default: 8765.", show_default=False),
    ] = None
    allowed_host: Annotated[
        list[str] | None,
        typer.Option(
            "--allowed-host",
            metavar="HOST",
            help="Another host name that this server is reached by; repeatable.",
        ),
    ] = None
    allow_origin: Annotated[
        list[str] | None,
        typer.Option(
            "--allow-origin",
            metavar="ORIGIN",
            help="Origin (https://...) of a web page of another site that may connect; repeatable.",
        ),
    ] = None
    token_file: Annotated[
        Path | None,
        typer.Option(
            "--token-file",
            metavar="FILE",
            help="File of tokens, one per line; a client needs one of them.",
            show_default=False,
        ),
    ] = None
    no_auth: Annotated[
        bool,
        typer.Option("--no-auth", help="Listen on an address beyond this machine without tokens."),
    ] = False
    ssl_certfile: Annotated[
        Path | None,
        typer.Option(
            "--ssl-certfile",
            metavar="FILE",
            help="PEM file of the certificate chain, for wss and https.",
            show_default=False,
        ),
    ] = None
    ssl_keyfile: Annotated[
        Path | None,
        typer.Option(
            "--ssl-keyfile",
            metavar="FILE",
            help="PEM file of the certificate's private key.",
            show_default=False,
        ),
    ] = None
    transcript: Annotated[
        bool, typer.Option("--transcript/--no-transcript", help="Whether events carry the transcript.")
    ] = True

    def section(self) -> dict[str, Any]:
        """The settings' section `server`; None leaves one as it is."""
        return {
            "host": self.host,
            "port": self.port,
            "allowed_hosts": self.allowed_host or None,
            "allow_origins": self.allow_origin or None,
            "token_file": None if self.token_file is None else str(self.token_file),
            "no_auth": self.no_auth or None,
            "ssl_certfile": None if self.ssl_certfile is None else str(self.ssl_certfile),
            "ssl_keyfile": None if self.ssl_keyfile is None else str(self.ssl_keyfile),
            "transcript": None if self.transcript else False,
        }
