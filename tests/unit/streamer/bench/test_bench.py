"""The benchmark: reproducible loads, statistics against numpy, a real server."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from emostream.streamer.bench.latency import LatencyRow, Percentiles, Segmentation, rows, segmentation
from emostream.streamer.bench.load_generator import Arrival, StreamRun, run_streams
from emostream.streamer.bench.throughput import BenchmarkedModels, ReplayBenchmark
from emostream.streamer.bench.workload import Workload, make_workload, read_clips, trim_silence
from emostream.streamer.clock import WallClock
from emostream.streamer.config import Settings
from emostream.streamer.errors import SourceError
from emostream.streamer.protocol import messages
from tests.support.corpus_trees import write_sound
from tests.support.fakes import FakeRecognizer, FakeTranscriber, silence, voice
from tests.support.serving import SPEECH, get, serving, socket_url, stream

CLIPS = [voice(ms, seed=ms) for ms in (500, 700, 900, 1_100)]


class TestLoad:
    def test_silence_at_the_ends_is_trimmed(self) -> None:
        faint = voice(400, level=0.1 * 10 ** (-50 / 20))
        clip = np.concatenate([faint, voice(1_000), silence(200), voice(300, seed=1), faint])
        np.testing.assert_array_equal(trim_silence(clip), clip[400 * 16 : 1_900 * 16])

    @pytest.mark.parametrize(
        "samples", [silence(500), silence(0), silence(10)], ids=["quiet", "none", "short"]
    )
    def test_silence_is_trimmed_completely(self, samples: np.ndarray) -> None:
        assert len(trim_silence(samples)) == 0

    def test_every_clip_is_at_its_position_and_the_rest_is_silent(self) -> None:
        load = make_workload(CLIPS, 20.0)
        rest = load.samples.copy()
        for start, end in load.spans:
            assert any(np.array_equal(load.samples[start:end], clip) for clip in CLIPS)
            rest[start:end] = 0
        assert not rest.any()
        edges = [0, *(edge for span in load.spans for edge in span), len(load.samples)]
        gaps = [(b - a) / 16_000 for a, b in zip(edges[::2], edges[1::2], strict=True)]
        assert all(0.8 <= gap <= 2.0 for gap in gaps)
        assert len(set(gaps)) == len(gaps)
        assert 15.0 < len(load.samples) / 16_000 < 22.0

    def test_the_load_is_determined_by_seed_and_stream(self) -> None:
        loads = [
            make_workload(CLIPS, 20.0, seed=seed, stream=s).samples
            for seed, s in ((0, 0), (0, 0), (0, 1), (1, 0))
        ]
        np.testing.assert_array_equal(loads[0], loads[1])
        assert not np.array_equal(loads[0], loads[2])
        assert not np.array_equal(loads[0], loads[3])

    def test_at_least_one_clip(self) -> None:
        assert len(make_workload(CLIPS, 0.1).spans) == 1

    def test_recordings_are_read_from_folders(self, tmp_path: Path) -> None:
        for name in ("b.wav", "deeper/a.wav"):
            write_sound(tmp_path / name, "happy", 1)
        (tmp_path / "notes.txt").write_text("no sound")
        assert len(read_clips([tmp_path])) == 2

    def test_a_load_without_clips_is_rejected(self, tmp_path: Path) -> None:
        with pytest.raises(SourceError, match=r"expected recordings in .*, found none"):
            read_clips([tmp_path])
        with pytest.raises(SourceError, match="expected recordings with speech"):
            make_workload([silence(0)], 10.0)


def final(start_ms: int, end_ms: int, reason: str = "silence", **timing: float) -> messages.Emotion:
    times = {"endpoint_ms": 500.0, "lead_ms": 300.0, "queue_ms": 1.0, "asr_ms": 0.0, "align_ms": 0.0}
    return messages.Emotion(
        utterance=1,
        final=True,
        start_ms=start_ms,
        end_ms=end_ms,
        reason=reason,  # type: ignore[arg-type]
        label="sad",
        confidence=1.0,
        uncertain=(),
        probabilities={},
        audio_only={},
        text_only=None,
        text="",
        language=None,
        words=(),
        timing=messages.Timing(**{**times, "emotion_ms": 10.0, "total_ms": 510.0, **timing}),
    )


class TestFigures:
    def test_percentiles_equal_those_of_numpy(self) -> None:
        seconds = np.random.default_rng(0).exponential(0.1, 500).tolist()
        found = Percentiles.of(seconds)
        assert found is not None
        assert found.p95 == pytest.approx(1_000 * np.quantile(seconds, 0.95), abs=0.1)
        assert Percentiles.of([]) is None

    def test_ends_by_silence_are_counted_separately(self) -> None:
        run = StreamRun([Arrival(final(0, 1_000), 0.6), Arrival(final(0, 900, "end_of_stream"), 0.1)])
        assert [(row.reason, row.finals) for row in rows([run])] == [("silence", 1), ("other", 1)]

    def test_prompt_means_within_25_ms_of_the_decision(self) -> None:
        arrivals = [Arrival(final(0, 1, total_ms=500.0 + late), 0.6) for late in (1.0, 24.0, 26.0, 400.0)]
        row = LatencyRow.of("silence", arrivals)
        assert row.prompt == 0.5
        assert row.after_end == Percentiles.of([0.001, 0.024, 0.026, 0.4])
        assert row.medians == {"lead": 300.0, "queue": 1.0, "asr": 0.0, "align": 0.0, "emotion": 10.0}

    def test_clips_that_are_split_and_missed(self) -> None:
        load = Workload(
            silence(10_000), tuple((s * 16, e * 16) for s, e in ((0, 1_000), (2_000, 4_000), (6_000, 7_000)))
        )
        run = StreamRun([Arrival(final(*span), 0.6) for span in ((0, 1_020), (1_990, 2_800), (3_100, 4_040))])
        assert segmentation([load], [run]) == Segmentation(clips=3, split=1, missed=1)


def counters(text: bytes) -> dict[tuple[str, ...], float]:
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


async def test_the_counters_of_the_server_are_reported() -> None:
    async with serving() as server:
        await stream(server, SPEECH)
        status, headers, body = await get(server, "/metrics")
    found = counters(body)
    assert status == 200
    assert headers["Content-Type"].startswith("text/plain; version=0.0.4")
    assert found["emostream_sessions_total",] == 1
    assert found["emostream_open_sessions",] == 0
    assert found["emostream_audio_seconds_total",] == pytest.approx(len(SPEECH) / 16_000)
    assert found["emostream_finals_total", "silence"] == 2
    assert found["emostream_stage_seconds_count", "endpoint_to_event"] == 2
    assert found["emostream_candidates_total", "started"] >= found["emostream_candidates_total", "used"]
    assert 0 < found["emostream_model_seconds_total", "all"] < 10


async def test_the_measuring_client_agrees_with_the_server() -> None:
    load = make_workload(CLIPS, 4.0)
    async with serving() as server:
        runs = await run_streams(socket_url(server), [load.samples] * 2, WallClock(), pace=4.0)
    for run in runs:
        assert run.refused is None
        assert run.errors == []
        assert run.totals is not None
        assert run.totals.audio_ms == len(load.samples) // 16
        assert len(run.finals) == run.totals.utterances == len(load.spans)
        assert run.pings_s
        assert all(arrival.after_speech_s > 0 for arrival in run.finals)


async def test_a_missing_server_counts_as_a_rejection() -> None:
    (run,) = await run_streams("ws://127.0.0.1:9/v1/stream", [silence(100)], WallClock())
    assert run.refused is not None
    assert "expected an emostream server" in run.refused


async def test_the_bare_models_are_measured_with_the_calls_of_the_replay() -> None:
    transcriber, recognizer = FakeTranscriber(), FakeRecognizer()
    loads = [make_workload(CLIPS, 6.0, stream=number) for number in range(3)]
    models = BenchmarkedModels(transcriber, recognizer)
    found = await ReplayBenchmark(models, Settings(), WallClock(), repeats=1).run(
        [load.samples for load in loads]
    )
    assert found.utterances == sum(len(load.spans) for load in loads)
    assert found.replay > 0
    assert found.bare > 0
    assert found.at_a_time == 3
    half = len(recognizer.batches) // 2
    # The calls of the sessions, and the same again.
    assert recognizer.batches[:half] == recognizer.batches[half:]
    assert sum(transcriber.batches) == 2 * found.utterances
