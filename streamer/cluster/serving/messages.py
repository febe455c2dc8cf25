"""Messages between a server and the replicas of its models, encoded as MessagePack."""

from __future__ import annotations

import math
from typing import Any, Final, get_args

import msgspec
import numpy as np

from emostream.models import Clip, SpeakerBaseline
from emostream.streamer.config import ClusterSettings
from emostream.streamer.inference.backend import Analysis, ModelInfo
from emostream.streamer.inference.request import RequestContext


class AnalyseCall(msgspec.Struct, frozen=True, tag="analyse"):
    """Analyse an utterance. samples: (N,) float32 at 16 kHz, as bytes. words: whether to transcribe. stream:
    the one it belongs to; no batch holds two utterances of one stream.

    final_after_s: a candidate that has not been cancelled by then gets the priority of a final, because the
    pause that it speculated on has lasted; this needs no further message to the replica. None: never.
    baseline: of the stream's speaker after the finals before; None: the common one.
    """

    samples: bytes
    language: str | None
    expected_language: str | None
    words: bool
    priority: int
    stream: str | None
    final_after_s: float | None
    baseline: SpeakerBaseline | None


class WarmUpCall(msgspec.Struct, frozen=True, tag="warm_up"):
    """Measure the cost of a stream with this utterance."""

    samples: bytes


class HealthCall(msgspec.Struct, frozen=True, tag="health"):
    """Check that a replica replies."""


class DescribeCall(msgspec.Struct, frozen=True, tag="describe"):
    """Ask for the replica's models and settings."""


ReplicaCall = AnalyseCall | WarmUpCall | HealthCall | DescribeCall


class AnalysisReply(msgspec.Struct, frozen=True, tag="analysed"):
    """elapsed_s: from the call to the reply, in the replica. compute_s: its share of each model's time, by
    the model's name.
    """

    analysis: Analysis
    elapsed_s: float
    compute_s: dict[str, float]


class WarmUpReply(msgspec.Struct, frozen=True, tag="warmed_up"):
    """share: of the busiest model's time, in one replica."""

    share: float


class HealthReply(msgspec.Struct, frozen=True, tag="healthy"):
    """The reply to a `HealthCall`."""


class DescribeReply(msgspec.Struct, frozen=True, tag="described"):
    """fingerprint: of everything that determines results. settings: those of the server that deployed the
    models.
    """

    model_info: ModelInfo
    fingerprint: str
    settings: ClusterSettings


class ShedReply(msgspec.Struct, frozen=True, tag="shed"):
    """The models have no time for a request that is not a final."""


class FailureReply(msgspec.Struct, frozen=True, tag="failed"):
    """The models failed on this utterance."""

    message: str


ReplyBody = AnalysisReply | WarmUpReply | HealthReply | DescribeReply | ShedReply | FailureReply


class ReplicaReply(msgspec.Struct, frozen=True):
    """replica: its name. load: the share of time for which its busiest model was busy of late, 0 to 1.
    problems: health problems of its models, for people.
    """

    body: ReplyBody
    replica: str
    load: float
    problems: tuple[str, ...] = ()


class ClusterInfo(msgspec.Struct, frozen=True):
    """A gateway's first message: the models, and the number of replicas."""

    model_info: ModelInfo
    replicas: int


class ClusterHealth(msgspec.Struct, frozen=True):
    """A gateway's health report, every second or so. replicas: running, as far as is known. replica_health: a
    replica's reply to a health check; None where there was none.
    """

    replicas: int
    replica_health: ReplicaReply | None


def _array_to_bytes(value: object) -> bytes:
    if isinstance(value, np.ndarray):
        return value.tobytes()
    raise NotImplementedError(f"expected an array, got {type(value).__name__}")


def _array_from_bytes(kind: Any, value: Any) -> Any:
    """kind: `NDArray[...]` of one dimension."""
    (dtype,) = get_args(get_args(kind)[1])
    return np.frombuffer(value, dtype)


_encoder: Final = msgspec.msgpack.Encoder(enc_hook=_array_to_bytes)
encode = _encoder.encode
decode_call: Final = msgspec.msgpack.Decoder(ReplicaCall, dec_hook=_array_from_bytes).decode
decode_reply: Final = msgspec.msgpack.Decoder(ReplicaReply, dec_hook=_array_from_bytes).decode
decode_cluster_info: Final = msgspec.msgpack.Decoder(ClusterInfo).decode
decode_health: Final = msgspec.msgpack.Decoder(ClusterHealth, dec_hook=_array_from_bytes).decode


def encode_analyse_call(
    clip: Clip,
    request: RequestContext,
    stream: str | None,
    *,
    words: bool,
    baseline: SpeakerBaseline | None = None,
) -> bytes:
    """With the priority that the request has now."""
    return encode(
        AnalyseCall(
            samples=clip.samples.tobytes(),
            language=clip.language,
            expected_language=clip.expected_language,
            words=words,
            priority=int(request.priority),
            stream=stream,
            final_after_s=request.final_after_s if math.isfinite(request.final_after_s) else None,
            baseline=baseline,
        )
    )


def clip_from_call(call: AnalyseCall | WarmUpCall) -> Clip:
    samples = np.frombuffer(call.samples, np.float32)
    match call:
        case AnalyseCall():
            return Clip(samples, call.language, call.expected_language)
        case WarmUpCall():
            return Clip(samples)
