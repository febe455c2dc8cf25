"""`emostream doctor`: its options."""

from __future__ import annotations


def doctor() -> None:
    """Check what emostream needs: packages, models, accelerator, microphone, port.

    The exit status is 1 if something is broken that has no fallback.
    """
    from ..doctor import doctor as run_doctor

    run_doctor()
