"""Results in the encodings in which shells redirect them."""

from __future__ import annotations

import codecs
import io

import pytest

from emostream.models import LABELS
from emostream.streamer.errors import SourceError
from emostream.streamer.protocol import messages
from emostream.streamer.summary.reader import read_results
from tests.support.events import emotion_event

LINES = [messages.encode(emotion_event(number, LABELS[number])) for number in (1, 2)]


@pytest.mark.parametrize(
    ("mark", "encoding"),
    [
        (b"", "utf-8"),
        (codecs.BOM_UTF8, "utf-8"),
        (codecs.BOM_UTF16_LE, "utf-16-le"),
        (codecs.BOM_UTF16_BE, "utf-16-be"),
        (b"", "utf-16-le"),
        (codecs.BOM_UTF32_LE, "utf-32-le"),
    ],
)
@pytest.mark.parametrize("end", ["\n", "\r\n", "\n\n\n"])
@pytest.mark.parametrize("begin", ["", "\n", "\r\n\r\n"])
def test_results_are_read_in_every_encoding(mark: bytes, encoding: str, end: str, begin: str) -> None:
    tells = mark or encoding == "utf-8"  # without a mark, the first character has to
    text = (begin if tells else "") + "".join(line + end for line in LINES)
    (recording,) = read_results(io.BytesIO(mark + text.encode(encoding)), "r.jsonl", "a.wav")
    assert recording.statistics.all.utterances == 2


@pytest.mark.parametrize("data", [b"\xff\xfe{\x00", codecs.BOM_UTF16_LE + b"\x00\xd8" * 9, b"\0\0\0\0", b""])
def test_what_is_no_text_is_one_line(data: bytes) -> None:
    with pytest.raises(SourceError, match=r"r\.jsonl"):
        read_results(io.BytesIO(data), "r.jsonl", "a.wav")
