"""`EmotionAgent`: an agent whose language model is told how the user sounds."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable
from typing import Any

from livekit import rtc
from livekit.agents import Agent, ModelSettings, llm, stt

from ..wording import sounds
from .speech_events import METADATA_KEY


class EmotionAgent(Agent):
    """For `STT` or `EmotionSTT`. Each turn's context gets a system message with the emotion of its longest
    reliable utterance, for this turn only; none where no label is reliable. An agent with its own `stt_node`
    or `on_user_turn_completed` calls these ones.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._utterances: list[dict[str, Any]] = []  # of the present turn

    async def stt_node(
        self, audio: AsyncIterable[rtc.AudioFrame], model_settings: ModelSettings
    ) -> AsyncGenerator[stt.SpeechEvent, None]:
        async for event in Agent.default.stt_node(self, audio, model_settings):
            if isinstance(event, stt.SpeechEvent):
                self._note(event)
            yield event

    def _note(self, event: stt.SpeechEvent) -> None:
        if event.type != stt.SpeechEventType.FINAL_TRANSCRIPT or not event.alternatives:
            return
        found = (event.alternatives[0].metadata or {}).get(METADATA_KEY)
        if found is not None:
            self._utterances += found["utterances"]

    async def on_user_turn_completed(self, turn_ctx: llm.ChatContext, new_message: llm.ChatMessage) -> None:
        reliable = [one for one in self._utterances if one["reliable"]]
        self._utterances = []
        if reliable:
            main = max(reliable, key=lambda one: one["end_ms"] - one["start_ms"])
            # The context is in the order of time, and the user's message comes after it.
            turn_ctx.add_message(
                role="system",
                content=sounds(main["label"], main["confidence"]),
                created_at=new_message.created_at - 0.001,
            )
