"""Settings of the augmentation: the probability of each kind."""

from __future__ import annotations

import msgspec

from ..errors import SettingsError


class AugmentSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The probability of each augmentation, for one clip in one epoch.

    voice: pitch and formants shifted by a factor of 0.67 to 1.49. speed: up to 8 % faster or slower, pitch
    included. silence: near silence at both ends, as a segmenter leaves it. reverb: reverberation. noise: at
    3 to 35 dB SNR. equalizer: a microphone's frequency response. codec: Opus, G.711, MP3. text_noise: words
    dropped, replaced or doubled.

    Raises SettingsError for a value outside 0 to 1.
    """

    speed: float = 0.0
    voice: float = 0.0
    noise: float = 0.0
    codec: float = 0.0
    reverb: float = 0.0
    equalizer: float = 0.0
    silence: float = 0.0
    text_noise: float = 0.0

    def __post_init__(self) -> None:
        for name, probability in msgspec.structs.asdict(self).items():
            if not 0.0 <= probability <= 1.0:
                raise SettingsError(
                    f"expected a probability from 0 to 1 for {name}, got {probability}: change it"
                )

    def any(self) -> bool:
        """Whether any probability is above 0."""
        return any(msgspec.structs.astuple(self))
