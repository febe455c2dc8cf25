"""`emostream demo`: its options."""

from __future__ import annotations

from typing import Annotated

import typer

from ..option_groups import with_option_groups
from ..options import ModelOptions, PageOptions


@with_option_groups
def demo(
    *,
    once: Annotated[
        bool, typer.Option("--once", help="Play the recording once instead of in a loop.")
    ] = False,
    page: PageOptions,
    models: ModelOptions,
) -> None:
    """Play the bundled recording through the whole pipeline and show it on a web page.

    Needs no microphone, no account and, once installed, no network. The voice is synthetic.
    """
    from ..demo import demo as run_demo

    run_demo(
        once=once,
        page=page,
        models=models,
    )
