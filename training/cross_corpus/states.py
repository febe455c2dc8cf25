"""A frozen encoder's states of every clip, cached by corpus and view.

View 0 is the clip as it is, the others are augmented. Half of the frames are kept, in half precision, and the
layers 1 to 4: emotion is in 2 to 4, and the layers above cost twice the time (docs/training.md). The mean of
each clip is over all of its frames. A view's augmentation belongs to a session of the speaker, not to a clip:
a voice, a room, a microphone stay the same while somebody talks, and only so can his baseline remove them.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch

from emostream.models import SAMPLE_RATE_HZ, Alignment, Samples
from emostream.models.collate import collate_audio
from emostream.models.encoders.base import AudioEncoder
from emostream.models.uncertainty import estimate_snr_db

from ..augmentation.pipeline import augment
from ..augmentation.settings import AugmentSettings
from ..augmentation.waveform import mix_at_snr
from ..data.audio_cache import read_clip
from ..errors import SettingsError
from .clips import NOISE, SpeechClip, stable_seed

LAYERS: Final = (1, 2, 3, 4)
"""Stored; 0 is the input of the first layer."""
_EVERY: Final = 2
_SESSIONS: Final = 3
_SHORTEST: Final = SAMPLE_RATE_HZ // 5
_NOISE_PROBABILITY: Final = 0.35
_NOISE_SNR_DB: Final = (5.0, 30.0)
_CUT_PROBABILITY: Final = 0.1
_CUT_SHARE: Final = (0.5, 0.9)


@dataclass(frozen=True, slots=True)
class StoredClip:
    """One clip of a view. start, frames: its rows of the states. session: of the speaker in an augmented
    view.

    seconds, snr_db: of the audio that was encoded.
    """

    key: str
    start: int
    frames: int
    session: int
    seconds: float
    snr_db: float


class StateCache:
    """The states of one view of one corpus, memory-mapped."""

    def __init__(self, folder: Path, corpus: str) -> None:
        """Raises SettingsError where the files are missing or do not belong together."""
        index, states, means = (folder / f"{corpus}.{kind}" for kind in ("jsonl", "f16", "mean.f32"))
        try:
            lines = index.read_text(encoding="utf-8").splitlines()
            self.clips = {clip.key: clip for clip in (StoredClip(**json.loads(line)) for line in lines)}
            self._rows = {key: row for row, key in enumerate(self.clips)}
            self._width = means.stat().st_size // (4 * len(LAYERS) * max(1, len(lines)))
            self._states = np.memmap(states, np.float16, "r").reshape(-1, len(LAYERS), self._width)
            self._means = np.memmap(means, np.float32, "r").reshape(-1, len(LAYERS), self._width)
        except (OSError, ValueError, TypeError) as error:
            raise SettingsError(
                f"expected cached states of {corpus} in {folder}, got {error}: delete them"
            ) from error

    def states(self, key: str, layers: Sequence[int]) -> npt.NDArray[np.float16]:
        """(T, L, H) of the chosen layers."""
        clip = self.clips[key]
        rows = self._states[clip.start : clip.start + clip.frames]
        return np.array(rows[:, [LAYERS.index(layer) for layer in layers]])

    def mean(self, key: str, layers: Sequence[int]) -> npt.NDArray[np.float32]:
        """(L, H)."""
        return np.array(self._means[self._rows[key]][[LAYERS.index(layer) for layer in layers]])


@dataclass(frozen=True, slots=True)
class Views:
    """The cached states of all corpora: view -> corpus -> its cache. layers: the chosen ones."""

    caches: Sequence[Mapping[str, StateCache]]
    layers: tuple[int, ...]

    def count(self, clip: SpeechClip) -> int:
        """How many views of the clip there are; the first is the clip itself."""
        return sum(clip.corpus in caches and clip.key in caches[clip.corpus].clips for caches in self.caches)

    def states(self, clip: SpeechClip, view: int) -> torch.Tensor:
        """(L, T, H) float16."""
        rows = self.caches[view][clip.corpus].states(clip.key, self.layers)
        return torch.from_numpy(rows).transpose(0, 1)

    def mean(self, clip: SpeechClip, view: int) -> npt.NDArray[np.float32]:
        """(L, H), over all frames of the clip."""
        return self.caches[view][clip.corpus].mean(clip.key, self.layers)

    def session(self, clip: SpeechClip, view: int) -> int:
        return self.caches[view][clip.corpus].clips[clip.key].session


@dataclass(frozen=True, slots=True)
class AugmentedView:
    """How the clips of an augmented view are changed. noises: files of real ones, for training."""

    number: int
    settings: AugmentSettings
    noises: Sequence[Path]

    def session(self, clip: SpeechClip) -> int:
        """The session of its speaker that the clip belongs to in this view."""
        return stable_seed("session", self.number, clip.key) % _SESSIONS

    def __call__(self, clip: SpeechClip, samples: Samples) -> Samples:
        of_session = stable_seed("view", self.number, clip.speaker, self.session(clip))
        samples, _ = augment(samples, Alignment(), self.settings, np.random.default_rng(of_session))
        rng = np.random.default_rng([of_session, 1])
        if self.noises and rng.random() < _NOISE_PROBABILITY:
            snr_db = float(rng.uniform(*_NOISE_SNR_DB))
            samples = self._with_noise(
                clip, samples, self.noises[int(rng.integers(len(self.noises)))], snr_db
            )
        own = np.random.default_rng(stable_seed("cut", self.number, clip.key))
        if own.random() < _CUT_PROBABILITY:
            length = int(len(samples) * own.uniform(*_CUT_SHARE))
            start = int(own.integers(0, len(samples) - length + 1))
            samples = samples[start : start + length]
        return samples

    def _with_noise(self, clip: SpeechClip, samples: Samples, noise: Path, snr_db: float) -> Samples:
        sound = read_clip(noise)
        sound = np.tile(sound, 1 + len(samples) // len(sound))
        start = np.random.default_rng(stable_seed("noise", self.number, clip.key)).integers(
            0, len(sound) - len(samples) + 1
        )
        return mix_at_snr(samples, sound[start : start + len(samples)], snr_db)


def training_noises(clips: Iterable[SpeechClip]) -> list[Path]:
    """Three quarters of the noises; the others are for the figures."""
    return [clip.example.audio_path for clip in clips if clip.corpus == NOISE and not held_out_noise(clip)]


def held_out_noise(clip: SpeechClip) -> bool:
    """Whether nothing may be trained on this noise."""
    return stable_seed("noisesplit", clip.key) % 4 == 0


def kept_for_figures(clip: SpeechClip) -> bool:
    """Whether nothing may be trained or chosen on this noise or this speaker of ordinary speech: a quarter of
    the noises, half of the validation speakers.
    """
    if clip.corpus == NOISE:
        return held_out_noise(clip)
    return stable_seed("ordinarysplit", clip.speaker) % 2 == 0


def write_states(
    clips: Sequence[SpeechClip],
    encoder: AudioEncoder,
    folder: Path,
    corpus: str,
    view: AugmentedView | None,
    on_progress: Callable[[int, int], None],
) -> None:
    """Encodes the clips of a corpus that are not in the cache yet. A killed run goes on where it stopped.

    Nothing in the files tells the encoder: a folder belongs to one. Raises SettingsError where half precision
    cannot hold a state, CorpusError for a file that cannot be read.
    """
    folder.mkdir(parents=True, exist_ok=True)
    index, states, means = (folder / f"{corpus}.{kind}" for kind in ("jsonl", "f16", "mean.f32"))
    done = _resume(index, states, means, encoder.state_size)
    position = done[-1].start + done[-1].frames if done else 0
    left = [clip for clip in clips if clip.key not in {stored.key for stored in done}]
    with states.open("ab") as state_file, means.open("ab") as mean_file, index.open("a") as index_file:
        for number, clip in enumerate(left):
            samples = clip.samples()
            samples = samples if view is None else view(clip, samples)
            samples = np.pad(samples, (0, max(0, _SHORTEST - len(samples))))
            layers = _encode(encoder, samples)  # (L, T, H)
            half = layers[:, ::_EVERY].transpose(0, 1).to(torch.float16).contiguous().numpy()
            if not np.isfinite(half).all():
                raise SettingsError(f"expected states that half precision holds, got more of {clip.key}")
            state_file.write(half.tobytes())
            mean_file.write(layers.mean(1).numpy().astype(np.float32).tobytes())
            state_file.flush()
            mean_file.flush()
            session = 0 if view is None else view.session(clip)
            seconds = len(samples) / SAMPLE_RATE_HZ
            row = StoredClip(clip.key, position, len(half), session, seconds, estimate_snr_db(samples))
            index_file.write(json.dumps(asdict(row)) + "\n")
            index_file.flush()
            position += len(half)
            on_progress(len(done) + number + 1, len(clips))


def _resume(index: Path, states: Path, means: Path, width: int) -> list[StoredClip]:
    """What is complete; the rest of a write that was cut short is removed."""
    lines = index.read_text(encoding="utf-8").splitlines() if index.exists() else []
    done: list[StoredClip] = []
    for line in lines:
        try:
            fields: Mapping[str, Any] = json.loads(line)
        except ValueError:
            break
        done.append(StoredClip(**fields))
    rows = done[-1].start + done[-1].frames if done else 0
    index.write_text("".join(json.dumps(asdict(clip)) + "\n" for clip in done), encoding="utf-8")
    for file, size in ((states, rows * 2), (means, len(done) * 4)):
        file.touch()
        os.truncate(file, size * len(LAYERS) * width)
    return done


@torch.inference_mode()
def _encode(encoder: AudioEncoder, samples: Samples) -> torch.Tensor:
    """(N,) -> (L, T, H) of LAYERS."""
    batch = collate_audio([samples], encoder.waveform_spec)
    layers, mask = encoder.layers(batch.samples, batch.mask)
    return torch.stack([layers[layer][0][mask[0]] for layer in LAYERS])
