"""A websocket in front of RealtimeSTT: PORT, a faster-whisper folder, the silence that ends an utterance.

The library has one recorder for one speaker, so each connection has a recorder of its own, which loads the
model again. 16 kHz PCM comes in; each text goes out with the position of the sound at which its recording
ended.
"""

from __future__ import annotations

import asyncio
import json
import sys
import threading

from RealtimeSTT import AudioToTextRecorder
from websockets.asyncio.server import ServerConnection, serve

PORT, MODEL, SILENCE_S = int(sys.argv[1]), sys.argv[2], float(sys.argv[3])


class Stream:
    """One connection's recorder, and where in its sound it is."""

    def __init__(self, socket: ServerConnection, loop: asyncio.AbstractEventLoop) -> None:
        self._socket, self._loop = socket, loop
        self._fed_samples = 0
        self._ended_at: list[float] = []
        self._closing = threading.Event()
        self._recorder = AudioToTextRecorder(
            model=MODEL,
            language="en",
            device="cpu",
            compute_type="int8",
            use_microphone=False,
            spinner=False,
            no_log_file=True,
            silero_backend="auto",
            post_speech_silence_duration=SILENCE_S,
            on_recording_stop=lambda: self._ended_at.append(self._fed_samples / 16_000 - SILENCE_S),
        )
        self._thread = threading.Thread(target=self._transcribe, daemon=True)
        self._thread.start()

    def feed(self, pcm: bytes) -> None:
        self._recorder.feed_audio(pcm)
        self._fed_samples += len(pcm) // 2

    def _transcribe(self) -> None:
        while not self._closing.is_set():
            text = self._recorder.text()
            if text and self._ended_at:
                message = json.dumps({"text": text, "until_s": self._ended_at[-1]})
                asyncio.run_coroutine_threadsafe(self._socket.send(message), self._loop)

    def close(self) -> None:
        self._closing.set()
        self._recorder.shutdown()


async def handle(socket: ServerConnection) -> None:
    stream = await asyncio.to_thread(Stream, socket, asyncio.get_running_loop())
    await socket.send(json.dumps({"ready": True}))
    try:
        async for message in socket:
            assert isinstance(message, bytes)
            stream.feed(message)
    finally:
        await asyncio.to_thread(stream.close)


async def main() -> None:
    async with serve(handle, "127.0.0.1", PORT) as server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
