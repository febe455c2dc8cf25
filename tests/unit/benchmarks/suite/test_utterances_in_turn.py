"""The delays of utterances in turn, with a server in this process whose models answer at once."""

from __future__ import annotations

import pytest

from benchmarks.suite import utterances_in_turn
from benchmarks.suite.utterances_in_turn import delays
from tests.support.fakes import silence, voice
from tests.support.serving import serving, socket_url


async def test_each_utterance_has_a_delay_and_ends_before_the_next_one() -> None:
    async with serving() as server:
        found = await delays(socket_url(server), voice(600), 4)
    assert len(found) == 4
    assert min(found) > 0.0


async def test_a_sound_that_is_no_utterance_is_not_waited_for_without_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(utterances_in_turn, "_GIVE_UP_S", 0.2)
    async with serving() as server:
        with pytest.raises(TimeoutError):
            await delays(socket_url(server), silence(600), 1)
