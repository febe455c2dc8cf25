"""A scripted replacement for the server, as the page sees it: files, the list of streams, the socket."""

from __future__ import annotations

import http
import json
import mimetypes
from collections import deque
from pathlib import Path
from typing import Any, Final, Self

from websockets.asyncio.server import Server, ServerConnection, broadcast, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

DEMO: Final = Path(__file__).resolve().parents[2] / "demo"
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; media-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
STREAM: Final = {"name": "demo", "title": "Bundled recording", "note": "The voice is synthetic."}
LABELS: Final = ("angry", "happy", "sad", "neutral")

Message = dict[str, Any]


def scores(label: str, p: float = 0.91) -> dict[str, float]:
    """A probability vector over LABELS in which `label` has `p`."""
    return {name: p if name == label else (1 - p) / 3 for name in LABELS}


def emotion(utterance: int, label: str = "angry", text: str = "stop it", **changes: Any) -> Message:
    """A final `emotion` event with every field of the protocol."""
    event: Message = {
        "type": "emotion",
        "utterance": utterance,
        "final": True,
        "start_ms": utterance * 4000,
        "end_ms": utterance * 4000 + 2500,
        "reason": "silence",
        "label": label,
        "confidence": 0.91,
        "reliable": True,
        "uncertain": [],
        "baseline_utterances": None,
        "probabilities": scores(label),
        "audio_only": scores("neutral", 0.55),
        "text_only": scores(label, 0.97),
        "text": text,
        "language": "en",
        "words": [],
        "timing": {
            "endpoint_ms": 500.0,
            "lead_ms": 300.0,
            "queue_ms": 1.0,
            "asr_ms": 120.0,
            "align_ms": 2.0,
            "emotion_ms": 38.0,
            "total_ms": 661.0,
        },
    }
    return event | changes


def speech_started(utterance: int) -> Message:
    return {"type": "speech_started", "utterance": utterance, "start_ms": utterance * 4000}


def publish_everything(server: PageServer) -> None:
    """One of each thing that the page can show."""
    for utterance, label in enumerate(LABELS, 1):
        server.publish(emotion(utterance, label, text=f"this is {label}", uncertain=["low_confidence"]))
    server.publish({"type": "dropped", "ms": 1240, "reason": "too slow"})
    server.publish({"type": "error", "code": "model_error", "message": "got NaN", "fatal": False})
    server.publish(emotion(5, text="", text_only=None))
    server.publish(emotion(6, text="not yet", final=False, reason="speaking"))
    server.publish(speech_started(7))


class PageServer:
    """Serves `demo/` under the strict policy and plays what the test publishes.

    A new subscriber gets `ready` and the last 200 events, as from the real server. paths: of all requests.
    subscribed: the stream of each subscription.
    """

    def __init__(self, streams: list[dict[str, str]] | None = None) -> None:
        self.streams = [STREAM] if streams is None else streams
        self.session = "s1"
        self.asr: str | None = "pocketsphinx en-us"
        self.asr_source: str | None = None
        self.paths: list[str] = []
        self.subscribed: list[str] = []
        self.subprotocols: list[str | None] = []
        self.close_code = 1000
        self._seq = 0
        self._kept: deque[str] = deque(maxlen=200)
        self._sockets: set[ServerConnection] = set()
        self._server: Server | None = None
        self._port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}/"

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """On a free port the first time, on the same one after a `stop`."""
        self._server = await serve(
            self._serve_socket,
            "127.0.0.1",
            self._port,
            process_request=self._serve_file,
            subprotocols=[Subprotocol("emostream.v1")],
        )
        self._port = next(iter(self._server.sockets)).getsockname()[1]

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
            self._server = None

    async def restart(self, session: str) -> None:
        """As another process: nothing of the old session is kept."""
        await self.stop()
        self.session, self._seq = session, 0
        self._kept.clear()
        await self.start()

    def publish(self, event: Message) -> None:
        self._seq += 1
        self.send(json.dumps(event | {"seq": self._seq}), keep=True)

    def send(self, text: str, *, keep: bool = False) -> None:
        """Send the text unchanged, to all subscribers."""
        if keep:
            self._kept.append(text)
        broadcast(self._sockets, text)

    async def close_sockets(self, code: int) -> None:
        for socket in list(self._sockets):
            await socket.close(code)

    async def _serve_socket(self, socket: ServerConnection) -> None:
        self.subprotocols.append(socket.subprotocol)
        try:
            self.subscribed.append(json.loads(await socket.recv())["stream"])
            await socket.send(json.dumps(self._ready()))
            for text in list(self._kept):
                await socket.send(text)
            self._sockets.add(socket)
            await socket.wait_closed()
        except ConnectionClosed:
            pass
        finally:
            self._sockets.discard(socket)

    def _ready(self) -> Message:
        return {
            "type": "ready",
            "protocol": 1,
            "session": self.session,
            "resume_token": None,
            "resumed": False,
            "lost_from_seq": None,
            "received_samples": 0,
            "labels": list(LABELS),
            "models": {
                "vad": "webrtc 2",
                "asr": self.asr,
                "asr_source": self.asr_source,
                "emotion": "bundled 0.1",
                "device": "cpu",
            },
            "limits": {"message_bytes": 1 << 20, "max_unacked_ms": 2000, "session_ms": None, "idle_ms": None},
        }

    def _serve_file(self, _: ServerConnection, request: Request) -> Response | None:
        self.paths.append(request.path)
        if request.path == "/v1/stream":
            return None
        if request.path == "/v1/streams":
            return _response(
                http.HTTPStatus.OK, "application/json", json.dumps({"streams": self.streams}).encode()
            )
        file = DEMO / (request.path.partition("?")[0].lstrip("/") or "index.html")
        if not file.is_file():
            return _response(http.HTTPStatus.NOT_FOUND, "text/plain", b"not found")
        kind = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
        return _response(http.HTTPStatus.OK, kind, file.read_bytes())


def _response(status: http.HTTPStatus, kind: str, body: bytes) -> Response:
    headers = Headers(
        {
            "Content-Type": kind,
            "Content-Length": str(len(body)),
            "Content-Security-Policy": POLICY,
            "X-Content-Type-Options": "nosniff",
            "Connection": "close",
        }
    )
    return Response(status.value, status.phrase, headers, body)
