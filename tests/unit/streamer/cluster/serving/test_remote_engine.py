"""The remote engine: events equal those of a local engine, lost calls are sent again, a cluster is lost.

The gateway is a fake one in a process of its own (`fake_gateway`); tests/cluster/test_serving.py has the real
one.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest

from emostream.models import Clip, EncodedAudio, SpeakerBaseline
from emostream.streamer.audio.sources import Pcm
from emostream.streamer.clock import WallClock
from emostream.streamer.cluster.serving import gateway_client
from emostream.streamer.cluster.serving.messages import encode_analyse_call
from emostream.streamer.cluster.serving.remote_engine import RemoteEngine
from emostream.streamer.cluster.serving.replica import Replica
from emostream.streamer.config import ServerSettings, Settings
from emostream.streamer.errors import AnalysisError, ClusterError, OverloadedError
from emostream.streamer.inference.backend import InferenceBackend
from emostream.streamer.inference.engine import Engine
from emostream.streamer.inference.pending import PendingBaseline, PendingLanguage
from emostream.streamer.inference.request import Priority, RequestContext, RequestShedError
from emostream.streamer.pipeline.event_log import EventLog
from emostream.streamer.pipeline.session import Session
from emostream.streamer.pipeline.session_settings import SessionSettings
from tests.support.fake_gateway import POISON_MS
from tests.support.fakes import (
    AdaptiveRecognizer,
    FakeRecognizer,
    FakeSpeechDetector,
    FakeTranscriber,
    LoudnessVad,
    ManualClock,
    silence,
    voice,
)
from tests.support.programs import TIMEOUT_S
from tests.support.streams import ListSink, ListSource, comparable
from tests.support.waiting import until

SECOND = Clip(voice(1_000))
SPEECH = np.concatenate(
    [
        silence(300),
        voice(1_000),
        silence(900),
        voice(600, seed=1),
        silence(900),
        voice(1_500, seed=2),
        silence(900),
        voice(800, seed=3, level=0.01),  # no speech
        silence(700),
    ]
)


@asynccontextmanager
async def remote_engine(
    scenario: str, folder: Path, model_timeout_ms: int = 30_000
) -> AsyncIterator[RemoteEngine]:
    settings = Settings(server=ServerSettings(model_timeout_ms=model_timeout_ms))
    program = (sys.executable, "-m", "tests.support.fake_gateway", scenario, str(folder))
    async with RemoteEngine("nowhere", settings, WallClock(), program).running() as engine:
        yield engine


def processes(folder: Path) -> int:
    return len({path.name.split()[1] for path in folder.glob("call *")})


def calls(folder: Path) -> int:
    return len(list(folder.glob("call *")))


async def events_of(engine: InferenceBackend) -> list[bytes]:
    """The events of one stream, without times."""
    sink = ListSink()
    settings = SessionSettings(Settings().segmenter)
    source = ListSource([Pcm(SPEECH[:, np.newaxis])])
    await Session(source, LoudnessVad, engine, EventLog("test"), [sink], settings, WallClock()).run()
    return comparable(sink.events)


async def test_a_remote_engine_gives_the_events_of_a_local_one(tmp_path: Path) -> None:
    local = Engine(
        FakeTranscriber([POISON_MS]),
        AdaptiveRecognizer([POISON_MS]),
        WallClock(),
        speech_detector=FakeSpeechDetector(),
    )
    async with local.running(), remote_engine("well", tmp_path) as remote:
        assert remote.model_info == local.model_info
        expected = await events_of(local)
        assert len(expected) == 8
        assert any(b"no_speech" in event for event in expected)
        assert await events_of(remote) == expected


async def test_an_utterance_whose_replica_is_lost_is_sent_again(tmp_path: Path) -> None:
    async with remote_engine("loses the first", tmp_path) as engine:
        analysis = await engine.analyse(SECOND, engine.new_request(Priority.FINAL))
        assert analysis.transcript is not None
        assert analysis.transcript.text == "1000 milliseconds"
        assert calls(tmp_path) == 2
        assert b"emostream_lost_analyses_total 1.0" in engine.metrics.text()


async def test_every_attempt_is_judged_against_the_same_baseline(tmp_path: Path) -> None:
    speaker = SpeakerBaseline().updated(np.array([0.5, 2.0], np.float32), 0.5, AdaptiveRecognizer.baseline)
    local = Engine(FakeTranscriber(), AdaptiveRecognizer(), WallClock())
    async with local.running(), remote_engine("loses the first", tmp_path) as remote:
        expected, analysis = [
            await engine.analyse(
                SECOND, engine.new_request(Priority.FINAL), baseline=PendingBaseline.known(speaker)
            )
            for engine in (local, remote)
        ]
        assert calls(tmp_path) == 2
        assert analysis.prediction == expected.prediction
        assert analysis.baseline_utterances == 1
        assert analysis.voice is not None
        assert expected.voice is not None
        assert analysis.voice.dtype == np.float32
        assert analysis.voice.tolist() == expected.voice.tolist()


async def test_nothing_is_sent_before_the_baseline_is_known(tmp_path: Path) -> None:
    async with remote_engine("well", tmp_path) as engine:
        pending = PendingBaseline()
        request = engine.new_request(Priority.FINAL)
        analysing = asyncio.create_task(engine.analyse(SECOND, request, baseline=pending))
        await asyncio.sleep(0)
        assert request.running_calls == 0
        pending.set(SpeakerBaseline())
        assert (await analysing).baseline_utterances == 0


async def test_the_language_of_the_stream_is_waited_for_and_travels_with_the_clip(tmp_path: Path) -> None:
    local = Engine(FakeTranscriber(), AdaptiveRecognizer(), WallClock())
    async with local.running(), remote_engine("well", tmp_path) as remote:
        for engine in (local, remote):
            request = engine.new_request(Priority.FINAL)
            request.language = PendingLanguage()
            analysing = asyncio.create_task(engine.analyse(SECOND, request))
            await asyncio.sleep(0)
            assert "asr" not in request.compute_by_model
            request.language.set("pl")
            transcript = (await analysing).transcript
            assert transcript is not None
            assert transcript.language == "pl"


async def test_only_finals_are_sent_again(tmp_path: Path) -> None:
    """The session requests a candidate again as a final, and an interim result not at all."""
    async with remote_engine("loses the first", tmp_path) as engine:
        with pytest.raises(RequestShedError):
            await engine.analyse(SECOND, engine.new_request(Priority.CANDIDATE))
        assert calls(tmp_path) == 1


async def test_an_utterance_that_loses_every_replica_is_given_up(tmp_path: Path) -> None:
    """It may be the utterance that crashes them."""
    async with remote_engine("loses all", tmp_path) as engine:
        with pytest.raises(AnalysisError, match=r"lost with 4 replicas.*the replica died"):
            await engine.analyse(SECOND, engine.new_request(Priority.FINAL))
        assert calls(tmp_path) == 4


async def test_a_gateway_that_dies_is_replaced_and_its_utterances_are_sent_again(tmp_path: Path) -> None:
    async with remote_engine("dies once", tmp_path) as engine:
        analyses = await asyncio.gather(
            *(
                engine.analyse(Clip(voice(ms)), engine.new_request(Priority.FINAL))
                for ms in (800, 1_000, 1_200)
            )
        )
        assert [analysis.transcript and analysis.transcript.text for analysis in analyses] == [
            f"{ms} milliseconds" for ms in (800, 1_000, 1_200)
        ]
        assert processes(tmp_path) == 2


async def test_a_gateway_that_is_stuck_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateway_client, "_SILENCE_TIMEOUT_S", 0.5)
    async with remote_engine("mute", tmp_path) as engine:
        analysing = asyncio.create_task(engine.analyse(SECOND, engine.new_request(Priority.FINAL)))
        await until(lambda: processes(tmp_path) >= 2)
        analysing.cancel()


async def test_a_failed_restart_of_the_gateway_is_retried(tmp_path: Path) -> None:
    """A server with many sockets may be unable to start a process for a while."""
    starter, hidden = tmp_path / "gateway", tmp_path / "hidden"
    folder = tmp_path / "calls"
    folder.mkdir()
    starter.write_text(
        f'#!/bin/sh\nexec "{sys.executable}" -m tests.support.fake_gateway "dies once" "{folder}"\n'
    )
    starter.chmod(0o755)
    async with RemoteEngine("nowhere", Settings(), WallClock(), (str(starter),)).running() as engine:
        starter.rename(hidden)
        analysing = asyncio.create_task(engine.analyse(SECOND, engine.new_request(Priority.FINAL)))
        await until((folder / "died").exists)
        await until(lambda: b"emostream_lost_analyses_total 1.0" in engine.metrics.text())
        hidden.rename(starter)
        prediction = (await analysing).prediction
        assert prediction is not None
        assert prediction.label in engine.model_info.labels


async def test_failures_of_the_models_are_reported_and_not_retried(tmp_path: Path) -> None:
    async with remote_engine("well", tmp_path) as engine:
        with pytest.raises(AnalysisError, match="this clip is poison"):
            await engine.analyse(Clip(voice(POISON_MS)), engine.new_request(Priority.FINAL))
        assert calls(tmp_path) == 1


async def test_an_unresponsive_cluster_is_a_health_problem_and_admits_no_client(tmp_path: Path) -> None:
    clock = ManualClock()
    program = (sys.executable, "-m", "tests.support.fake_gateway", "mute", str(tmp_path))
    settings = Settings(server=ServerSettings(model_timeout_ms=100))
    async with RemoteEngine("nowhere", settings, clock, program).running() as engine:
        engine.capacity.ensure_available()
        assert not engine.health().unresponsive
        with pytest.raises(AnalysisError, match=r"answer from the cluster within 0\.1 s, got none"):
            await engine.analyse(SECOND, engine.new_request(Priority.FINAL))
        clock.advance_to(9.0)
        assert engine.health().problems == ("cluster: no answer for 9 s (nowhere)",)
        with pytest.raises(OverloadedError, match="got nothing from the cluster for 9 s"):
            engine.capacity.ensure_available()


async def test_a_cancelled_call_is_cancelled_in_the_gateway(tmp_path: Path) -> None:
    async with remote_engine("mute", tmp_path) as engine:
        analysing = asyncio.create_task(engine.analyse(SECOND, engine.new_request(Priority.CANDIDATE)))
        await appears(tmp_path, "call *")
        analysing.cancel()
        await appears(tmp_path, "cancelled *")


async def test_a_closing_server_does_not_wait_for_slow_transcripts(tmp_path: Path) -> None:
    async with remote_engine("slow words", tmp_path) as engine:
        analysing = asyncio.create_task(engine.analyse(SECOND, engine.new_request(Priority.FINAL)))
        await appears(tmp_path, "call *")
        engine.begin_shutdown()
        analysis = await analysing
        assert analysis.transcript is None
        assert analysis.asr_error is not None
        assert "classified from audio only" in analysis.asr_error
        assert analysis.prediction is not None
        assert analysis.prediction.label in engine.model_info.labels


async def test_an_unreachable_cluster_is_an_error_at_once(tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match="expected a cluster, got none"):
        async with remote_engine("refuses", tmp_path):
            pass


async def test_a_gateway_that_cannot_start_is_an_error_with_its_reason(tmp_path: Path) -> None:
    program = (sys.executable, "-c", "raise SystemExit('no such thing')")
    with pytest.raises(ClusterError, match="its process ended: no such thing"):
        async with RemoteEngine("nowhere", Settings(), WallClock(), program).running():
            pass


async def test_a_candidate_that_is_not_cancelled_gets_the_priority_of_a_final() -> None:
    """In the replica, without another message from the server: it shares a batch with a final."""
    model = BlockedRecognizer()
    replica = Replica(Settings(), lambda settings, clock: Engine(None, model, clock))

    def analyse(ms: int, priority: Priority, final_after_s: float) -> asyncio.Task[bytes]:
        call = encode_analyse_call(
            Clip(voice(ms)), RequestContext(priority, final_after_s=final_after_s), None, words=False
        )
        return asyncio.create_task(replica.call(call))

    calls = [analyse(1_000, Priority.FINAL, 0.0)]
    await until(model.started.is_set)
    calls += [analyse(600, Priority.CANDIDATE, 0.0), analyse(700, Priority.CANDIDATE, 3_600.0)]
    calls += [analyse(800, Priority.FINAL, 0.0)]
    for _ in range(100):  # iterations of the loop, after which all of them wait for the model
        await asyncio.sleep(0)
    model.unblock.set()
    await asyncio.gather(*calls)
    assert model.batches == [1, 2, 1]


class BlockedRecognizer(FakeRecognizer):
    """Blocks in its first call."""

    def __init__(self) -> None:
        super().__init__()
        self.started, self.unblock = threading.Event(), threading.Event()

    def encode(self, clips: Sequence[Clip]) -> list[EncodedAudio]:
        self.started.set()
        assert self.unblock.wait(TIMEOUT_S)
        return super().encode(clips)


async def appears(folder: Path, pattern: str) -> None:
    await until(lambda: list(folder.glob(pattern)))
