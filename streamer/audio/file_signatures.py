"""How the first bytes of files differ from samples: for streams that should be PCM and are a file's bytes.

A signature has four bytes at least at the very beginning, or repeats at the distance that it names, so that
samples are not taken for one: random ones once in four billion streams for each.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

HEAD_BYTES: Final = 8_192
"""After so many bytes nothing more is learned: three of the longest MPEG frames."""

_MAGIC: Final[tuple[tuple[int, bytes, str], ...]] = (
    (0, b"\x1aE\xdf\xa3", "WebM or Matroska"),
    (0, b"fLaC", "FLAC"),
    (0, b"OggS", "Ogg"),
    (8, b"WAVE", "WAV"),
    (8, b"AVI ", "AVI"),
    (4, b"ftyp", "MP4"),
    (4, b"styp", "MP4"),
    (4, b"moof", "MP4"),
    (8, b"AIFF", "AIFF"),
    (8, b"AIFC", "AIFF"),
    (0, b"caff", "CAF"),
    (0, b"#!AMR", "AMR"),
    (0, b".snd", "AU"),
    (0, b"OpusHead", "Opus"),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "WMA"),
    (0, b"wvpk", "WavPack"),
)
"""Offset, bytes, name."""
_CHUNKED: Final = {"WAV": (b"RIFF", b"RF64", b"RIFX", b"BW64"), "AVI": (b"RIFF",), "AIFF": (b"FORM",)}
"""Of these the first four bytes are fixed as well."""

_FRAMES: Final = 3
"""So many MPEG frames in a row, each where the one before says."""
_TS_PACKET: Final = 188
_TEXT_BYTES: Final = 256

_LAYER_3_KBIT: Final = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_LAYER_3_KBIT_LOW: Final = (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_RATES_HZ: Final = (44_100, 48_000, 32_000)


def file_kind(head: bytes) -> str | None:
    """The kind of file that begins with these bytes, such as `FLAC`; None where they may be samples.

    head: the first bytes of a stream, HEAD_BYTES or what has come of them. More of them never take back what
    fewer said.
    """
    for offset, magic, name in _MAGIC:
        if head[offset : offset + len(magic)] == magic and head.startswith(_CHUNKED.get(name, b"")):
            return name
    for is_kind, name in _STRUCTURED:
        if is_kind(head):
            return name
    return None


def _is_id3(head: bytes) -> bool:
    """The tag in front of an MP3: a version, flags and a length whose bytes are below 128."""
    return (
        len(head) >= 10
        and head.startswith(b"ID3")
        and 2 <= head[3] <= 4
        and head[4] < 0xFF
        and not head[5] & 0x0F
        and max(head[6:10]) < 0x80
    )


def _repeats(head: bytes, frame_bytes: Callable[[bytes], int], same: Callable[[bytes], bytes]) -> bool:
    """Whether frames follow one another. frame_bytes: of a header, 0 where it is none. same: what all headers
    of a stream have in common.
    """
    at, first = 0, None
    for _ in range(_FRAMES):
        header = head[at : at + 6]
        length = frame_bytes(header) if len(header) == 6 else 0
        if not length or (first is not None and same(header) != first):
            return False
        first = same(header)
        at += length
    return True


def _mp3_frame_bytes(header: bytes) -> int:
    """ISO 11172-3, 2.4.1.3 and 2.4.3.1, layer III, and the lower rates of ISO 13818-3 and MPEG 2.5."""
    version, layer = header[1] >> 3 & 3, header[1] >> 1 & 3  # 3: MPEG 1, 2: MPEG 2, 0: MPEG 2.5
    bit_rate, rate = header[2] >> 4, header[2] >> 2 & 3
    if header[0] != 0xFF or header[1] < 0xE0 or version == 1 or layer != 1:
        return 0
    if not 1 <= bit_rate <= 14 or rate == 3 or header[3] & 3 == 2:
        return 0
    kbit = (_LAYER_3_KBIT if version == 3 else _LAYER_3_KBIT_LOW)[bit_rate - 1]
    hz = _RATES_HZ[rate] >> (0 if version == 3 else 1 if version == 2 else 2)
    return (144_000 if version == 3 else 72_000) * kbit // hz + (header[2] >> 1 & 1)


def _is_mp3(head: bytes) -> bool:
    return _repeats(head, _mp3_frame_bytes, lambda header: bytes([header[1], header[2] & 0x0C]))


def _adts_frame_bytes(header: bytes) -> int:
    """ISO 14496-3, 1.A.3.2: AAC in a stream of its own."""
    if header[0] != 0xFF or header[1] & 0xF6 != 0xF0 or header[2] >> 2 & 15 > 12:
        return 0
    length = (header[3] & 3) << 11 | header[4] << 3 | header[5] >> 5
    return length if length > 7 else 0


def _is_adts(head: bytes) -> bool:
    return _repeats(head, _adts_frame_bytes, lambda header: bytes([header[1], header[2], header[3] & 0xC0]))


def _is_transport_stream(head: bytes) -> bool:
    packets = head[: 5 * _TS_PACKET : _TS_PACKET]
    return len(packets) == 5 and set(packets) == {0x47}


def _is_text(head: bytes) -> bool:
    """Letters, figures and the like alone: base64, JSON. The low bytes of samples have any value."""
    start = head[:_TEXT_BYTES]
    return (
        len(start) == _TEXT_BYTES and start.isascii() and start.decode().isprintable() and len(set(start)) > 8
    )


_STRUCTURED: Final[tuple[tuple[Callable[[bytes], bool], str], ...]] = (
    (_is_id3, "MP3"),
    (_is_mp3, "MP3"),
    (_is_adts, "AAC"),
    (_is_transport_stream, "MPEG transport stream"),
    (_is_text, "text"),
)
