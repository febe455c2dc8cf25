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
    """delays: from the end of speech. reason: why there are none. installed: whether there was a server to
    measure; where not, figures of before stay.
    """

    peer: Peer
    model: str
    clients: int
    delays: Delays | None = None
    cores: float = 0.0
    memory_mib: float = 0.0
    reason: str = ""
    installed: bool = True

    def cells(self, commit: str = "") -> list[str]:
        key = [self.peer.name, self.model, str(self.clients)]
        if self.delays is None:
            return [*key, f"not run: {self.reason}", "", "", "", commit]
        window_ms = 1_000 * self.peer.silence_s
        spread = [self.delays.percentile_ms(share) for share in (50, 95)]
        delay = " / ".join("none" if one is None else f"{one - window_ms:.0f}" for one in spread)
        lacking = f"{self.delays.late}, {self.delays.none}, of {self.delays.utterances}"
        return [*key, delay, lacking, f"{self.cores:.2f}", f"{self.memory_mib:.0f}", commit]


def page(rows: Sequence[MeasuredRow], sound: str, stamp: str, before: str) -> str:
    """sound: what each client sent. before: the page as it was, whose rows stay unless measured again."""
    commit = stamp.split("at commit ")[1].split(",")[0]
    lines = _rows_of(before)
    for row in rows:
        cells = row.cells(commit)
        key = tuple(cells[:3])
        if row.installed or key not in lines:
            lines[key] = cells
    ordered = [lines[key] for key in sorted(lines, key=_place)]
    finals = [[peer.name, _version(peer), _window(peer), peer.final] for peer in PEERS.values()]
    return (
        "# Compared with other servers that transcribe streams\n\n"
        "How long after somebody has stopped speaking is the text of it final, and what does the server take "
        f"meanwhile? Made by `python -m benchmarks.peers`, last on {stamp}; each row states its commit.\n\n"
        f"Each client sends {sound}, in real time and in blocks of 20 ms; the clients run on the machine of "
        "the server. All have the same weights of Whisper in int8; everything else is as each of them "
        "comes. emostream's results have an emotion besides the words.\n\n"
        "- *Delay beyond the silence window*: from the end of an utterance's speech to the arrival of its "
        "final text, less the silence that the server waits for by its configuration (its window, first "
        "table; with none nothing is taken off). Text that may still change does not count. A final is an "
        "utterance's if it reaches to within 0.4 s of its end.\n"
        "- *Late, none, of utterances*: finals that came after the next utterance had ended; utterances "
        "without a final 8 s after the end of the sound, which the delays leave out; all utterances.\n"
        "- *Cores*, *MiB* (PSS, median): the processes of the server while the sound came.\n\n"
        f"{table(('server', 'version', 'silence window', 'what is final'), finals)}{table(HEAD, ordered)}"
    ).rstrip("\n") + "\n"


def _place(key: tuple[str, ...]) -> tuple[int, int, int]:
    """Of a row: by model, then by load, so that servers stand beside each other."""
    name, model, clients = key
    return MODELS.index(model), int(clients), list(PEERS).index(name)


def _version(peer: Peer) -> str:
    return peer.packages[0].partition("==")[2] if peer.packages else "this one"


def _window(peer: Peer) -> str:
    return f"{1_000 * peer.silence_s:.0f} ms" if peer.silence_s else "none"


def _rows_of(text: str) -> dict[tuple[str, ...], list[str]]:
    """(server, model, clients) -> cells."""
    _, _, rows = text.partition(f"| {' | '.join(HEAD)} |\n")
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in rows.splitlines()[1:]]
    return {tuple(row[:3]): row for row in cells if len(row) == len(HEAD)}
