"""Lengths and speeds as commands print them."""

from __future__ import annotations


def length(seconds: float) -> str:
    """`14 s`, `3:05 min` or `2:10 h`; tenths below ten seconds."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 120:
        return f"{whole} s"
    if whole < 7_200:
        return f"{whole // 60}:{whole % 60:02d} min"
    return f"{whole // 3_600}:{whole // 60 % 60:02d} h"


def times_real_time(audio_s: float, seconds: float) -> str:
    """How fast so much audio was analysed: `4.7 x real time`."""
    speed = audio_s / max(seconds, 1e-3)
    return f"{speed:.{0 if speed >= 10 else 1}f} x real time"


def time_left(done: float, total: float, seconds: float) -> str:
    """`about 3:05 min left`, from how long it has taken so far; empty where nothing can be said."""
    if not 0 < done < total:
        return ""
    return f"about {length(seconds * (total - done) / done)} left"
