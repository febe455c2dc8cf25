"""Results of several channels in each format: the channel is the speaker."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import msgspec
import pytest
from praatio import textgrid
from pyannote.database.util import load_rttm

from emostream.models import LABELS
from emostream.streamer.output.format_names import FormatName
from emostream.streamer.output.formats import FORMATS
from emostream.streamer.protocol import messages
from tests.support.events import emotion_event

READ_RTTM: Any = load_rttm
READ_TEXTGRID: Any = textgrid.openTextgrid
SPANS = [(1, 0, 4_000), (2, 1_000, 2_000), (1, 5_000, 6_000)]


def final(number: int, channel: int | None, start_ms: int, end_ms: int) -> messages.Emotion:
    share = dict.fromkeys(LABELS, 0.1) | {"angry": 0.7}
    return msgspec.structs.replace(
        emotion_event(number, "angry"),
        channel=channel,
        start_ms=start_ms,
        end_ms=end_ms,
        text=f"word {number}",
        probabilities=share,
        audio_only=share,
    )


CALL = [final(number, *span) for number, span in enumerate(SPANS, 1)]


async def written(form: FormatName, events: list[messages.Emotion]) -> str:
    out = io.BytesIO()
    document = FORMATS[form].begin(out, LABELS, False)
    sink = document.add("call")
    totals = messages.Totals(audio_ms=6_000, utterances=len(events), dropped_ms=0)
    for event in events:
        await sink.send(event)
    await sink.send(messages.Closed(reason="end_of_stream", totals=totals))
    document.close()
    return out.getvalue().decode()


async def test_rttm_has_the_channel_and_its_speaker(tmp_path: Path) -> None:
    path = tmp_path / "call.rttm"
    path.write_text(await written("rttm", CALL))
    turns = READ_RTTM(path)["call"]
    found = {(label, round(turn.start, 3), round(turn.end, 3)) for turn, _, label in turns.itertracks(True)}
    assert found == {(f"channel_{channel}", start / 1_000, end / 1_000) for channel, start, end in SPANS}
    fields = [line.split() for line in path.read_text().splitlines()]
    assert [(line[2], line[6]) for line in fields] == [("1", "angry"), ("2", "angry"), ("1", "angry")]


async def test_textgrid_has_tiers_of_each_channel(tmp_path: Path) -> None:
    """Utterances of two people may overlap, those of one tier may not."""
    path = tmp_path / "call.TextGrid"
    path.write_text(await written("textgrid", CALL))
    grid = READ_TEXTGRID(str(path), includeEmptyIntervals=False)
    kinds = ("emotion", "confidence", "utterance", "word")
    assert list(grid.tierNames) == [f"channel {channel} {kind}" for channel in (1, 2) for kind in kinds]
    for channel in (1, 2):
        entries = [
            (round(e.start, 3), round(e.end, 3)) for e in grid.getTier(f"channel {channel} utterance").entries
        ]
        assert entries == [(start / 1_000, end / 1_000) for number, start, end in SPANS if number == channel]


@pytest.mark.parametrize(
    ("form", "speaker"),
    [
        ("srt", "Channel 2: [angry"),
        ("vtt", "<v Channel 2><c.angry>"),
        ("audacity", "\tChannel 2: [angry"),
        ("text", "channel 2  angry"),
        ("jsonl", '"channel":2'),
    ],
)
async def test_the_speaker_is_named(form: FormatName, speaker: str) -> None:
    text = await written(form, CALL)
    assert text.count(speaker) == 1
    without = await written(form, [final(1, None, 0, 1_000)])
    assert "hannel" not in without or form == "jsonl"


async def test_csv_has_a_column() -> None:
    rows = list(csv.DictReader(io.StringIO(await written("csv", CALL))))
    assert [row["channel"] for row in rows] == ["1", "2", "1"]
    (row,) = csv.DictReader(io.StringIO(await written("csv", [final(1, None, 0, 1_000)])))
    assert row["channel"] == ""
