"""G.711 against FFmpeg's decoder."""

from __future__ import annotations

import av
import numpy as np
import pytest

from emostream.streamer.audio.frontend import PcmDecoder
from emostream.streamer.protocol.messages import Encoding


@pytest.mark.parametrize(("encoding", "codec"), [("mulaw", "pcm_mulaw"), ("alaw", "pcm_alaw")])
def test_every_code_has_the_value_of_another_decoder(encoding: Encoding, codec: str) -> None:
    codes = bytes(range(256))
    context = av.CodecContext.create(codec, "r")
    assert isinstance(context, av.AudioCodecContext)
    context.sample_rate, context.layout = 8_000, "mono"
    (frame,) = context.decode(av.Packet(codes))
    reference = frame.to_ndarray().ravel() / 32_768
    assert PcmDecoder(encoding, 1).push(codes).ravel().tolist() == reference.tolist()


def test_channels_are_interleaved_bytes_cut_anywhere() -> None:
    decoder, whole = PcmDecoder("mulaw", 2), PcmDecoder("mulaw", 2)
    codes = np.random.default_rng(0).bytes(1_000)
    pieces = [codes[:1], codes[1:4], codes[4:777], codes[777:]]
    parts = np.concatenate([decoder.push(piece) for piece in pieces])
    assert parts.shape == (500, 2)
    assert np.array_equal(parts, whole.push(codes))
