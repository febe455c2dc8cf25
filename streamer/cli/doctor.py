"""`emostream doctor`: a check of the installation."""

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

Status = Literal["ok", "note", "fail"]
_MARKS = {"ok": "[green]ok[/green]", "note": "[yellow]note[/yellow]", "fail": "[red]fail[/red]"}


@dataclass(frozen=True, slots=True)
class CheckResult:
    status: Status
    text: str


def doctor() -> None:
    """Check what emostream needs: packages, models, accelerator, microphone, port.

    The exit status is 1 if something is broken that has no fallback.
    """
    checks: list[tuple[str, Callable[[], CheckResult]]] = [
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
    table = Table("", "check", "result", box=None)
    failed = False
    console = Console()
    with console.status("Checking ..."):
        for name, check in checks:
            outcome = check()
            failed |= outcome.status == "fail"
            table.add_row(_MARKS[outcome.status], name, escape(outcome.text))
    console.print(table)
    if failed:
        raise typer.Exit(1)


def _python() -> CheckResult:
    return CheckResult("ok", f"{platform.python_version()} on {platform.system()} {platform.machine()}")


def _packages() -> CheckResult:
    names = ("emostream", "torch", "transformers", "faster-whisper", "websockets")
    return CheckResult("ok", ", ".join(f"{name} {version(name)}" for name in names))


def _accelerator() -> CheckResult:
    try:
        import torch
    except ImportError as error:
        return CheckResult("fail", f"torch cannot be imported ({error}); install emostream again")
    if torch.cuda.is_available():
        return CheckResult("ok", torch.cuda.get_device_name())
    return CheckResult(
        "note", f"no CUDA device; the models run on the CPU ({torch.get_num_threads()} threads)"
    )


def _emotion_model() -> CheckResult:
    try:
        recognizer = load_recognizer()
    except ModelError as error:
        return CheckResult("fail", str(error))
    return CheckResult("ok", f"{recognizer.name} on {recognizer.device}: {', '.join(recognizer.labels)}")


def _whisper() -> CheckResult:
    from emostream.models.transcription.hub import is_hub_reachable, is_whisper_cached

    if is_whisper_cached("tiny.en"):
        return CheckResult("ok", "in the local cache")
    if is_hub_reachable():
        return CheckResult("note", "not downloaded yet; the first start downloads it (75 MB)")
    return CheckResult(
        "note", "not in the cache, and the hub is not reachable: PocketSphinx is used for transcription"
    )


def _pocketsphinx() -> CheckResult:
    try:
        transcriber = load_transcriber("pocketsphinx")
    except ModelError as error:
        return CheckResult("fail", str(error))
    return CheckResult("ok", "" if transcriber is None else transcriber.name)


def _vad(settings: VadSettings) -> CheckResult:
    try:
        vad = make_vad(settings)
    except EmostreamError as error:
        return CheckResult("fail", str(error))
    (is_speech,) = vad.is_speech(np.zeros((1, FRAME_SAMPLES), np.float32))
    if is_speech:
        return CheckResult("fail", f"{vad.name} classifies silence as speech; reinstall its package")
    return CheckResult("ok", vad.name)


def _microphone() -> CheckResult:
    try:
        devices = input_devices()
    except EmostreamError as error:
        return CheckResult("note", str(error))
    if not devices:
        return CheckResult("note", "PortAudio works, but there is no input device")
    return CheckResult("ok", ", ".join(device.name for device in devices))


def _port() -> CheckResult:
    try:
        bind(ServerSettings()).close()
    except ListenError as error:
        return CheckResult("note", str(error))
    return CheckResult("ok", "free")
