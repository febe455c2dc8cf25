"""`--ray` with or without an address behind it, before recordings that look like neither."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Sequence
from typing import Any, Final

from typer.core import TyperCommand

FLAG: Final = "--ray"
_ADDRESS: Final = re.compile(r"auto|local|ray://\S+|[A-Za-z0-9_.-]+:\d+|\[[0-9A-Fa-f:.]+\]:\d+")
"""HOST:PORT, a bracketed IPv6 one too. A recording of such a name: ./auto, or behind `--ray=auto`."""


class TakesRay(TyperCommand):
    """A command whose `--ray` takes what looks like an address, and otherwise stands for `auto`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, with_address(args))


def with_address(args: Sequence[str]) -> list[str]:
    """--ray ADDRESS and --ray -> --ray=ADDRESS; what stands behind `--` is left alone."""
    end = list(args).index("--") if "--" in args else len(args)
    here, behind = deque(args[:end]), args[end:]
    out: list[str] = []
    while here:
        arg = here.popleft()
        if arg == FLAG:
            address = here.popleft() if here and _ADDRESS.fullmatch(here[0]) else "auto"
            arg = f"{FLAG}={address}"
        out.append(arg)
    return [*out, *behind]
