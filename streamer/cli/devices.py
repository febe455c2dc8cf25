"""`emostream devices`: the microphones of this machine."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ..audio.microphone import input_devices
from ..errors import DeviceError


def devices() -> None:
    """Run the command; `commands.devices` has its options."""
    found = input_devices()
    if not found:
        raise DeviceError("expected a microphone, found no input device; plug one in and try again")
    table = Table("", "number", "name", "channels", "rate (Hz)", box=None)
    for device in found:
        table.add_row(
            "default" if device.is_default else "",
            str(device.index),
            escape(device.name),
            str(device.channels),
            str(device.sample_rate_hz),
        )
    Console().print(table)
