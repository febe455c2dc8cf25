"""A clip as one vector: mean and log deviation over time of an encoder's layers, cached on disk."""

from __future__ import annotations

import hashlib
import os
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from emostream.models import SAMPLE_RATE_HZ, Samples
from emostream.models.checkpoint import load_checkpoint
from emostream.models.checkpoint_files import resolve_checkpoint
from emostream.models.collate import collate_audio
from emostream.models.device import choose_device
from emostream.models.encoders.base import AudioEncoder
from emostream.models.encoders.layer_mix import LayerConcat
from emostream.models.pretrained import pretrained_audio_encoder

from ..corpora.example import Example
from ..data.audio_cache import trim
from ..data.audio_decoding import decode_examples
from ..data.frozen_features import fingerprint
from ..denormals import flushed_denormals
from ..errors import SettingsError
from .linear import Floats

_LONGEST_S: Final = 30
"""Of a clip; what is beyond is not read. Whisper's encoder takes no more."""
_SHORTEST_S: Final = 0.2
_BATCH: Final = 64
"""Clips in a file of the cache: what a killed run loses at most."""
_DAMAGE: Final = (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile)

Progress = Callable[[int, int], None]
"""Called with the number of clips done and the total."""


def pooled_statistics(states: Tensor, mean: Tensor | None = None) -> Floats:
    """states: (L, T, H) -> (2 L H,). mean: (L, H), where that of more frames than these is known."""
    deviation = torch.log(states.std(1, correction=0) + 1e-3)
    pooled: Floats = torch.cat([states.mean(1) if mean is None else mean, deviation]).flatten().numpy()
    return pooled


@dataclass(frozen=True, slots=True)
class PooledEncoder:
    """A frozen encoder and those of its layers that are pooled. name: for people."""

    encoder: AudioEncoder
    layers: tuple[int, ...]
    name: str

    @classmethod
    def load(
        cls, checkpoint: str | Path | None, audio: str | Path | None, layers: Sequence[int] | None
    ) -> PooledEncoder:
        """That of a checkpoint (None: the bundled one), or `audio` by hub name or folder. layers: None for
        those that the checkpoint's own head reads, all where it reads a mix. Raises CheckpointError and
        SettingsError.
        """
        if audio is not None:
            encoder, name = pretrained_audio_encoder(audio), str(audio)
        else:
            folder = resolve_checkpoint(checkpoint)
            encoder = load_checkpoint(folder).model.audio_encoder
            name = f"the {encoder.backbone.config.model_type} encoder of {folder.name}"
        if layers is None:
            mix = encoder.mix
            layers = mix.chosen if isinstance(mix, LayerConcat) else range(encoder.states)
        if not layers or not set(layers) <= set(range(encoder.states)):
            raise SettingsError(
                f"expected layers from 0 to {encoder.states - 1} of {name}, got {', '.join(map(str, layers))}"
            )
        return cls(encoder.eval(), tuple(layers), name)

    @torch.inference_mode()
    def pooled(self, samples: Samples, device: torch.device) -> Floats:
        """(N,) -> (2 L H,). Silent edges are trimmed, as in training and by a segmenter."""
        samples = trim(samples)[: _LONGEST_S * SAMPLE_RATE_HZ]
        samples = np.pad(samples, (0, max(0, int(_SHORTEST_S * SAMPLE_RATE_HZ) - len(samples))))
        batch = collate_audio([samples], self.encoder.waveform_spec).to(device)
        states, mask = self.encoder.layers(batch.samples, batch.mask)
        return pooled_statistics(
            torch.stack([states[layer][0][mask[0]] for layer in self.layers]).float().cpu()
        )


def pooled_features(
    examples: Sequence[Example], pooled: PooledEncoder, cache: Path, on_progress: Progress, *, device: str
) -> Floats:
    """(N, D) of every example's audio; what `cache` holds of these files as they are now is not computed
    again.

    Raises CorpusError, which lists every file that cannot be used, and DeviceError.
    """
    chosen = choose_device(device)
    folder = cache / f"pooled-{fingerprint(pooled.encoder, pooled.layers, pooled.encoder.waveform_spec)[:16]}"
    known = _read(folder)
    names = [_identity(example) for example in examples]
    missing = {name: example for name, example in zip(names, examples, strict=True) if name not in known}
    done = len(examples) - len(missing)
    of_key = {example.key: name for name, example in missing.items()}
    pooled.encoder.to(chosen)
    batch: dict[str, Floats] = {}
    try:
        for example, samples in _decoded(list(missing.values())):
            with flushed_denormals():
                batch[of_key[example.key]] = pooled.pooled(samples, chosen)
            done += 1
            on_progress(done, len(examples))
            if len(batch) == _BATCH:
                known |= batch
                _write(folder, batch)
                batch = {}
    finally:
        if batch:
            known |= batch
            _write(folder, batch)
    return np.stack([known[name] for name in names])


def _decoded(examples: Sequence[Example]) -> Iterator[tuple[Example, Samples]]:
    return decode_examples(examples) if examples else iter(())


def _identity(example: Example) -> str:
    """Of the file as it is now. A missing one is reported with all others that cannot be used."""
    path = example.audio_path.resolve()
    state = path.stat() if path.is_file() else None
    identity = (str(path), state and (state.st_size, state.st_mtime_ns))
    return hashlib.blake2b(repr(identity).encode(), digest_size=16).hexdigest()


def _read(folder: Path) -> dict[str, Floats]:
    """Files that are damaged count as absent."""
    known: dict[str, Floats] = {}
    for file in sorted(folder.glob("*.npz")):
        try:
            with file.open("rb") as opened, np.load(opened, allow_pickle=False) as values:
                names: npt.NDArray[np.str_] = values["names"]
                known |= dict(zip(names.tolist(), values["features"], strict=True))
        except _DAMAGE:
            file.unlink(missing_ok=True)
    return known


def _write(folder: Path, batch: dict[str, Floats]) -> None:
    """Atomically, under a name that no other process takes."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{hashlib.blake2b(repr(sorted(batch)).encode(), digest_size=8).hexdigest()}.npz"
    unfinished = file.with_name(f"{file.name}.{os.getpid()}.tmp")
    with unfinished.open("wb") as out:
        np.savez(out, names=np.array(list(batch)), features=np.stack(list(batch.values())))
    unfinished.replace(file)
