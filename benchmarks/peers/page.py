"""peers.md: a row for each server, model and number of clients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from benchmarks.peers.delay import Delays
from benchmarks.peers.peer import PEERS, Peer
from benchmarks.suite.parts import table

MODELS: Final = ("tiny.en", "base")
HEAD: Final = (
    "server",
    "Whisper",
    "clients",
    "delay beyond the silence window, p50 / p95, ms",
    "late, none, of utterances",
    "cores",
    "MiB",
    "commit",
)


@dataclass(frozen=True, slots=True)
class MeasuredRow:
    """delays: from the end of speech. reason: why there are none."""

    peer: Peer
    model: str
    clients: int
    delays: Delays | None = None
    cores: float = 0.0
    memory_mib: float = 0.0
    reason: str = ""

    def cells(self, commit: str = "") -> list[str]:
        key = [self.peer.name, self.model, str(self.clients)]
        if self.delays is None:
            return [*key, f"not run: {self.reason}", "", "", "", commit]
        window_ms = 1_000 * self.peer.silence_s
        spread = [self.delays.percentile_ms(share) for share in (50, 95)]
        delay = " / ".join("none" if one is None else f"{one - window_ms:.0f}" for one in spread)
        lacking = f"{self.delays.late}, {self.delays.none}, of {self.delays.utterances}"
        return [*key, delay, lacking, f"{self.cores:.2f}", f"{self.memory_mib:.0f}", commit]


def page(rows: Sequence[MeasuredRow], seconds: float, stamp: str, before: str) -> str:
    """before: the page as it was; its rows stay where none of `rows` replaces them."""
    commit = stamp.split("at commit ")[1].split(",")[0]
    lines = _rows_of(before) | {tuple(row.cells()[:3]): row.cells(commit) for row in rows}
    ordered = [lines[key] for key in sorted(lines, key=_place)]
    finals = [[peer.name, _window(peer), peer.final] for peer in PEERS.values()]
    return (
        "# Beside other servers that transcribe streams\n\n"
        f"Made by `python -m benchmarks.peers`, last on {stamp}; each row states its commit. {seconds:.0f} s "
        "of speech a client in real time, all clients on the machine of the server, the same weights of "
        "Whisper for all, in the precision that each takes on a processor (int8). *Delay*: from the end "
        "of an utterance's speech to the arrival of its final text, less the silence that the server "
        "waits for by its configuration; everything else as each server comes. *Late*: the final came after "
        "the next utterance had ended; *none*: not within 8 s of the end of the sound. "
        "*Cores* and *MiB* (PSS, median): the server's process tree while clients were connected.\n\n"
        f"{table(('server', 'silence window', 'what is final'), finals)}{table(HEAD, ordered)}"
    ).rstrip("\n") + "\n"


def _place(key: tuple[str, ...]) -> tuple[int, int, int]:
    """Of a row: by model, then by load, so that servers stand beside each other."""
    name, model, clients = key
    return MODELS.index(model), int(clients), list(PEERS).index(name)


def _window(peer: Peer) -> str:
    return f"{1_000 * peer.silence_s:.0f} ms" if peer.silence_s else "none"


def _rows_of(text: str) -> dict[tuple[str, ...], list[str]]:
    """(server, model, clients) -> cells."""
    _, _, rows = text.partition(f"| {' | '.join(HEAD)} |\n")
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in rows.splitlines()[1:]]
    return {tuple(row[:3]): row for row in cells if len(row) == len(HEAD)}
