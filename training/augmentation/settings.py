"""Settings of the augmentation: the probability of each kind."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from ..errors import SettingsError


def _check_shares(values: Mapping[str, float], what: str) -> None:
    for name, value in values.items():
        if not 0.0 <= value <= 1.0:
            raise SettingsError(f"expected {what} from 0 to 1 for {name}, got {value}: change it")


class TextErrorRates(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Errors of each kind per word. By default those of Whisper tiny.en on 200 clips of CREMA-D and RAVDESS
    (`training/runs/LOG.md`).

    Raises SettingsError for a value outside 0 to 1.
    """

    substitutions: float = 0.07
    deletions: float = 0.02
    insertions: float = 0.01

    def __post_init__(self) -> None:
        _check_shares(msgspec.structs.asdict(self), "a rate")


class AugmentSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The probability of each augmentation, for one clip in one epoch.

    voice: pitch and formants shifted by a factor of 0.67 to 1.49. speed: up to 8 % faster or slower, pitch
    included. silence: near silence at both ends, as a segmenter leaves it. reverb: reverberation. noise: at
    3 to 35 dB SNR. equalizer: a microphone's frequency response. codec: Opus, G.711, MP3. text_noise: of
    simulated transcription errors, at the rates of text_errors.

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
    text_errors: TextErrorRates = TextErrorRates()

    def __post_init__(self) -> None:
        _check_shares(self._probabilities(), "a probability")

    def any(self) -> bool:
        """Whether any probability is above 0."""
        return any(self._probabilities().values())

    def _probabilities(self) -> dict[str, float]:
        fields = msgspec.structs.asdict(self)
        del fields["text_errors"]
        return fields
