"""The servers that are compared: what to install, how to start them, what they call final."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.peers import clients
from benchmarks.peers.clients import Client
from benchmarks.suite.program import PROGRAM
from benchmarks.suite.speech import DEMO_RECORDING

_SERVERS: Final = Path(__file__).with_name("servers")
_TORCH: Final = "torch==2.13.0"
_SILENCE_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class Peer:
    """packages: installed without their own dependencies, since some bring CUDA or need PortAudio's headers
    for a microphone that no server uses. needs: the dependencies of the server alone. silence_s: what it
    waits for after speech by its configuration; 0 where it has none, `final` says what it does instead.
    command: of the server, from Python, port and model folder. path: of its websocket. health: of a
    page that answers once it takes streams; where there is none, its port is open then.
    """

    name: str
    packages: tuple[str, ...]
    needs: tuple[str, ...]
    silence_s: float
    final: str
    command: Callable[[str, int, Path], Sequence[str]]
    path: str
    client: Client
    health: str = ""


def _emostream(python: str, port: int, model: Path) -> Sequence[str]:
    return [*PROGRAM, "serve", "--port", str(port), "--asr", str(model)]


def _whisper_live(python: str, port: int, model: Path) -> Sequence[str]:
    return [python, str(_SERVERS / "start_whisper_live.py"), str(port), str(model)]


def _whisperlivekit(python: str, port: int, model: Path) -> Sequence[str]:
    options = {
        "--port": str(port),
        "--model_dir": str(model),
        "--backend": "faster-whisper",
        "--backend-policy": "localagreement",
        "--lan": "en",
        "--warmup-file": str(DEMO_RECORDING),  # its own is downloaded
        "--log-level": "WARNING",
    }
    pairs = [word for pair in options.items() for word in pair]
    return [python, "-m", "whisperlivekit.basic_server", *pairs, "--pcm-input"]


def _realtimestt(python: str, port: int, model: Path) -> Sequence[str]:
    return [python, str(_SERVERS / "start_realtimestt.py"), str(port), str(model), str(_SILENCE_S)]


PEERS: Final[dict[str, Peer]] = {
    "emostream": Peer(
        "emostream",
        (),
        (),
        _SILENCE_S,
        "the final of an utterance, words and emotion",
        _emostream,
        "/v1/stream",
        clients.emostream,
        "/healthz",
    ),
    "WhisperLive": Peer(
        "WhisperLive",
        ("whisper-live==0.10.0",),
        (
            _TORCH,
            "faster-whisper==1.2.1",
            "fastapi",
            "uvicorn",
            "python-multipart",
            "websockets",
            "numpy<2.5",
            "scipy",
            "huggingface-hub<2",
        ),
        0.0,
        "a segment marked completed: another one follows, or over ten passes gave the same text",
        _whisper_live,
        "/",
        clients.whisper_live,
    ),
    "WhisperLiveKit": Peer(
        "WhisperLiveKit",
        ("whisperlivekit==0.2.26",),
        (
            _TORCH,
            "torchaudio",
            "faster-whisper==1.2.1",
            "fastapi>=0.141.1",
            "starlette>=1.3.1",
            "uvicorn",
            "python-multipart>=0.0.31",
            "websockets",
            "librosa",
            "soundfile",
            "huggingface-hub<2",
            "tqdm",
            "tiktoken",
        ),
        0.1,
        "confirmed text that reaches the end of the utterance (LocalAgreement: two passes agree)",
        _whisperlivekit,
        "/asr",
        clients.whisperlivekit,
        "/health",
    ),
    "RealtimeSTT": Peer(
        "RealtimeSTT",
        ("RealtimeSTT==1.1.2", "silero-vad==6.2.1"),
        (
            _TORCH,
            "torchaudio",
            "PyAudio==0.2.14",
            "faster-whisper==1.2.1",
            "webrtcvad-wheels==2.0.14",
            "halo==0.0.31",
            "colorama==0.4.6",
            "scipy",
            "websockets",
            "websocket-client==1.9.0",
            "soundfile",
            "onnxruntime",
        ),
        _SILENCE_S,
        "the text of a recording that silence ended",
        _realtimestt,
        "/",
        clients.realtimestt,
    ),
}


def needs_environment(peer: Peer) -> bool:
    return bool(peer.packages)


OWN_PYTHON: Final = sys.executable
