"""How much the models have worked; what `admission` and `interim_budget` decide by."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Capacity:
    """busy_seconds: for each model, the seconds of work so far; where the models are in this process, without
    those for words while somebody speaks and for uploaded recordings, which give way. own_busy_seconds: the
    part of it that was for this server's streams; None where no other server shares the models.
    replica_count: copies of the models at present, over which the load is spread. ensure_available: raises
    OverloadedError while no model can be reached.
    """

    busy_seconds: Sequence[Callable[[], float]]
    own_busy_seconds: Sequence[Callable[[], float]] | None = None
    replica_count: Callable[[], int] = lambda: 1
    ensure_available: Callable[[], None] = lambda: None
