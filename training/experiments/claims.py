"""The papers' claims, each with its published figure and the gains that were measured for its like."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from .markdown import GainRow, grid, points, spaced
from .protocols import LEAKS, leaks
from .table_rows import (
    ANY_BY_VALIDATION,
    AUDIO_ONLY,
    BASELINE,
    BOTH,
    BY_VALIDATION,
    CONCAT,
    CONCAT_CONTINUED,
    CONTINUED,
    CUMULATIVE,
    EARLY,
    LATE,
    OBJECTIVES,
    RECOGNIZED,
    TEXT_ONLY,
)

_QIAN: Final = "Qian and Han, arXiv 2211.10885"
_ZHAO: Final = "Zhao, Wang and Wang, arXiv 2207.04697"
_LEGEND: Final = """Points of a percent with a 95 % bootstrap interval over speakers; `UA, by session` over
those who talk to each other, where there are five such sessions. Published gains have no interval. Those of
{qian} were measured on every fifth utterance of IEMOCAP, by the code that was published with it, so their
like is the protocol `utterance`, which {leaks}."""


@dataclass(frozen=True, slots=True)
class Claim:
    """rows: the one that is claimed to be better, the first of these that was run. wa, ua: published
    points.
    """

    what: str
    rows: tuple[str, ...]
    against: str
    source: str = ""
    wa: float | None = None
    ua: float | None = None


def _contrastive(prefix: str) -> tuple[str, ...]:
    single = (f"{prefix}{objective}, {BY_VALIDATION}" for objective in OBJECTIVES)
    return (f"{prefix}{ANY_BY_VALIDATION}", *single)


CLAIMS: Final = (
    Claim("contrastive term", _contrastive(f"{CONCAT}, "), CONCAT, _QIAN, 1.44, 1.53),
    Claim("the same, against as much training without it", _contrastive(f"{CONCAT}, "), CONCAT_CONTINUED),
    Claim("contrastive term in the multi-level model", _contrastive(""), BASELINE),
    Claim("the same, against as much training without it", _contrastive(""), CONTINUED),
    Claim("early and late fusion over early alone", (BOTH,), EARLY, _ZHAO),
    Claim("early and late fusion over late alone", (BOTH,), LATE, _ZHAO),
    Claim("early and late fusion over concatenation", (BOTH,), CONCAT),
    *(Claim(f"+ {name.split()[-1]}", (name,), before, _ZHAO) for before, name in pairwise(CUMULATIVE)),
    Claim("all granularities over frames alone", CUMULATIVE[-1:], CUMULATIVE[0], _ZHAO),
    Claim("audio and text over audio alone", (BASELINE,), AUDIO_ONLY),
    Claim("audio and text over text alone", (BASELINE,), TEXT_ONLY),
    Claim("recognized words in place of gold ones", (RECOGNIZED,), BASELINE),
)


def claim_table(gains: Mapping[str, Sequence[GainRow]], warnings: Sequence[str] = ()) -> list[str]:
    """gains: protocol -> its gains. Lines of Markdown; none where no claim was run."""
    lines = [
        line
        for claim in CLAIMS
        for protocol, rows in gains.items()
        if (line := _line(claim, protocol, rows)) is not None
    ]
    if not lines:
        return []
    header = ("claim", "protocol", "published WA", "published UA", "WA", "UA", "UA, by session", "source")
    legend = _LEGEND.format(qian=_QIAN, leaks=LEAKS)
    table = grid(header, lines, text=["protocol", "source"])
    return ["## The papers' claims", "", legend, "", *spaced(warnings), *table, ""]


def _line(claim: Claim, protocol: str, gains: Sequence[GainRow]) -> list[str] | None:
    found = [gain for row in claim.rows for gain in gains if (gain.row, gain.against) == (row, claim.against)]
    if not found:
        return None
    gain = found[0]
    published = [_published(claim, value) for value in (claim.wa, claim.ua)]
    session = gain.by_session.get("ua")
    here = [points(gain.gains["wa"]), points(gain.gains["ua"]), "" if session is None else points(session)]
    mark = f" ({LEAKS})" if leaks(protocol) else ""
    return [claim.what, f"{protocol}{mark}", *published, *here, claim.source]


def _published(claim: Claim, value: float | None) -> str:
    if value is None:
        return "not stated" if claim.source else ""
    return f"{value:+g}"
