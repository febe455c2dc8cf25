"""`emostream devices`: its options."""

from __future__ import annotations


def devices() -> None:
    """List the microphones of this machine, for [bold]emostream live --microphone[/bold]."""
    from ..devices import devices as run_devices

    run_devices()
