"""What a replica is asked, and what it answers: MessagePack, made by the server and read by the replica."""

from __future__ import annotations

import math
from typing import Final

import msgspec
import numpy as np

from emostream.models import Clip
from emostream.streamer.config import ClusterSettings
from emostream.streamer.inference.backend import Analysis, ModelInfo
from emostream.streamer.inference.request import RequestContext


class AnalyseCall(msgspec.Struct, frozen=True, tag="analyse"):
    """samples: (N,) float32 at 16 kHz, as bytes. words: whether the transcriber is asked. stream: whose it
    is; no batch holds two of one stream.

    final_after_s: a candidate that nobody has taken back by then is as urgent as a final: the pause on which
    it was bet has lasted. Nobody need say so to a replica that is far away. None: never.
    """

    samples: bytes
    language: str | None
    words: bool
    priority: int
    stream: str | None
    final_after_s: float | None


class WarmUpCall(msgspec.Struct, frozen=True, tag="rehearse"):
    """What does a stream cost that says this?"""

    samples: bytes


class HealthCall(msgspec.Struct, frozen=True, tag="pulse"):
    """Is anybody there?"""


class DescribeCall(msgspec.Struct, frozen=True, tag="describe"):
    """Who is there?"""


Call = AnalyseCall | WarmUpCall | HealthCall | DescribeCall


class AnalysisReply(msgspec.Struct, frozen=True, tag="analysed"):
    """took_s: from the call to the answer, in the replica. compute_s: its share of each model's time, by the
    model's name.
    """

    analysis: Analysis
    took_s: float
    compute_s: dict[str, float]


class WarmUpReply(msgspec.Struct, frozen=True, tag="rehearsed"):
    """share: of the busiest model's time, in one replica."""

    share: float


class HealthReply(msgspec.Struct, frozen=True, tag="here"):
    pass


class DescribeReply(msgspec.Struct, frozen=True, tag="described"):
    """fingerprint: of all that makes the same sound get the same answer. settings: which the first server
    brought.
    """

    model_info: ModelInfo
    fingerprint: str
    settings: ClusterSettings


class ShedReply(msgspec.Struct, frozen=True, tag="not_now"):
    """There is no time for what is no final."""


class FailureReply(msgspec.Struct, frozen=True, tag="failed"):
    """The models failed on this utterance."""

    message: str


Outcome = AnalysisReply | WarmUpReply | HealthReply | DescribeReply | ShedReply | FailureReply


class Answer(msgspec.Struct, frozen=True):
    """replica: its name. load: the share of time that its busiest model worked of late, 0 to 1. trouble: for
    people, what is wrong with its models.
    """

    outcome: Outcome
    replica: str
    load: float
    trouble: tuple[str, ...] = ()


class ClusterInfo(msgspec.Struct, frozen=True):
    """What a gateway says first: who answers, and how many of them."""

    model_info: ModelInfo
    replicas: int


class ClusterHealth(msgspec.Struct, frozen=True):
    """What a gateway says every second or so. replicas: at work, as far as is known. pulse: a replica's
    answer; None where none came.
    """

    replicas: int
    pulse: Answer | None


_encoder: Final = msgspec.msgpack.Encoder()
encode = _encoder.encode
decode_call: Final = msgspec.msgpack.Decoder(Call).decode
decode_answer: Final = msgspec.msgpack.Decoder(Answer).decode
decode_cluster_info: Final = msgspec.msgpack.Decoder(ClusterInfo).decode
decode_health: Final = msgspec.msgpack.Decoder(ClusterHealth).decode


def encode_analyse_call(clip: Clip, request: RequestContext, stream: str | None, *, words: bool) -> bytes:
    """With the priority that the request has now."""
    final_after_s = request.final_after_s if math.isfinite(request.final_after_s) else None
    samples = clip.samples.tobytes()
    return encode(AnalyseCall(samples, clip.language, words, int(request.priority), stream, final_after_s))


def clip_from_call(call: AnalyseCall | WarmUpCall) -> Clip:
    language = call.language if isinstance(call, AnalyseCall) else None
    return Clip(np.frombuffer(call.samples, np.float32), language)
