"""Option groups: a dataclass of options behind a command."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from emostream.streamer.cli.option_groups import with_option_groups


@dataclass(frozen=True, kw_only=True)
class Size:
    width: Annotated[int, typer.Option("--width", help="Of the box.")]
    height: Annotated[int, typer.Option("--tall")] = 2


@dataclass(frozen=True, kw_only=True)
class Other:
    width: Annotated[int, typer.Option("--wide")] = 1


def run(*arguments: str) -> tuple[int, str, list[object]]:
    calls: list[object] = []
    app = typer.Typer()

    @app.command()
    @with_option_groups
    def draw(name: Annotated[str, typer.Argument()], size: Size, colour: str = "red") -> None:
        """Draw a box."""
        calls.append((name, size, colour))

    done = CliRunner().invoke(app, list(arguments))
    return done.exit_code, done.output, calls


def test_the_command_gets_the_dataclass_and_the_parser_its_fields() -> None:
    assert run("box", "--width", "3")[2] == [("box", Size(width=3, height=2), "red")]
    assert run("box", "--width", "3", "--tall", "4", "--colour", "blue")[2] == [
        ("box", Size(width=3, height=4), "blue")
    ]


def test_a_field_without_default_is_a_required_option() -> None:
    code, output, calls = run("box")
    assert (code, calls) == (2, [])
    assert "--width" in output


def test_the_help_has_every_option_and_the_docstring() -> None:
    code, output, _ = run("--help")
    assert code == 0
    for text in ("Draw a box.", "--width", "Of the box.", "--tall", "--colour"):
        assert text in output


def test_two_groups_do_not_share_a_name() -> None:
    def draw(size: Size, other: Other) -> None:
        raise AssertionError((size, other))

    with pytest.raises(ValueError, match="duplicate parameter name"):
        with_option_groups(draw)
