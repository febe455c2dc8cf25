"""Which loads are tried to find the highest that is held, where each costs half a minute."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Final

_SHARES: Final = tuple(Fraction(eighths, 8) for eighths in (1, 2, 3, 4, 6))


def ladder(at_least: int, aim: int) -> list[int]:
    """The loads that may be tried, ascending: one stream, shares of what has to be reached, that itself, the
    aim and a quarter more.
    """
    below = {max(1, int(share * at_least)) for share in _SHARES}
    return sorted({1, at_least, aim, aim + aim // 4} | below)


def loads_to_try(loads: list[int], likely: int, held: Callable[[], bool]) -> Iterator[int]:
    """One stream; then the highest load that `likely` reaches and the one above it, or below it where it was
    not held; then the middle of those that are left, until the highest that is held and the next one, which
    is not, are both known. loads: ascending, from 1. held: whether the last one was. More than one stream is
    tried even where one alone was late, which takes only one slow utterance.
    """
    yield loads[0]
    held_to, late_from = 0, len(loads)
    place = max((number for number, load in enumerate(loads) if load <= likely), default=0) or 1
    near = True
    while late_from - held_to > 1:
        yield loads[place]
        if held():
            held_to, beside = place, place + 1
        else:
            late_from, beside = place, place - 1
        middle = (held_to + late_from) // 2
        place = beside if near and held_to < beside < late_from else middle
        near = False
