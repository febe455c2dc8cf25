"""Mistakes in a command line of this project's programs, in one line each."""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any, Final, cast

import typer

UsageError: Final = cast("type[Exception]", typer.BadParameter.__mro__[1])
"""Base class of what a parser raises: Typer exports only this subclass of it."""

_NUMBER: Final = re.compile(r"is not a valid (int|float)|is not in the (range) ")
_CHOICES: Final = re.compile(r"is not one of (.+?)\.?$")
_SUGGESTED: Final = 2


def usage_line(error: Any, arguments: Sequence[str]) -> str:
    """What was expected, what came, and where help is; empty where the help itself was printed.

    error: a UsageError. arguments: of the command line.
    """
    context = error.ctx
    command = "emostream" if context is None else context.command_path
    if type(error).__name__ == "NoArgsIsHelpError":
        return ""
    return f"{_expected(error, command, arguments)}; see {command} --help"


def _expected(error: Any, command: str, arguments: Sequence[str]) -> str:
    parameter = getattr(error, "param", None)
    unknown = getattr(error, "option_name", None)
    if parameter is not None and hasattr(error, "param_type"):  # it is missing
        return f"expected {_shown(parameter)}, got nothing"
    if parameter is not None:
        return _wrong_value(error.message, parameter, arguments)
    if unknown is not None and hasattr(error, "possibilities"):
        options = [name for each in error.ctx.command.params for name in (*each.opts, *each.secondary_opts)]
        return f"expected an option of {command}, got {unknown}{_nearest(unknown, options)}"
    commands = list(getattr(error.ctx.command, "commands", ())) if error.ctx is not None else []
    first = next((each for each in arguments if each not in command.split()), "")
    if commands and first not in commands:
        return f"expected a command of {command}, got {first}{_nearest(first, commands)}"
    message = error.format_message().rstrip(".")
    return str(message[:1].lower() + message[1:])


def _wrong_value(message: str, parameter: Any, arguments: Sequence[str]) -> str:
    given = _given(parameter.opts, arguments)
    got = "another value" if given is None else repr(given)
    if choices := _CHOICES.search(message):
        return f"expected {choices[1].replace(chr(39), '')} for {_shown(parameter)}, got {got}"
    if kind := _NUMBER.search(message):
        wanted = _number(kind[1] or kind[2], parameter.type)
        return f"expected {wanted} for {_shown(parameter)}, got {got}"
    text = message.rstrip(".")
    return f"expected a value that {_shown(parameter)} takes, got {got}: {text[:1].lower() + text[1:]}"


def _number(kind: str, expected: Any) -> str:
    """kind: int or float, or range for a number below the least one. expected: the parameter's type."""
    least = getattr(expected, "min", None)
    number = "a whole number" if kind == "int" or isinstance(least, int) else "a number"
    return number if least is None else f"{number} of at least {least:g}"


def _shown(parameter: Any) -> str:
    """The long name of an option; what an argument is called in the help."""
    if parameter.param_type_name == "argument":
        return str(parameter.metavar or parameter.name.upper())
    return max(map(str, parameter.opts), key=len)


def _given(names: Sequence[str], arguments: Sequence[str]) -> str | None:
    """The value of an option in the command line."""
    for place, argument in enumerate(arguments):
        name, equals, value = argument.partition("=")
        if name in names and equals:
            return value
        if argument in names and place + 1 < len(arguments):
            return arguments[place + 1]
    return None


def _nearest(name: str, known: Sequence[str]) -> str:
    """` (did you mean ...?)`, or nothing."""
    longer = [each for each in known if each.startswith(name) and len(name) > 2]
    near = list(dict.fromkeys([*longer, *get_close_matches(name, known)]))[:_SUGGESTED]
    return f" (did you mean {' or '.join(near)}?)" if near else ""
