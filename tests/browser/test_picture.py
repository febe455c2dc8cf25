"""The picture of a session that the page exports."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest
from matplotlib.image import imread
from playwright.async_api import Page

from emostream.models import LABELS
from emostream.streamer.protocol import messages
from tests.support.browser import BROWSER_TEST
from tests.support.recorded_session import FILL_LOG, final, session_of, steps_of

pytestmark = BROWSER_TEST

Pixels = npt.NDArray[np.uint8]

HUES = {"angry": (200, 10, 20), "happy": (250, 180, 0), "sad": (0, 60, 230), "neutral": (0, 150, 60)}
# 20 s on 1500 pixels from 50 on. From top to bottom: title, shares, labels and waveform, words, a strip each.
LEFT, WIDTH, TOTAL_MS = 50, 1_500, 20_000
SHARES = slice(135, 155)
SESSION = slice(0, 540)
WAVEFORM = slice(330, 390)  # its middle: no edge of a block is there
STRIPS = {label: slice(560 + 75 * i, 560 + 75 * (i + 1)) for i, label in enumerate(LABELS)}
STRIP_NAMES = 116


async def picture(page: Page, finals: Sequence[messages.Emotion], *, audio: bool) -> Pixels:
    """Its pixels. The audio, if there is any, is loud all the time, and everything that is no hue is grey."""
    text = await page.evaluate(
        f"""async ([steps, hues, loud]) => {{
            const load = (name) => import(`/${{name}}`);
            {FILL_LOG}
            const {{ toPng }} = await load("export.js");
            const {{ AudioRingBuffer }} = await load("audio_buffer.js");
            const audio = loud ? new AudioRingBuffer(16_000) : null;
            for (let i = 0; i < 20; i++) audio?.write(1_000 * i, new Float32Array(16_000).fill(0.8));
            const grey = {{
                paper: "#fff", card: "#eee", ink: "#111", soft: "#888", line: "#ccc",
                focus: "#222", warn: "#333",
            }};
            const hue = (label) => `rgb(${{hues[label].join(" ")}})`;
            const theme = {{ ...grey, hue, sans: "sans-serif", serif: "serif", size: 12 }};
            const blob = await toPng(log, audio, "A talk & more", theme, 0);
            let text = blob.type;
            for (const byte of new Uint8Array(await blob.arrayBuffer())) text += String.fromCharCode(byte);
            return btoa(text);
        }}""",
        [[list(step) for step in steps_of(session_of(finals))], HUES, audio],
    )
    kind, png = (found := base64.b64decode(text))[:9], found[9:]
    assert kind == b"image/png"
    pixels = np.asarray(imread(io.BytesIO(png), format="png"))
    assert pixels.shape == (900, 1_600, 4)
    assert (pixels[..., 3] == 1).all()
    rgb: Pixels = np.round(pixels[..., :3] * 255).astype(np.uint8)
    return rgb


def columns_of(pixels: Pixels, label: str, part: slice) -> list[int]:
    """The columns that contain the label's pure hue."""
    return [int(x) for x in np.flatnonzero((pixels[part] == HUES[label]).all(axis=-1).any(axis=0))]


def labels_in(pixels: Pixels, part: slice) -> set[str]:
    return {label for label in LABELS if columns_of(pixels, label, part)}


def assert_spans(columns: Sequence[int], spans: Sequence[tuple[float, float]], slack: float) -> None:
    """They begin and end with the spans, and none is outside."""
    inside = [[x for x in columns if start - slack <= x <= end + slack] for start, end in spans]
    assert sum(map(len, inside)) == len(columns)
    assert [min(part) for part in inside] == pytest.approx([start for start, _ in spans], abs=slack)
    assert [max(part) for part in inside] == pytest.approx([end for _, end in spans], abs=slack)


TALK = [
    final(1, "angry", 2_000, 5_000, "leave me alone"),
    final(2, "sad", 6_000, 7_500),
    final(3, "neutral", 9_000, 12_000, "the next train leaves at nine"),
    final(4, "angry", 15_000, 17_500, "no"),
]


@pytest.mark.parametrize("audio", [False, True])
async def test_the_picture_has_the_colours_of_its_finals(blank: Page, audio: bool) -> None:
    pixels = await picture(blank, TALK, audio=audio)
    assert labels_in(pixels, SESSION) == {"angry", "sad", "neutral"}
    for label, strip in STRIPS.items():  # each emotion has one, whether it occurs or not
        assert labels_in(pixels, strip) == {label}


async def test_the_bar_has_the_shares_of_the_speech(blank: Page) -> None:
    """10 s of speech; the order is that of `ready`."""
    pixels = await picture(blank, TALK, audio=False)
    edge = LEFT
    for label, share in {"angry": 0.55, "sad": 0.15, "neutral": 0.3}.items():
        assert_spans(columns_of(pixels, label, SHARES), [(edge, edge + share * WIDTH)], slack=4)
        edge += round(share * WIDTH)


async def test_the_waveform_has_the_colour_of_the_utterance_where_the_label_is_reliable(blank: Page) -> None:
    pixels = await picture(blank, TALK, audio=True)
    reliable = [final for final in TALK if final.reliable]
    assert len(reliable) == 3
    for label in LABELS:
        spans = [(final.start_ms, final.end_ms) for final in reliable if final.label == label]
        at = [(LEFT + start / TOTAL_MS * WIDTH, LEFT + end / TOTAL_MS * WIDTH) for start, end in spans]
        columns = columns_of(pixels, label, WAVEFORM)
        if not spans:
            assert len(columns) == 0
            continue
        assert_spans(columns, at, slack=4)
        assert len(columns) >= 0.6 * sum(end - start for start, end in at)  # bars, and gaps between them


async def test_a_strip_is_solid_where_its_emotion_is_the_label(blank: Page) -> None:
    """Elsewhere, and where the label is not to be believed, its probability is paler."""
    pixels = await picture(blank, TALK, audio=True)
    strip_width = WIDTH - STRIP_NAMES + 0.8
    for label in LABELS:
        spans = [(one.start_ms, one.end_ms) for one in TALK if one.label == label and one.reliable]
        solid = [x for x in columns_of(pixels, label, STRIPS[label]) if x >= LEFT + STRIP_NAMES]
        at = [
            (
                LEFT + WIDTH - strip_width * (1 - start / TOTAL_MS),
                LEFT + WIDTH - strip_width * (1 - end / TOTAL_MS),
            )
            for start, end in spans
        ]
        assert_spans(solid, at, slack=3)


async def test_the_picture_without_finals_has_no_colour(blank: Page) -> None:
    for audio in (False, True):
        pixels = await picture(blank, [], audio=audio)
        assert labels_in(pixels, SESSION) == set()
        assert np.ptp(pixels[SESSION].astype(int), axis=-1).max() == 0  # all of it is grey
