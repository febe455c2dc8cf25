"""What `/metrics` says, in the form that Prometheus reads. One object a house, no globals."""

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
    """Counted where it happens; `text` is read by `/metrics`."""

    def __init__(self, time: ComputeTime) -> None:
        registry = self._registry = CollectorRegistry()
        self.sessions = Counter("emostream_sessions", "Sessions begun.", registry=registry)
        self.open_sessions = Gauge("emostream_open_sessions", "Sessions at present.", registry=registry)
        self.connections = Gauge("emostream_connections", "Sockets at present.", registry=registry)
        self.disconnected_sessions = Gauge(
            "emostream_disconnected_sessions", "Sessions whose client is gone, at present.", registry=registry
        )
        self.resumed = Counter("emostream_resumed_sessions", "Sessions taken over.", registry=registry)
        self.refusals = Counter("emostream_refusals", "Connections refused.", ["code"], registry=registry)
        self.audio = Counter("emostream_audio_seconds", "Sound heard.", registry=registry)
        self.dropped = Counter("emostream_dropped_seconds", "Sound not analysed.", registry=registry)
        self.finals = Counter("emostream_finals", "Final judgements.", ["reason"], registry=registry)
        self.interim_results = Counter(
            "emostream_interim_results", "Judgements while somebody speaks.", registry=registry
        )
        self.candidates = Counter(
            "emostream_candidates",
            "Analyses begun before the end was decided (asked), and what became of them.",
            ["outcome"],
            registry=registry,
        )
        self.errors = Counter("emostream_errors", "Errors told to clients.", ["code"], registry=registry)
        self.lost = Counter(
            "emostream_lost_analyses",
            "Calls whose replica was lost with them; what is a final, or will be, is asked again.",
            registry=registry,
        )
        self._stages = Histogram(
            "emostream_stage_seconds",
            "Of finals: from the end being decided, and from the last speech sample, to the sending; waiting "
            "for the models; and what each model took.",
            ["stage"],
            buckets=_SECONDS,
            registry=registry,
        )
        registry.register(_ModelSeconds(time))

    def final(self, event: messages.Emotion) -> None:
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
    def __init__(self, time: ComputeTime) -> None:
        self._time = time

    def collect(self) -> Iterator[CounterMetricFamily]:
        family = CounterMetricFamily(
            "emostream_model_seconds",
            "Work of all models: in all, and for candidates and provisional events that came to nothing.",
            labels=["use"],
        )
        family.add_metric(["all"], self._time.compute_s)
        family.add_metric(["wasted"], self._time.wasted_compute_s)
        yield family
