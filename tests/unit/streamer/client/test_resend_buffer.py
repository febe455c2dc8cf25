"""What a server has received and what is sent again, put together, is what was sent."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from emostream.streamer.client.resend_buffer import ResendBuffer
from emostream.streamer.protocol import messages

START = messages.Start(encoding="pcm_s16le", sample_rate=8_000, channels=1)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("audio"), st.integers(0, 9)),
        st.tuples(st.just("gap"), st.integers(1, 50)),
        st.tuples(st.just("flush"), st.just(0)),
    ),
    max_size=30,
)


def play(log: ResendBuffer, steps: list[tuple[str, int]]) -> list[tuple[str, Any]]:
    """What was sent: a byte of audio, a gap, a flush at a time."""
    sent_items: list[tuple[str, Any]] = []
    for kind, size in steps:
        if kind == "audio":
            sent = sum(kind == "byte" for kind, _ in sent_items)
            data = bytes((sent + i) % 251 for i in range(size))
            log.audio(data)
            sent_items += [("byte", byte) for byte in data]
        elif kind == "gap":
            log.gap(messages.Gap(ms=size, reason="a pause"))
            sent_items.append(("gap", size))
        else:
            sent_items.append(("flush", json.loads(log.flush())["at_samples"]))
    return sent_items


def again(log: ResendBuffer, samples: int, gap_ms: int) -> list[tuple[str, Any]]:
    out: list[tuple[str, Any]] = []
    for _, message in log.unreceived(samples, gap_ms):
        if isinstance(message, bytes):
            out += [("byte", byte) for byte in message]
        else:
            fields = json.loads(message)
            assert fields["type"] != "gap" or fields["reason"] == "a pause"
            out.append((fields["type"], fields.get("ms", fields.get("at_samples"))))
    return out


@given(STEPS, st.data())
def test_what_was_not_received_is_sent_again(steps: list[tuple[str, int]], data: st.DataObject) -> None:
    """Cut after any message or byte; acknowledged up to any frame before. A flush may come twice."""
    log = ResendBuffer(START)
    sent_items = play(log, steps)
    received = sent_items[: data.draw(st.integers(0, len(sent_items)), label="received")]
    samples = sum(kind == "byte" for kind, _ in received) // 2  # the server throws half a frame away
    gap_ms = sum(size for kind, size in received if kind == "gap")
    acknowledged = data.draw(st.integers(0, samples), label="acknowledged")
    log.acknowledge(acknowledged, data.draw(st.integers(0, acknowledged), label="committed"))
    rest = again(log, samples, gap_ms)
    audio_and_gaps = [item for item in sent_items if item[0] != "flush"]
    kept = 2 * samples + sum(kind == "gap" for kind, _ in received)
    halved = sum(kind == "byte" for kind, _ in received) % 2
    if not halved:
        assert [item for item in rest if item[0] != "flush"] == audio_and_gaps[kept:]
    else:  # gaps that were received after half a frame are not sent again; the half frame is
        assert [item for item in rest if item[0] == "byte"] == [
            item for item in sent_items if item[0] == "byte"
        ][2 * samples :]
    unreceived = [item for item in sent_items[len(received) :] if item[0] == "flush"]
    flushes = [item for item in rest if item[0] == "flush"]
    assert flushes[len(flushes) - len(unreceived) :] == unreceived


@given(STEPS, st.integers(0, 100), st.integers(0, 100), st.booleans())
def test_a_fresh_session_begins_where_the_committed_ended(
    steps: list[tuple[str, int]], acknowledged: int, committed: int, tells: bool
) -> None:
    log = ResendBuffer(START)
    sent_items = play(log, steps)
    received = min(acknowledged, log.sent_samples)
    samples = min(received, committed) if tells else received
    log.acknowledge(received, samples if tells else None)
    before = again(log, samples, 0)
    assert log.unacked_samples == log.sent_samples - received
    log.rebase(finals_until_ms=0)
    after = again(log, 0, 0)
    assert [item for item in after if item[0] == "byte"] == [
        item for item in sent_items if item[0] == "byte"
    ][2 * samples :]
    assert [item for item in after if item[0] == "gap"] == [item for item in before if item[0] == "gap"]
    assert [at for kind, at in after if kind == "flush"] == [
        max(0, at - samples) for kind, at in before if kind == "flush"
    ]
    assert log.unacked_samples == log.sent_samples


@given(STEPS, st.integers(0, 100), st.integers(0, 200))
def test_what_a_final_covers_is_not_sent_again(
    steps: list[tuple[str, int]], committed: int, finals_until_ms: int
) -> None:
    """A final that came before the connection broke, and before the ack that commits its audio. Compared with
    the items one by one, each with where it ends on the clock: 16 bytes a millisecond.
    """
    log = ResendBuffer(START)
    sent_items = play(log, [(kind, size * 2 if kind == "audio" else size) for kind, size in steps])
    samples = min(committed, log.sent_samples)
    log.acknowledge(samples, samples)
    rest = again(log, samples, 0)
    gaps_before = sum(size for kind, size in sent_items if kind == "gap") - sum(
        size for kind, size in rest if kind == "gap"
    )
    clock_start_ms = log.rebase(finals_until_ms)
    left = again(log, 0, 0)
    clock = samples / 8 + gaps_before
    expected = []
    for kind, size in rest:
        covered = clock < finals_until_ms
        clock += {"byte": 1 / 16, "gap": size, "flush": 0}[kind]
        if kind != "flush" and not covered:
            expected.append((kind, size))
    assert [item for item in left if item[0] != "flush"] == expected
    assert clock_start_ms >= int(samples / 8) + gaps_before


def test_delivered_is_a_stop_whose_audio_was_all_received() -> None:
    log = ResendBuffer(START)
    seen = []
    steps: list[Callable[[], object]] = [
        lambda: log.audio(bytes(200)),
        lambda: log.acknowledge(100, 0),
        log.stop,
        lambda: log.audio(bytes(2)),
    ]
    for step in steps:
        step()
        seen.append(log.delivered)
    assert seen == [False, False, True, False]


def test_a_server_that_does_not_tell_what_it_commits_frees_what_it_received() -> None:
    log = ResendBuffer(START)
    log.audio(bytes(range(200)))
    log.acknowledge(60, None)
    assert not log.server_commits
    assert log.committed_ms == 60 // 8
    assert again(log, 0, 0)[0] == ("byte", 120)
