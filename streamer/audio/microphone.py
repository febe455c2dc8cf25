"""A microphone as a source, by PortAudio. The audio callback copies the block and queues it, nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from ..errors import DeviceError
from .frontend import Samples
from .sources import BLOCK_MS, AudioGap, Item, Pcm


@dataclass(frozen=True, slots=True)
class InputDevice:
    index: int
    name: str
    channels: int
    sample_rate_hz: int
    is_default: bool


def input_devices() -> list[InputDevice]:
    """The devices that PortAudio can record from. Raises DeviceError where PortAudio is missing."""
    portaudio = _portaudio()
    default = portaudio.default.device[0]
    return [
        InputDevice(
            index=device["index"],
            name=device["name"],
            channels=device["max_input_channels"],
            sample_rate_hz=int(device["default_samplerate"]),
            is_default=device["index"] == default,
        )
        for device in portaudio.query_devices()
        if device["max_input_channels"] > 0
    ]


def find_device(name: str | None) -> InputDevice:
    """By index, by part of its name, or the system's default. Raises DeviceError."""
    devices = input_devices()
    if not devices:
        raise DeviceError(
            "expected a microphone, found no input device; plug one in, see `emostream devices`"
        )
    if name is None:
        return next((device for device in devices if device.is_default), devices[0])
    wanted = name.casefold()
    for device in devices:
        if wanted == str(device.index) or wanted == device.name.casefold():
            return device
    matches = [device for device in devices if wanted in device.name.casefold()]
    if len(matches) == 1:
        return matches[0]
    found = "none" if not matches else f"{len(matches)}: " + ", ".join(device.name for device in matches)
    raise DeviceError(
        f"expected one input device called {name!r}, found {found}; `emostream devices` lists them"
    )


class MicrophoneSource:
    """One input device, mono, at its own rate.

    A microphone cannot wait: where the session is more than `buffer_s` behind, blocks are dropped, and an
    AudioGap takes their place. A device that delivers nothing for `timeout_s` has been unplugged.
    """

    channels = 1

    def __init__(self, device: InputDevice, *, buffer_s: float = 10.0, timeout_s: float = 5.0) -> None:
        self._device = device
        self.sample_rate_hz = device.sample_rate_hz
        self._timeout_s = timeout_s
        self._queue: asyncio.Queue[Samples | AudioGap | None] = asyncio.Queue()
        self._capacity = round(buffer_s * 1_000 / BLOCK_MS)
        self._dropped_samples = 0

    def stop(self) -> None:
        self._report_dropped()
        self._queue.put_nowait(None)

    async def items(self) -> AsyncIterator[Item]:
        loop = asyncio.get_running_loop()

        def callback(data: Any, frames: int, time: Any, status: Any) -> None:
            loop.call_soon_threadsafe(self._enqueue, data.copy(), bool(status.input_overflow))

        with self._open(callback):
            while (item := await self._next()) is not None:
                yield item if isinstance(item, AudioGap) else Pcm(item)

    async def _next(self) -> Samples | AudioGap | None:
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._queue.get()
        except TimeoutError:
            raise DeviceError(
                f"expected sound from {self._device.name!r}, got none for {self._timeout_s:g} s; "
                "is it still plugged in?"
            ) from None

    def _enqueue(self, block: Samples, overflow: bool) -> None:
        if overflow:
            # PortAudio reports that it lost audio, not how much: at least a block.
            self._queue.put_nowait(AudioGap(BLOCK_MS, "the sound card overflowed"))
        if self._queue.qsize() >= self._capacity:
            self._dropped_samples += len(block)
            return
        self._report_dropped()
        self._queue.put_nowait(block)

    def _report_dropped(self) -> None:
        if self._dropped_samples:
            ms = round(self._dropped_samples / self.sample_rate_hz * 1_000)
            self._queue.put_nowait(AudioGap(ms, "the models were too slow"))
            self._dropped_samples = 0

    @contextmanager
    def _open(self, callback: Any) -> Iterator[None]:
        portaudio = _portaudio()
        try:
            stream = portaudio.InputStream(
                samplerate=self.sample_rate_hz,
                blocksize=self.sample_rate_hz * BLOCK_MS // 1_000,
                device=self._device.index,
                channels=1,
                dtype="float32",
                callback=callback,
            )
            stream.start()
        except portaudio.PortAudioError as error:
            raise DeviceError(
                f"expected to record from {self._device.name!r}, got: {error}; "
                "close other programs that use it or choose another with --microphone"
            ) from error
        try:
            yield
        finally:
            stream.close()


def _portaudio() -> Any:
    try:
        import sounddevice
    except Exception as error:  # OSError without the library; its own PortAudioError where it does not start
        raise DeviceError(
            f"expected the PortAudio library for the microphone, got: {error}; install it "
            "(Debian and Ubuntu: apt install libportaudio2)"
        ) from error
    return sounddevice
