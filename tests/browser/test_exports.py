"""A session as files: what the page writes is what the program writes of the same events."""

from __future__ import annotations

import base64
import csv
import io
from collections.abc import AsyncIterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pandas
import pytest
import pytest_asyncio
import webvtt
from matplotlib.image import imread
from playwright.async_api import Page

from emostream.models import LABELS
from emostream.streamer.output.formats import FORMATS, FormatName
from emostream.streamer.protocol import messages
from tests.support.browser import chromium, needs_chromium
from tests.support.page_server import PageServer

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module"), needs_chromium]

Pixels = npt.NDArray[np.uint8]

NAME = 'the "big, bad" talk;\nüber.wav'
TEXTS = [
    "",
    'he said "no", twice',
    "a < b & c, <i>so</i> &amp; --> ",
    "naïve 你好 🙂",
    "two\nlines\r\nor\rmore",
    " \t around ",
    '"',
    ",,,",
    "=1+1",
    "a\u2028b\u00a0c",
]
TIMING = messages.Timing(
    endpoint_ms=500, lead_ms=300, queue_ms=1.5, asr_ms=120, align_ms=2, emotion_ms=38, total_ms=661
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def blank() -> AsyncIterator[Page]:
    """A document of the server's origin in which no script of the page runs."""
    async with PageServer() as server, chromium("--force-color-profile=srgb") as browser:
        page = await browser.new_page()
        await page.goto(server.url + "style.css")
        yield page


def judgement(utterance: int, label: str, start_ms: int, end_ms: int, text: str = "") -> messages.Emotion:
    """Awkward numbers: small ones, whole ones, and many digits."""
    rest = {"angry": 1e-06, "happy": 0.25, "sad": 0.123457, "neutral": 0.0}
    share = rest | {label: 1 - sum(p for name, p in rest.items() if name != label)}
    return messages.Emotion(
        utterance=utterance,
        final=True,
        start_ms=start_ms,
        end_ms=end_ms,
        reason="max_length" if text else "silence",
        label=label,
        confidence=share[label],
        uncertain=("low_snr",) if text else ("no_text", "too_short"),
        probabilities=share,
        audio_only=rest,
        text_only=share if text else None,
        text=text,
        language="en" if text else None,
        words=tuple(
            messages.Word(
                text=word, start_ms=start_ms + 100 * i, end_ms=start_ms + 100 * i + 90, confidence=None
            )
            for i, word in enumerate(text.split())
        ),
        timing=TIMING,
    )


# The first second, a whole second, and behind an hour.
STARTS_MS = [0, 5_000, *range(3_590_123, 3_650_000, 7_000)]
FINALS = [
    judgement(number, LABELS[number % len(LABELS)], start_ms, start_ms + 1_234, text)
    for number, (start_ms, text) in enumerate(zip(STARTS_MS, TEXTS, strict=False), 1)
]
assert len(FINALS) == len(TEXTS)


def a_session(finals: Sequence[messages.Emotion]) -> list[messages.ServerEvent]:
    """With what is said before a final, and around them."""
    said: list[messages.ServerEvent] = []
    for one in finals:
        so_far = msgspec.structs.replace(one, final=False, reason="speaking", label="sad", text="", words=())
        said += [messages.SpeechStarted(utterance=one.utterance, start_ms=one.start_ms), so_far, one]
    error = messages.Error(code="analysis_failed", message="no", fatal=False, utterance=99)
    lost = messages.Dropped(ms=20, reason="too slow")
    totals = messages.Totals(audio_ms=20_000, utterances=len(finals), dropped_ms=20)
    said += [lost, error, messages.Closed(reason="end_of_stream", totals=totals)]
    return [messages.numbered(event, seq) for seq, event in enumerate(said, 1)]


def ready(session: str) -> messages.Ready:
    return messages.Ready(
        session=session,
        resume_token=None,
        labels=LABELS,
        models=messages.Models(vad="webrtc 2", asr=None, emotion="bundled", device="cpu"),
        limits=messages.Limits(message_bytes=1 << 20, max_unacked_ms=2_000),
    )


Told = tuple[messages.Ready | messages.ServerEvent, int | None]


def told(session: Sequence[messages.ServerEvent], name: str = "a", start_ms: int | None = None) -> list[Told]:
    return [(ready(name), start_ms), *((event, None) for event in session)]


JOURNAL = """
    const { Journal } = await import("/journal.js");
    const { parseMessage, readEvent } = await import("/events.js");
    const exports = await import("/exports.js");
    const journal = new Journal();
    for (const [text, startMs] of said) {
        const wire = parseMessage(text);
        journal.take(readEvent(wire), wire, 0, startMs);
    }
"""


async def written(page: Page, function: str, said: Sequence[Told], *rest: str) -> str:
    """What the page writes of a journal that was told this."""
    text: str = await page.evaluate(
        f"async ([said, name, rest]) => {{ {JOURNAL} return exports[name](journal, ...rest); }}",
        [[[messages.encode(message), start_ms] for message, start_ms in said], function, list(rest)],
    )
    return text


async def replayed(form: FormatName, session: Sequence[messages.ServerEvent], name: str = NAME) -> str:
    """What the program writes."""
    out = io.BytesIO()
    with closing(FORMATS[form].begin(out, LABELS, False)) as document:
        sink = document.add(name)
        for event in session:
            await sink.send(event)
    return out.getvalue().decode()


# CSV ----------------------------------------------------------------------------------------------

WORDS = ("file", "reason", "label", "uncertain", "language", "text")


def rows(text: str) -> list[dict[str, str | float | None]]:
    """Numbers as numbers, for they may be written in more than one way; None where there is none."""
    read = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    return [
        {name: cell if name in WORDS else float(cell) if cell else None for name, cell in row.items()}
        for row in read
    ]


async def test_csv_is_that_of_the_program(blank: Page) -> None:
    page = await written(blank, "toCsv", told(a_session(FINALS)), NAME)
    program = await replayed("csv", a_session(FINALS))
    assert page.splitlines()[0] == program.splitlines()[0]
    assert rows(page) == rows(program)
    assert [row["text"] for row in rows(page)] == TEXTS
    assert {row["file"] for row in rows(page)} == {NAME}
    assert [row["text_angry"] is None for row in rows(page)] == [text == "" for text in TEXTS]
    by_pandas = [pandas.read_csv(io.StringIO(text)) for text in (page, program)]
    pandas.testing.assert_frame_equal(*by_pandas, check_dtype=False)  # 0 is 0.0


@pytest.mark.parametrize("text", ["one\rtwo", "\r", "one\ntwo", "\n", '"', ",", " "])
async def test_a_cell_of_csv_holds_any_text(blank: Page, text: str) -> None:
    said = told(a_session([judgement(1, "sad", 0, 1_000, text)]))
    page = await written(blank, "toCsv", said, text)
    assert [(row["file"], row["text"]) for row in rows(page)] == [(text, text)]


async def test_csv_of_nothing_is_its_head(blank: Page) -> None:
    assert await written(blank, "toCsv", told([]), "x") == await replayed("csv", [])


async def test_csv_has_the_times_of_the_page_s_clock(blank: Page) -> None:
    """Two sessions of the server, one file."""
    one = a_session([judgement(1, "sad", 1_000, 2_500, "one")])
    said = told(one, "a") + told(one, "b", 60_000)
    found = rows(await written(blank, "toCsv", said, "x"))
    assert [(row["utterance"], row["start_s"], row["end_s"]) for row in found] == [
        (1, 1.0, 2.5),
        (100, 61.0, 62.5),  # numbered on: the session before had 99
    ]


# WebVTT -------------------------------------------------------------------------------------------


def cues(text: str, path: Path) -> list[tuple[Any, ...]]:
    path.write_bytes(text.encode())
    read: Any = webvtt.read(str(path))
    return [(cue.identifier, cue.start, cue.end, cue.raw_text) for cue in read]


async def test_webvtt_is_that_of_the_program(blank: Page, tmp_path: Path) -> None:
    page = await written(blank, "toWebVtt", told(a_session(FINALS)))
    program = await replayed("vtt", a_session(FINALS))
    assert page == program
    read = cues(page, tmp_path / "page.vtt")
    assert read == cues(program, tmp_path / "program.vtt")
    assert len(read) == len(FINALS)
    assert read[2][1:3] == ("00:59:50.123", "00:59:51.357")
    assert read[4][1] == "01:00:04.123"
    assert read[4][3] == "<c.happy>[happy 88%]</c> two lines or more"
    assert "-->" not in read[2][3]  # the standard: a cue's text never holds the arrow


async def test_webvtt_of_two_sessions_is_one_film(blank: Page, tmp_path: Path) -> None:
    one = a_session([judgement(1, "sad", 1_000, 2_500, "one")])
    page = await written(blank, "toWebVtt", told(one, "a") + told(one, "b", 3_600_000))
    assert [(name, start, end) for name, start, end, _ in cues(page, tmp_path / "x.vtt")] == [
        ("1", "00:00:01.000", "00:00:02.500"),
        ("2", "01:00:01.000", "01:00:02.500"),
    ]


async def test_webvtt_of_nothing_is_its_head(blank: Page, tmp_path: Path) -> None:
    page = await written(blank, "toWebVtt", told([]))
    assert page == await replayed("vtt", [])
    assert cues(page, tmp_path / "x.vtt") == []


# JSON lines ---------------------------------------------------------------------------------------


def decoded(text: str) -> list[messages.ServerMessage]:
    assert text == "" or text.endswith("\n")
    return [messages.decode_server_message(line) for line in text.split("\n")[:-1]]


async def test_json_lines_are_the_session_s_events(blank: Page) -> None:
    session = a_session(FINALS)
    page = await written(blank, "toJsonLines", told(session))
    assert decoded(page) == session == decoded(await replayed("jsonl", session))
    assert await written(blank, "toJsonLines", told([])) == ""


async def test_json_lines_of_two_sessions_are_those_of_both(blank: Page) -> None:
    """Each on its own clock, as `emostream summary` reads them: a new one begins where `seq` goes back."""
    session = a_session(FINALS)
    found = decoded(await written(blank, "toJsonLines", told(session, "a") + told(session, "b", 3_600_000)))
    assert found == [*session, *session]


# The picture --------------------------------------------------------------------------------------

HUES = {"angry": (200, 10, 20), "happy": (250, 180, 0), "sad": (0, 60, 230), "neutral": (0, 150, 60)}
# 20 s on 1500 pixels from 50 on. From top to bottom: the title, shares, names and sound, words, a strip each.
LEFT, WIDTH, TOTAL_MS = 50, 1_500, 20_000
SHARES = slice(135, 155)
SESSION = slice(0, 540)
SOUND = slice(330, 390)  # its middle: no edge of a block runs along it
STRIPS = {label: slice(560 + 75 * i, 560 + 75 * (i + 1)) for i, label in enumerate(LABELS)}
STRIP_NAMES = 116


async def picture(page: Page, finals: Sequence[messages.Emotion], *, sound: bool) -> Pixels:
    """Its pixels. The sound, if there is one, is loud all the way, and all that is no hue is grey."""
    said = told(a_session(finals))
    text = await page.evaluate(
        f"""async ([said, hues, loud]) => {{
            {JOURNAL}
            const {{ HeldSound }} = await import("/sound.js");
            const sound = loud ? new HeldSound(16_000) : null;
            for (let i = 0; i < 20; i++) sound?.add(1_000 * i, new Float32Array(16_000).fill(0.8));
            const grey = {{
                paper: "#fff", card: "#eee", ink: "#111", soft: "#888", line: "#ccc",
                focus: "#222", warn: "#333",
            }};
            const hue = (label) => `rgb(${{hues[label].join(" ")}})`;
            const theme = {{ ...grey, hue, sans: "sans-serif", serif: "serif", size: 12 }};
            const blob = await exports.toPng(journal, sound, "A talk & more", theme, 0);
            let text = blob.type;
            for (const byte of new Uint8Array(await blob.arrayBuffer())) text += String.fromCharCode(byte);
            return btoa(text);
        }}""",
        [[[messages.encode(message), start_ms] for message, start_ms in said], HUES, sound],
    )
    kind, png = (found := base64.b64decode(text))[:9], found[9:]
    assert kind == b"image/png"
    pixels = np.asarray(imread(io.BytesIO(png), format="png"))
    assert pixels.shape == (900, 1_600, 4)
    assert (pixels[..., 3] == 1).all()
    whole: Pixels = np.round(pixels[..., :3] * 255).astype(np.uint8)
    return whole


def where(pixels: Pixels, label: str, part: slice) -> list[int]:
    """The columns in which the label's hue stands, pure."""
    return [int(x) for x in np.flatnonzero((pixels[part] == HUES[label]).all(axis=-1).any(axis=0))]


def seen(pixels: Pixels, part: slice) -> set[str]:
    return {label for label in LABELS if where(pixels, label, part)}


def near(columns: Sequence[int], spans: Sequence[tuple[float, float]], slack: float) -> None:
    """They begin and end with the spans, and none lies outside."""
    inside = [[x for x in columns if start - slack <= x <= end + slack] for start, end in spans]
    assert sum(map(len, inside)) == len(columns)
    assert [min(part) for part in inside] == pytest.approx([start for start, _ in spans], abs=slack)
    assert [max(part) for part in inside] == pytest.approx([end for _, end in spans], abs=slack)


TALK = [
    judgement(1, "angry", 2_000, 5_000, "leave me alone"),
    judgement(2, "sad", 6_000, 7_500),
    judgement(3, "neutral", 9_000, 12_000, "the next train leaves at nine"),
    judgement(4, "angry", 15_000, 17_500, "no"),
]
SAID = {label: [(one.start_ms, one.end_ms) for one in TALK if one.label == label] for label in LABELS}


@pytest.mark.parametrize("sound", [False, True])
async def test_the_picture_has_the_colours_of_what_was_said(blank: Page, sound: bool) -> None:
    pixels = await picture(blank, TALK, sound=sound)
    assert seen(pixels, SESSION) == {"angry", "sad", "neutral"}
    for label, strip in STRIPS.items():  # each emotion has its own, said or not
        assert seen(pixels, strip) == {label}


async def test_the_bar_has_the_shares_of_the_time(blank: Page) -> None:
    """10 s of speech; the order is that of `ready`."""
    pixels = await picture(blank, TALK, sound=False)
    edge = LEFT
    for label, share in {"angry": 0.55, "sad": 0.15, "neutral": 0.3}.items():
        near(where(pixels, label, SHARES), [(edge, edge + share * WIDTH)], slack=4)
        edge += round(share * WIDTH)


async def test_the_sound_has_the_colour_of_the_utterance(blank: Page) -> None:
    pixels = await picture(blank, TALK, sound=True)
    for label, spans in SAID.items():
        at = [(LEFT + start / TOTAL_MS * WIDTH, LEFT + end / TOTAL_MS * WIDTH) for start, end in spans]
        columns = where(pixels, label, SOUND)
        near(columns, at, slack=4)
        assert len(columns) >= 0.6 * sum(end - start for start, end in at)  # bars, and gaps between them


async def test_a_strip_is_full_where_its_emotion_won(blank: Page) -> None:
    """Elsewhere its probability is paler."""
    pixels = await picture(blank, TALK, sound=True)
    strip_width = WIDTH - STRIP_NAMES + 0.8
    for label, spans in SAID.items():
        full = [x for x in where(pixels, label, STRIPS[label]) if x >= LEFT + STRIP_NAMES]
        at = [
            (
                LEFT + WIDTH - strip_width * (1 - start / TOTAL_MS),
                LEFT + WIDTH - strip_width * (1 - end / TOTAL_MS),
            )
            for start, end in spans
        ]
        near(full, at, slack=3)


async def test_the_picture_of_nothing_said_has_no_colour(blank: Page) -> None:
    for sound in (False, True):
        pixels = await picture(blank, [], sound=sound)
        assert seen(pixels, SESSION) == set()
        assert np.ptp(pixels[SESSION].astype(int), axis=-1).max() == 0  # all of it is grey
