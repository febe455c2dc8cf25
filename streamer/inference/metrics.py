"""The metrics of `/metrics`, in Prometheus' text format. One object a backend, no globals."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

from ..protocol import messages
from .request import ComputeTime

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.3, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)


class Metrics:
    """Counters are incremented where the event happens; `/metrics` serves `text`."""

    def __init__(self, compute_time: ComputeTime) -> None:
        registry = self._registry = CollectorRegistry()
        self.sessions = Counter("emostream_sessions", "Sessions started.", registry=registry)
        self.open_sessions = Gauge(
            "emostream_open_sessions", "Sessions that run at present.", registry=registry
        )
        self.connections = Gauge("emostream_connections", "Open websockets at present.", registry=registry)
        self.disconnected_sessions = Gauge(
            "emostream_disconnected_sessions",
            "Sessions that wait for their client to reconnect, at present.",
            registry=registry,
        )
        self.resumed = Counter(
            "emostream_resumed_sessions", "Sessions resumed by a client that reconnected.", registry=registry
        )
        self.rejected = Counter(
            "emostream_rejected_connections", "Connections rejected.", ["code"], registry=registry
        )
        self.audio = Counter("emostream_audio_seconds", "Audio received.", registry=registry)
        self.transcriptions = Counter(
            "emostream_transcriptions",
            "Requests of /v1/audio/transcriptions, by the status of the answer; gone: the client went first.",
            ["status"],
            registry=registry,
        )
        self.open_transcriptions = Gauge(
            "emostream_open_transcriptions", "Recordings received or analysed at present.", registry=registry
        )
        self.dropped = Counter("emostream_dropped_seconds", "Audio lost: not analysed.", registry=registry)
        self.finals = Counter("emostream_finals", "Final predictions.", ["reason"], registry=registry)
        self.no_emotion = Counter(
            "emostream_no_emotion", "Utterances that got no emotion.", ["reason"], registry=registry
        )
        self.interim_results = Counter(
            "emostream_interim_results", "Predictions on utterances in progress.", registry=registry
        )
        self.candidates = Counter(
            "emostream_candidates",
            "Analyses started before the end of the utterance was decided (started), and their outcomes.",
            ["outcome"],
            registry=registry,
        )
        self.errors = Counter(
            "emostream_errors", "Error events sent to clients.", ["code"], registry=registry
        )
        self.lost = Counter(
            "emostream_lost_analyses",
            "Calls whose replica was lost; those of finals are sent again.",
            registry=registry,
        )
        self._stages = Histogram(
            "emostream_stage_seconds",
            "Of finals: from the decision that the utterance has ended, and from its last speech sample, to "
            "the event; waiting for the models; and each model's time.",
            ["stage"],
            buckets=_SECONDS,
            registry=registry,
        )
        registry.register(_ModelSeconds(compute_time))

    def count(self, event: messages.ServerEvent) -> None:
        """Of an event that a session has sent."""
        match event:
            case messages.Emotion(final=True):
                self._observe_final(event)
            case messages.Emotion():
                self.interim_results.inc()
            case messages.NoEmotion(reason=reason):
                self.no_emotion.labels(reason).inc()
            case messages.Error(code=code):
                self.errors.labels(code).inc()
            case _:
                pass

    def _observe_final(self, event: messages.Emotion) -> None:
        timing = event.timing
        self.finals.labels(event.reason).inc()
        for stage, ms in (
            ("endpoint_to_event", timing.total_ms - timing.endpoint_ms),
            ("last_speech_to_event", timing.total_ms),
            ("queue", timing.queue_ms),
            ("asr", timing.asr_ms),
            ("align", timing.align_ms),
            ("emotion", timing.emotion_ms),
        ):
            self._stages.labels(stage).observe(ms / 1_000)

    def text(self) -> bytes:
        return generate_latest(self._registry)


class _ModelSeconds(Collector):
    def __init__(self, compute_time: ComputeTime) -> None:
        self._compute_time = compute_time

    def collect(self) -> Iterator[CounterMetricFamily]:
        family = CounterMetricFamily(
            "emostream_model_seconds",
            "Work of all models: in total, for candidates and interim results that were discarded, for "
            "words while somebody speaks, and for uploaded recordings.",
            labels=["use"],
        )
        family.add_metric(["all"], self._compute_time.compute_s)
        family.add_metric(["wasted"], self._compute_time.wasted_compute_s)
        family.add_metric(["interim_words"], self._compute_time.interim_words_s())
        family.add_metric(["recordings"], self._compute_time.recordings_s())
        yield family
