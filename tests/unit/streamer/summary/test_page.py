"""The page of a summary: read by an HTML parser."""

from __future__ import annotations

import base64
import re
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import pytest

from emostream.streamer.cli.main import run
from emostream.streamer.protocol import messages
from emostream.streamer.summary.export import Summary
from emostream.streamer.summary.page import AudioPolicy, write_html
from emostream.streamer.summary.reader import find_results
from tests.support.result_lines import closed, final, session, write


class Elements(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.found if name == tag]


def said(number: int, label: str, start_ms: int, text: str = "", **fields: object) -> messages.Emotion:
    event = final(number, label, start_ms, start_ms + 1_000, 0.8)
    return msgspec.structs.replace(event, text=text, **fields)


def results(folder: Path, name: str, *events: messages.ServerEvent) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    write(folder / f"{name}.jsonl", session(*events, closed(10_000)))
    return folder


def page(
    places: list[Path], out: Path, *, embedded: int = 1_000_000, folders: tuple[Path, ...] = ()
) -> Elements:
    files, _ = find_results(places)
    recordings = [each for file in files for each in file.read(keep_finals=True)]
    write_html(Summary(recordings), AudioPolicy(out, folders, embedded))
    parser = Elements()
    parser.feed(out.read_text(encoding="utf-8"))
    return parser


def test_utterances_are_where_they_were_said(tmp_path: Path) -> None:
    place = results(
        tmp_path, "a.wav", said(1, "sad", 1_000, "hello"), said(2, "angry", 5_000, reliable=False)
    )
    found = page([place], tmp_path / "page.html")
    marks = [each for each in found.of("rect") if "data-at" in each]
    assert [each["data-at"] for each in marks] == ["1000", "5000"]
    assert [float(each["x"] or 0) for each in marks] == [100, 500]
    assert [float(each["width"] or 0) for each in marks] == [100, 100]
    assert [each.get("class") for each in marks] == [None, "doubt"]
    assert "a.wav" in found.text
    assert "hello" in found.text
    assert len(found.of("tr")) == 3


def test_channels_are_lanes_of_one_recording(tmp_path: Path) -> None:
    place = results(tmp_path, "a.wav", said(1, "sad", 0, channel=1), said(2, "happy", 2_000, channel=2))
    found = page([place], tmp_path / "page.html")
    assert len(found.of("section")) == 1
    assert len([each for each in found.of("rect") if each.get("class") == "lane"]) == 2
    assert "channel 2" in found.text
    assert "0:02 min of speech in 0:10 min" in found.text


def test_a_recording_is_in_the_page_up_to_a_size_and_linked_beyond(tmp_path: Path) -> None:
    place = results(tmp_path / "results", "a b.wav", said(1, "sad", 0))
    sound = tmp_path / "sounds" / "a b.wav"
    sound.parent.mkdir()
    sound.write_bytes(b"RIFF" + bytes(96))
    found = page([place], tmp_path / "page.html", embedded=100, folders=(sound.parent,))
    (audio,) = found.of("audio")
    kind, _, data = (audio["src"] or "").partition(",")
    assert kind == "data:audio/wav;base64"
    assert base64.b64decode(data) == sound.read_bytes()
    (linked,) = page([place], tmp_path / "page.html", embedded=99, folders=(sound.parent,)).of("audio")
    assert linked["src"] == "sounds/a%20b.wav"


def test_a_recording_that_is_not_there_or_not_played_is_said_so(tmp_path: Path) -> None:
    place = results(tmp_path, "a.wav", said(1, "sad", 0))
    assert "the recording was not found" in page([place], tmp_path / "page.html").text
    other = results(tmp_path / "other", "a.amr", said(1, "sad", 0))
    (other / "a.amr").write_bytes(b"x")
    found = page([other], tmp_path / "page.html")
    assert "browsers do not play .amr" in found.text
    assert not found.of("audio")


def test_the_page_loads_nothing_and_runs_nothing_of_what_it_shows(tmp_path: Path) -> None:
    evil = "<script>alert(1)</script>"
    place = results(tmp_path, "a&b.wav", said(1, "sad", 0, evil), said(2, "<i>odd</i>", 2_000))
    out = tmp_path / "page.html"
    found = page([place], out)
    assert len(found.of("script")) == 1
    assert evil in found.text
    assert not re.search(r"https?://", out.read_text(encoding="utf-8"))
    policy = next(each["content"] for each in found.of("meta") if "http-equiv" in each)
    assert policy is not None
    assert policy.startswith("default-src 'none'")


def test_a_recording_without_utterances_has_its_place(tmp_path: Path) -> None:
    found = page([results(tmp_path, "a.wav")], tmp_path / "page.html")
    assert len(found.of("section")) == 1
    assert "0 utterances" in found.text


def test_the_command_writes_it_and_refuses_a_file_of_results(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = results(tmp_path, "a.wav", said(1, "sad", 1_000, "hello"))
    out = tmp_path / "page.html"
    assert run(["summary", str(place), "--html", str(out)]) == 0
    assert "hello" in out.read_text(encoding="utf-8")
    assert run(["summary", str(place), "--html", str(place / "a.wav.jsonl")]) == 2
    assert "expected --html to be a new file" in capsys.readouterr().err


def test_tables_have_words_and_doubts_too(tmp_path: Path) -> None:
    table = tmp_path / "r.csv"
    table.write_text(
        "file,utterance,channel,start_s,end_s,label,confidence,reliable,text\n"
        "a.wav,1,,0.5,1.5,sad,0.8,false,hello\na.wav,2,,2,3,happy,0.9,true,\n",
        encoding="utf-8",
    )
    found = page([table], tmp_path / "page.html")
    assert [each.get("class") for each in found.of("rect") if "data-at" in each] == ["doubt", None]
    assert "hello" in found.text
