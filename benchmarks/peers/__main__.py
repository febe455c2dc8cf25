"""emostream beside servers that transcribe streams, with the same model and the same sound; writes peers.md.

Each peer is installed into an environment of its own at its first run, with pip's own settings: without a GPU
set PIP_EXTRA_INDEX_URL to PyTorch's index of CPU builds before, or torch is gigabytes. RealtimeSTT needs
PortAudio's headers (Debian: `portaudio19-dev`). A peer that cannot be installed is said in one line, and the
others are measured. Rows of peers.md stay until they are measured again.

Nothing else should run meanwhile: 40 minutes, 25 with `--seconds 30`, and some minutes for each environment.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
import time
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Final

from benchmarks.machine import stamp
from benchmarks.peers.environment import NotInstalledError, default_folder, python_of
from benchmarks.peers.measure import Load, PeerFailedError, measure
from benchmarks.peers.page import HEAD, MODELS, MeasuredRow, page
from benchmarks.peers.peer import PEERS, Peer
from benchmarks.suite.parts import table
from benchmarks.suite.runner import TimeLeft, duration
from benchmarks.suite.speech import described, speech_clips
from emostream.models.transcription.factory import local_copies
from emostream.streamer.bench.workload import make_workload

RESULTS: Final = Path(__file__).resolve().parents[1] / "peers.md"
_AROUND_S: Final = 17.0
"""Of a row, besides its sound: the start of a server, and the last texts that are waited for."""


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status."""
    options = _parse(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # the server that runs ends with it
    try:
        rows = _measured(options)
    except KeyboardInterrupt:
        print("interrupted; the rows that were measured are kept", file=sys.stderr)
        return 130
    print(table(HEAD, [row.cells() for row in rows]))
    return int(any(row.delays is None for row in rows))


def _measured(options: argparse.Namespace) -> list[MeasuredRow]:
    stamped = stamp()
    clips = speech_clips(options.speech)
    sound = f"{options.seconds:.0f} s of {described(options.speech, clips)}"
    folders = {model: _model_folder(model) for model in options.models}
    pythons = _installed(options)
    runs = [(PEERS[name], *one) for one in product(options.models, options.clients) for name in pythons]
    one_s = {
        name: options.seconds + _AROUND_S if isinstance(python, str) else 0.0
        for name, python in pythons.items()
    }
    left = TimeLeft([one_s[peer.name] for peer, _, _ in runs])
    print(f"{len(runs)} rows, about {duration(left.left_s(0.0))}", file=sys.stderr, flush=True)
    rows: list[MeasuredRow] = []
    for number, (peer, model, clients) in enumerate(runs, 1):
        began = time.monotonic()
        label = f"[{number}/{len(runs)}] {peer.name}, Whisper {model}, clients: {clients}"
        print(f"{label}; {duration(left.left_s(0.0))} left", file=sys.stderr, flush=True)
        python = pythons[peer.name]
        if isinstance(python, NotInstalledError):
            rows.append(MeasuredRow(peer, model, clients, reason=str(python), installed=False))
        else:
            loads = [make_workload(clips, options.seconds, stream=stream) for stream in range(clients)]
            rows.append(_row(peer, python, Load(model, folders[model], loads)))
        left.finish(time.monotonic() - began)
        print(table(HEAD, [rows[-1].cells()]), file=sys.stderr, flush=True)
        if options.write:
            _write(rows, sound, stamped)
    return rows


def _model_folder(model: str) -> Path:
    copy = next(local_copies(model, print), None)
    if copy is None:
        raise SystemExit(f"expected Whisper {model} on this machine, found none; install emostream[whisper]")
    return copy.folder


def _installed(options: argparse.Namespace) -> dict[str, str | NotInstalledError]:
    """Peer -> the interpreter that has it, or why it has none, which is said at once."""
    pythons: dict[str, str | NotInstalledError] = {}
    for name in options.peers:
        try:
            pythons[name] = python_of(PEERS[name], options.environments, options.python)
        except NotInstalledError as error:
            print(f"{error}; the others are measured", file=sys.stderr, flush=True)
            pythons[name] = error
    return pythons


def _write(rows: Sequence[MeasuredRow], sound: str, stamped: str) -> None:
    """After each measurement, so that none is lost where a later one is interrupted."""
    before = RESULTS.read_text(encoding="utf-8") if RESULTS.exists() else ""
    RESULTS.write_text(page(rows, sound, stamped, before), encoding="utf-8")


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.peers",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--peers", nargs="+", choices=tuple(PEERS), default=list(PEERS), metavar="NAME")
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--clients", type=_counts, default=[1, 2, 4, 8], metavar="N,N,...")
    parser.add_argument("--seconds", type=float, default=60.0, help="of sound for each client")
    parser.add_argument("--speech", type=Path, metavar="FOLDER", help="recordings of one utterance each")
    parser.add_argument("--environments", type=Path, default=default_folder(), metavar="FOLDER")
    parser.add_argument("--python", default=sys.executable, help="makes the peers' environments")
    parser.add_argument("--no-write", dest="write", action="store_false", help="only print the rows")
    return parser.parse_args(arguments)


def _counts(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


def _row(peer: Peer, python: str, load: Load) -> MeasuredRow:
    try:
        return asyncio.run(measure(peer, python, load))
    except PeerFailedError as error:
        return MeasuredRow(peer, load.model, len(load.workloads), reason=str(error))


if __name__ == "__main__":
    sys.exit(main())
