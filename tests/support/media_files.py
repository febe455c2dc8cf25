"""Recordings of any codec and container, with time stamps that a test chooses."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

Place = Callable[[float], float | None]
"""The time stamp of a packet in seconds -> the one that is written; None leaves the packet out."""


def as_encoded(at: float) -> float | None:
    return at


def write_media(
    path: Path,
    tracks: list[np.ndarray],
    rate_hz: int,
    codec: str,
    *,
    place: Place = as_encoded,
    picture_s: float = 0.0,
    options: dict[str, str] | None = None,
) -> Path:
    """tracks: (n, channels) float32 each, a sound track each. picture_s: the length of a picture track, which
    begins at 0. options: of the muxer.
    """
    with av.open(str(path), "w", options=options or {}) as container:
        video: Any = container.add_stream("mpeg4", rate=10) if picture_s else None
        streams: list[Any] = [container.add_stream(codec, rate=rate_hz) for _ in tracks]
        for stream, samples in zip(streams, tracks, strict=True):
            stream.layout = {1: "mono", 2: "stereo"}[samples.shape[1]]
        if video is not None:
            video.width = video.height = 64
            video.pix_fmt = "yuv420p"
            for _ in range(round(picture_s * 10)):
                container.mux(video.encode(av.VideoFrame(64, 64, "yuv420p")))
            container.mux(video.encode(None))
        packets = [
            packet
            for stream, samples in zip(streams, tracks, strict=True)
            for packet in _encode(stream, samples)
        ]
        for packet in sorted(packets, key=lambda packet: packet.pts * packet.time_base):
            at = place(float(packet.pts * packet.time_base))
            if at is not None:
                packet.pts = packet.dts = round(at / packet.time_base)
                container.mux(packet)
    return path


def _encode(stream: Any, samples: np.ndarray) -> list[Any]:
    layout, rate_hz = stream.layout.name, stream.rate
    frame = av.AudioFrame.from_ndarray(
        np.ascontiguousarray(samples.reshape(1, -1)), format="flt", layout=layout
    )
    frame.sample_rate = rate_hz
    resampler = av.AudioResampler(format=stream.format.name, layout=layout, rate=rate_hz)
    fifo = av.AudioFifo()
    for part in resampler.resample(frame):
        part.pts = None
        fifo.write(part)
    size = stream.codec_context.frame_size or 1_024
    packets, position = [], 0
    while (chunk := fifo.read(size, partial=True)) is not None:
        chunk.pts, chunk.time_base = position, Fraction(1, rate_hz)
        position += chunk.samples
        packets += stream.encode(chunk)
    return [*packets, *stream.encode(None)]
