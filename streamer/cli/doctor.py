"""`emostream doctor`"""

from __future__ import annotations

import platform
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from typing import Literal

import numpy as np
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from emostream.models import ModelError, load_recognizer, load_transcriber

from ..audio.microphone import input_devices
from ..config import FRAME_SAMPLES, ServerSettings, VadSettings
from ..errors import EmostreamError, ListenError
from ..pipeline.vad import make_vad
from ..server.listen import bind

Verdict = Literal["ok", "note", "fail"]
_MARKS = {"ok": "[green]ok[/green]", "note": "[yellow]note[/yellow]", "fail": "[red]fail[/red]"}


@dataclass(frozen=True, slots=True)
class Finding:
    verdict: Verdict
    text: str


def doctor() -> None:
    """Look at everything emostream needs and say what is missing.

    Exit status 1 where something is broken that no fallback replaces.
    """
    checks: list[tuple[str, Callable[[], Finding]]] = [
        ("python", _python),
        ("packages", _packages),
        ("accelerator", _accelerator),
        ("emotion model", _emotion_model),
        ("Whisper tiny.en", _whisper),
        ("PocketSphinx", _pocketsphinx),
        ("VAD webrtc", lambda: _vad(VadSettings(name="webrtc"))),
        ("VAD silero", lambda: _vad(VadSettings(name="silero"))),
        ("microphone", _microphone),
        ("port 8765", _port),
    ]
    table = Table("", "what", "found", box=None)
    failed = False
    console = Console()
    with console.status("Looking ..."):
        for name, check in checks:
            finding = check()
            failed |= finding.verdict == "fail"
            table.add_row(_MARKS[finding.verdict], name, escape(finding.text))
    console.print(table)
    if failed:
        raise typer.Exit(1)


def _python() -> Finding:
    return Finding("ok", f"{platform.python_version()} on {platform.system()} {platform.machine()}")


def _packages() -> Finding:
    names = ("emostream", "torch", "transformers", "faster-whisper", "websockets")
    return Finding("ok", ", ".join(f"{name} {version(name)}" for name in names))


def _accelerator() -> Finding:
    try:
        import torch
    except ImportError as error:
        return Finding("fail", f"torch cannot be imported ({error}); install emostream again")
    if torch.cuda.is_available():
        return Finding("ok", torch.cuda.get_device_name())
    return Finding("note", f"no CUDA device; the models run on the CPU ({torch.get_num_threads()} threads)")


def _emotion_model() -> Finding:
    try:
        recognizer = load_recognizer()
    except ModelError as error:
        return Finding("fail", str(error))
    return Finding("ok", f"{recognizer.name} on {recognizer.device}: {', '.join(recognizer.labels)}")


def _whisper() -> Finding:
    from emostream.models.transcription.hub import is_hub_reachable, is_whisper_cached

    if is_whisper_cached("tiny.en"):
        return Finding("ok", "in the local cache")
    if is_hub_reachable():
        return Finding("note", "not downloaded yet; the first start fetches it (75 MB)")
    return Finding("note", "not in the cache, and the hub does not answer: PocketSphinx writes the words")


def _pocketsphinx() -> Finding:
    try:
        transcriber = load_transcriber("pocketsphinx")
    except ModelError as error:
        return Finding("fail", str(error))
    return Finding("ok", "" if transcriber is None else transcriber.name)


def _vad(settings: VadSettings) -> Finding:
    try:
        vad = make_vad(settings)
    except EmostreamError as error:
        return Finding("fail", str(error))
    (heard,) = vad.is_speech(np.zeros((1, FRAME_SAMPLES), np.float32))
    if heard:
        return Finding("fail", f"{vad.name} takes silence for speech; reinstall its package")
    return Finding("ok", vad.name)


def _microphone() -> Finding:
    try:
        devices = input_devices()
    except EmostreamError as error:
        return Finding("note", str(error))
    if not devices:
        return Finding("note", "PortAudio works, but there is no input device")
    return Finding("ok", ", ".join(device.name for device in devices))


def _port() -> Finding:
    try:
        bind(ServerSettings()).close()
    except ListenError as error:
        return Finding("note", str(error))
    return Finding("ok", "free")
