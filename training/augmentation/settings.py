"""How often a training clip and its words are harmed, and in which way."""

from __future__ import annotations

import msgspec

from ..errors import SettingsError


class AugmentSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The chance of each harm, from 0 to 1, for one clip in one epoch.

    voice: pitch and formants from 0.67 to 1.49 of what they were. speed: up to 8 % faster or slower, in pitch
    too. silence: near silence at both ends, as a segmenter leaves it. room: reverberation. noise: at 3 to
    35 dB. colour: a microphone's response. codec: Opus, G.711, MP3. text_noise: words dropped, replaced or
    doubled.

    Raises SettingsError for a chance that is none.
    """

    speed: float = 0.0
    voice: float = 0.0
    noise: float = 0.0
    codec: float = 0.0
    room: float = 0.0
    colour: float = 0.0
    silence: float = 0.0
    text_noise: float = 0.0

    def __post_init__(self) -> None:
        for name, chance in msgspec.structs.asdict(self).items():
            if not 0.0 <= chance <= 1.0:
                raise SettingsError(f"expected a probability from 0 to 1 for {name}, got {chance}: change it")

    def any(self) -> bool:
        """Whether anything may happen at all."""
        return any(msgspec.structs.astuple(self))
