"""Real speech of speakers outside the training data, through the whole pipeline."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import soundfile

from emostream.models import load_recognizer
from emostream.models.checkpoint_files import BUNDLED
from emostream.streamer.audio.frontend import Samples, encode_pcm
from emostream.streamer.audio.sources import Item, Pcm
from emostream.streamer.client import ConnectionLost, Reconnected, connect
from emostream.streamer.clock import WallClock
from emostream.streamer.config import ServerSettings, Settings
from emostream.streamer.inference.engine import Engine
from emostream.streamer.pipeline.event_log import EventLog
from emostream.streamer.pipeline.session import Session
from emostream.streamer.pipeline.session_settings import SessionSettings
from emostream.streamer.pipeline.vad import make_vad
from emostream.streamer.protocol import messages
from emostream.streamer.server.app import Server
from emostream.streamer.server.listen import bind
from tests.support.programs import SMALL_MODEL, json_lines, run
from tests.support.shared import DATA, manifest, needs_data
from tests.support.streams import ListSink, ListSource, comparable, finals

pytestmark = [needs_data, pytest.mark.data]

UTTERANCES = 30
TOLERANCE_MS = 300


@dataclass(frozen=True)
class Spoken:
    """One clip in the session: the position of its speech, in ms, and its emotion."""

    start_ms: float
    end_ms: float
    emotion: str


@dataclass(frozen=True)
class RealSession:
    samples: Samples
    spoken: list[Spoken]


def speech_edges(clip: Samples) -> tuple[int, int]:
    """The reference: 20 ms of energy above the clip's peak - 35 dB; no voice activity detector."""
    frames = clip[: len(clip) // 320 * 320].reshape(-1, 320).astype(np.float64)
    level_db = 10 * np.log10(np.mean(np.square(frames), axis=1) + 1e-12)
    loud = np.flatnonzero(level_db > level_db.max() - 35)
    return int(loud[0]) * 320, (int(loud[-1]) + 1) * 320


@pytest.fixture(scope="module")
def session() -> RealSession:
    """30 clips of the test speakers, drawn with seed 0, with 0.3 to 1 s of silence between."""
    rows = [row for row in manifest(corpus="ravdess", split="test") if row["emotion"] != "other"]
    rng = np.random.default_rng(0)
    parts: list[Samples] = []
    spoken: list[Spoken] = []
    position = 0
    for i in rng.choice(len(rows), UTTERANCES, replace=False):
        clip, _ = soundfile.read(DATA / rows[i]["path"], dtype="float32")
        gap = np.zeros(int(rng.uniform(0.3, 1.0) * 16_000), np.float32)
        start, end = (position + len(gap) + edge for edge in speech_edges(clip))
        spoken.append(Spoken(start / 16, end / 16, rows[i]["emotion"]))
        parts += [gap, clip]
        position += len(gap) + len(clip)
    return RealSession(np.concatenate(parts), spoken)


def test_utterances_are_found_one_to_one(
    session: RealSession, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "session.wav"
    soundfile.write(path, session.samples, 16_000)
    done = run("replay", str(path), *SMALL_MODEL)
    assert done.returncode == 0, done.stderr
    found = [line for line in json_lines(done.stdout) if line["type"] == "emotion"]
    recalls: dict[str, list[bool]] = {}
    matched = 0
    for one in session.spoken:
        overlapping = [f for f in found if f["start_ms"] < one.end_ms and f["end_ms"] > one.start_ms]
        if len(overlapping) != 1:
            continue
        (hit,) = overlapping
        matched += (
            abs(hit["start_ms"] - one.start_ms) <= TOLERANCE_MS
            and abs(hit["end_ms"] - one.end_ms) <= TOLERANCE_MS
        )
        recalls.setdefault(one.emotion, []).append(hit["label"] == one.emotion)
    ua = float(np.mean([np.mean(hits) for hits in recalls.values()]))
    with capsys.disabled():
        print(
            f"\n{matched} of {UTTERANCES} utterances one to one within {TOLERANCE_MS} ms, "
            f"{len(found)} found; "
            f"UA {ua:.2f} over {len(recalls)} classes, audio only"
        )
    assert matched >= 28


async def events_in_process(samples: Samples, size: int) -> list[messages.ServerEvent]:
    engine = Engine(None, load_recognizer(BUNDLED, device="cpu"), WallClock())
    items: list[Item] = [Pcm(samples[i : i + size, None]) for i in range(0, len(samples), size)]
    sink = ListSink()
    settings = Settings()
    async with engine.running():
        await Session(
            ListSource(items),
            partial(make_vad, settings.vad),
            engine,
            EventLog("test"),
            [sink],
            SessionSettings(segmenter=settings.segmenter),
            WallClock(),
        ).run()
    return sink.events


async def events_over_socket(samples: Samples, size: int) -> list[messages.ServerEvent]:
    settings = Settings(server=ServerSettings(port=0))
    engine = Engine(None, load_recognizer(BUNDLED, device="cpu"), WallClock())

    async def blocks() -> AsyncIterator[bytes]:
        for i in range(0, len(samples), size):
            yield encode_pcm(samples[i : i + size, None], "pcm_f32le")

    start = messages.Start(encoding="pcm_f32le", sample_rate=16_000, channels=1)
    bound = bind(settings.server)
    async with engine.running(), Server(bound, engine, settings, WallClock()) as server:
        url = server.url.replace("http", "ws") + "/v1/stream"
        async with connect(url, start) as client:
            events = [event async for event in client.recognize(blocks())]
            return [event for event in events if not isinstance(event, ConnectionLost | Reconnected)]


def test_the_same_events_for_any_block_size_and_over_the_socket(session: RealSession) -> None:
    """Bit for bit: all at once, in 20 ms, sample by sample for the first 12 s, and streamed to a server."""
    reference_events = asyncio.run(events_in_process(session.samples, len(session.samples)))
    assert len(finals(reference_events)) >= 28
    reference = comparable(reference_events)
    assert comparable(asyncio.run(events_in_process(session.samples, 320))) == reference
    assert comparable(asyncio.run(events_over_socket(session.samples, 320))) == reference
    beginning = session.samples[: 12 * 16_000]
    reference_events = asyncio.run(events_in_process(beginning, len(beginning)))
    assert len(finals(reference_events)) >= 2
    assert comparable(asyncio.run(events_in_process(beginning, 1))) == comparable(reference_events)
