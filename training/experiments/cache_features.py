"""The outputs of frozen encoders for all examples and views, computed once and cached on disk."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from emostream.models import Alignment
from emostream.models.collate import collate_audio, collate_text

from ..augmentation.confusions import confusions_of
from ..augmentation.pipeline import augment, augment_text
from ..corpora.example import Example
from ..data.frozen_features import FrozenFeatures, cached_features, fingerprint
from ..emotion.inputs import NO_ALIGNMENT, TrainingInputs, input_text
from ..emotion.model_factory import ModelFactory
from ..emotion.settings import DataSettings, TextSource
from ..trainer.seeding import example_rng

ProgressCallback = Callable[[str, int, int], None]
"""Called with the name of what is being prepared, how many are done, and the total."""


@dataclass(frozen=True, slots=True)
class FeatureCache:
    """Computes the features of frozen encoders, or reads them from `folder`."""

    inputs: TrainingInputs
    model_factory: ModelFactory
    folder: Path
    on_progress: ProgressCallback

    def audio_features(self, examples: Sequence[Example], data: DataSettings) -> FrozenFeatures | None:
        """The audio encoder's states for every clip and view; None without audio."""
        encoder, inputs = self.model_factory.template.audio_encoder, self.inputs
        keys = [example.key for example in examples if example.path is not None]
        if not keys or not data.use_audio:
            return None

        @torch.inference_mode()
        def encode(key: str, view: int) -> tuple[Tensor, Alignment]:
            samples, alignment = inputs.audio.clip(key), inputs.alignments.get(key, NO_ALIGNMENT)
            if view:
                samples, alignment = augment(samples, alignment, data.augment, example_rng(view, 0, key))
            batch = collate_audio([samples], encoder.waveform_spec)
            states, mask = encoder.layers(batch.samples, batch.mask)
            return torch.stack([state[0, : int(mask.sum())] for state in states]), alignment

        encoder_config = (encoder.waveform_spec, str(self.model_factory.template.config.audio_config))
        depends_on = (keys, data.augment, data.trim_silence, _audio_digest(inputs, keys), encoder_config)
        return self._cached("audio features", keys, data.views, encode, fingerprint(encoder, *depends_on))

    def text_features(
        self, examples: Sequence[Example], data: DataSettings, source: TextSource
    ) -> FrozenFeatures | None:
        """The text encoder's states for every text of `source` and every view; None where there is no
        text.
        """
        encoder, inputs = self.model_factory.template.text_encoder, self.inputs
        texts = {example.key: input_text(example, source, inputs.transcripts) for example in examples}
        keys = [key for key, text in texts.items() if text]
        if not keys:
            return None
        config, confusions = self.model_factory.template.config, confusions_of(inputs.tokenizer)

        @torch.inference_mode()
        def encode(key: str, view: int) -> tuple[Tensor, Alignment]:
            text = texts[key]
            if view:
                text = augment_text(text, data.augment, example_rng(view, 1, key), confusions)
            batch = collate_text([text], inputs.tokenizer, config.max_tokens)
            return torch.stack([state[0] for state in encoder.layers(batch.ids, batch.mask)]), NO_ALIGNMENT

        encoder_config = (inputs.tokenizer.to_str(), config.max_tokens, str(config.text_config))
        depends_on = (texts, data.augment, encoder_config)
        return self._cached("text features", keys, data.views, encode, fingerprint(encoder, *depends_on))

    def _cached(
        self,
        name: str,
        keys: Sequence[str],
        views: int,
        encode: Callable[[str, int], tuple[Tensor, Alignment]],
        identity: str,
    ) -> FrozenFeatures:
        def on_progress(done: int) -> None:
            self.on_progress(name, done, len(keys) * views)

        return cached_features(keys, views, encode, identity, self.folder, on_progress)


def inputs_digest(inputs: TrainingInputs) -> str:
    """Identifies all clips, their alignments and their recognized text."""
    recognized = {key: transcript.text for key, transcript in inputs.transcripts.items()}
    return _audio_digest(inputs, sorted(inputs.audio.spans)) + json.dumps(recognized, sort_keys=True)


def _audio_digest(inputs: TrainingInputs, keys: Sequence[str]) -> str:
    """Identifies the clips and the alignments of their words."""
    digest = hashlib.blake2b(digest_size=16)
    for key in keys:
        start, end = inputs.audio.spans[key]
        digest.update(inputs.audio.samples[start:end].tobytes())
        digest.update(repr(inputs.alignments.get(key)).encode())
    return digest.hexdigest()
