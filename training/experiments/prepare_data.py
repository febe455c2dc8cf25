"""From a corpus and an experiment to what all cells of its table share."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from msgspec.structs import replace
from torch import Tensor

from emostream.models import Alignment, Transcriber, Transcript
from emostream.models.collate import collate_audio, collate_text

from ..augmentation.pipeline import augment, augment_text
from ..corpora.example import CorpusError, Example
from ..corpora.registry import corpus_alignment
from ..data.alignments import Alignments, cached_alignments, moved
from ..data.audio_cache import AudioCache, cached_audio
from ..data.frozen_features import FrozenFeatures, cached_features, fingerprint
from ..data.transcripts import Transcripts, cached_transcripts
from ..emotion.inputs import NO_ALIGNMENT, TrainingInputs, input_text
from ..emotion.model_factory import ModelFactory
from ..emotion.settings import DataSettings, TextSource
from ..trainer.seeding import example_rng
from .ablations import aligned_granularities
from .experiment import Experiment

Seen = Callable[[str, int, int], None]
"""Told what is being prepared, how many are done, and of how many."""


@dataclass(frozen=True, slots=True)
class PreparationContext:
    """transcriber: loaded only where recognized words are read. cache: decoded sound and the like."""

    transcriber: Callable[[], Transcriber]
    cache: Path
    seen: Seen


def select_examples(examples: Sequence[Example], experiment: Experiment) -> list[Example]:
    """Those of its corpora with one of the experiment's labels, at most so many of each speaker and label.

    Raises CorpusError where a corpus or a label has none at all.
    """
    named = set(experiment.corpora) or {example.corpus for example in examples}
    if unknown := sorted(named - {example.corpus for example in examples}):
        raise CorpusError(f"expected utterances of {unknown[0]}, got none: change corpora")
    examples = [example for example in examples if example.corpus in named]
    chosen = [example for example in examples if label_of(example, experiment) in experiment.labels]
    held = {label_of(example, experiment) for example in chosen}
    if missing := [label for label in experiment.labels if label not in held]:
        found = sorted({label_of(example, experiment) for example in examples})
        raise CorpusError(
            f"expected utterances of every label, got none of {', '.join(missing)}; the corpus has "
            f"{', '.join(found)} in its column {experiment.label}: change labels or label"
        )
    return _at_most(chosen, experiment) if experiment.at_most else chosen


def _at_most(examples: Sequence[Example], experiment: Experiment) -> list[Example]:
    """Drawn by the examples' keys alone: whoever is added, the others' draw stays."""
    cells: dict[tuple[str, str], list[Example]] = {}
    for example in examples:
        cells.setdefault((example.speaker, label_of(example, experiment)), []).append(example)
    drawn = set()
    for cell in cells.values():
        ranked = sorted(cell, key=lambda example: example_rng(0, 0, example.key).random())
        drawn |= {example.key for example in ranked[: experiment.at_most]}
    return [example for example in examples if example.key in drawn]


def label_of(example: Example, experiment: Experiment) -> str:
    """As the experiment names it."""
    return example.emotion if experiment.label == "emotion" else example.emotion_orig


def label_indices(examples: Iterable[Example], experiment: Experiment) -> dict[str, int]:
    """Key -> number of the label."""
    return {e.key: experiment.labels.index(label_of(e, experiment)) for e in examples}


def gather(
    examples: Sequence[Example],
    variants: Sequence[Experiment],
    blueprint: ModelFactory,
    helpers: PreparationContext,
) -> TrainingInputs:
    """All that the variants of an experiment need, each part computed once and kept.

    variants: they differ in their model and in what is heard and read, not in their other `data`.
    """
    data = variants[0].data
    listens = any(of_row.data.sound or of_row.data.words == "recognized" for of_row in variants)
    with_sound = [example for example in examples if example.path is not None and listens]
    sounds = cached_audio(
        with_sound,
        helpers.cache / "sounds",
        trimmed=data.trimmed,
        seen=lambda done, clips: helpers.seen("sounds", done, clips),
    )
    transcripts: Transcripts = {}
    if any(variant.data.words == "recognized" for variant in variants):
        unread = [example for example in with_sound if not example.paired]
        transcripts = _transcripts(unread, sounds, helpers)
    alignments: Alignments = {}
    if any(aligned_granularities(variant) for variant in variants):
        alignments = _alignments(with_sound, sounds, transcripts, data, helpers)
    material = TrainingInputs(sounds, blueprint.tokenizer, transcripts, alignments)
    if not data.keep_features:
        return material
    sources = sorted({variant.data.words for variant in variants} - {"none"})
    return _kept(examples, material, data, sources, blueprint, helpers)


def _transcripts(examples: Sequence[Example], sounds: AudioCache, helpers: PreparationContext) -> Transcripts:
    if not examples:
        return {}

    def seen(done: int, clips: int) -> None:
        helpers.seen("transcripts", done, clips)

    return cached_transcripts(examples, sounds, helpers.transcriber(), helpers.cache, seen)


def _alignments(
    examples: Sequence[Example],
    sounds: AudioCache,
    transcripts: Transcripts,
    data: DataSettings,
    helpers: PreparationContext,
) -> Alignments:
    """Of what is said in every clip: the corpus's own alignment where gold words are read and it has one."""
    found: dict[str, Alignment] = {}
    spoken: dict[str, Transcript] = {}
    for example in examples:
        own = corpus_alignment(example) if data.words == "gold" and not example.paired else None
        if own is not None:
            found[example.key] = moved(own, 1.0, -sounds.fronts.get(example.key, 0))
        elif said := _said(example, transcripts):
            spoken[example.key] = said

    def seen(done: int, clips: int) -> None:
        helpers.seen("alignments", done, clips)

    return found | dict(cached_alignments(spoken, sounds, helpers.cache / "alignments", seen))


def _said(example: Example, transcripts: Transcripts) -> Transcript | None:
    """What is really said in the clip, as far as is known: never a paired text."""
    if example.key in transcripts:
        return transcripts[example.key] if transcripts[example.key].text else None
    return Transcript(example.english, "en") if example.english else None


def _kept(
    examples: Sequence[Example],
    material: TrainingInputs,
    data: DataSettings,
    sources: Sequence[TextSource],
    blueprint: ModelFactory,
    helpers: PreparationContext,
) -> TrainingInputs:
    """The same, with what the frozen encoders say of the sound and of the words from each source."""
    heard = _heard(examples, material, data, blueprint, helpers)
    read = {
        source: features
        for source in sources
        if (features := _read(examples, material, replace(data, words=source), blueprint, helpers))
    }
    return TrainingInputs(
        material.sounds, material.tokenizer, material.transcripts, material.alignments, heard, read
    )


def _heard(
    examples: Sequence[Example],
    material: TrainingInputs,
    data: DataSettings,
    blueprint: ModelFactory,
    helpers: PreparationContext,
) -> FrozenFeatures | None:
    encoder = blueprint.template.audio_encoder
    keys = [example.key for example in examples if example.path is not None]
    if not keys or not data.sound:
        return None

    @torch.inference_mode()
    def encode(key: str, view: int) -> tuple[Tensor, Alignment]:
        samples, alignment = material.sounds.clip(key), material.alignments.get(key, NO_ALIGNMENT)
        if view:
            samples, alignment = augment(samples, alignment, data.augment, example_rng(view, 0, key))
        batch = collate_audio([samples], encoder.waveform)
        states, mask = encoder.layers(batch.samples, batch.mask)
        return torch.stack([state[0, : int(mask.sum())] for state in states]), alignment

    how = (encoder.waveform, str(blueprint.template.config.audio_config))
    of = (keys, data.augment, data.trimmed, _digest(material, keys), how)
    return _features("audio features", keys, data.views, encode, fingerprint(encoder, *of), helpers)


def _read(
    examples: Sequence[Example],
    material: TrainingInputs,
    data: DataSettings,
    blueprint: ModelFactory,
    helpers: PreparationContext,
) -> FrozenFeatures | None:
    encoder = blueprint.template.text_encoder
    texts = {example.key: input_text(example, data.words, material.transcripts) for example in examples}
    keys = [key for key, text in texts.items() if text]
    if not keys:
        return None

    @torch.inference_mode()
    def encode(key: str, view: int) -> tuple[Tensor, Alignment]:
        text = augment_text(texts[key], data.augment, example_rng(view, 1, key)) if view else texts[key]
        batch = collate_text([text], material.tokenizer, blueprint.template.config.max_tokens)
        return torch.stack([state[0] for state in encoder.layers(batch.ids, batch.mask)]), NO_ALIGNMENT

    config = blueprint.template.config
    how = (material.tokenizer.to_str(), config.max_tokens, str(config.text_config))
    of = (texts, data.augment, how)
    return _features("text features", keys, data.views, encode, fingerprint(encoder, *of), helpers)


def inputs_digest(material: TrainingInputs) -> str:
    """Of all clips, of what was understood of them, and of where their words lie."""
    understood = {key: transcript.text for key, transcript in material.transcripts.items()}
    return _digest(material, sorted(material.sounds.spans)) + json.dumps(understood, sort_keys=True)


def _digest(material: TrainingInputs, keys: Sequence[str]) -> str:
    """Of the clips and of where their words lie."""
    digest = hashlib.blake2b(digest_size=16)
    for key in keys:
        start, end = material.sounds.spans[key]
        digest.update(material.sounds.samples[start:end].tobytes())
        digest.update(repr(material.alignments.get(key)).encode())
    return digest.hexdigest()


def _features(
    what: str,
    keys: Sequence[str],
    views: int,
    encode: Callable[[str, int], tuple[Tensor, Alignment]],
    identity: str,
    helpers: PreparationContext,
) -> FrozenFeatures:
    def seen(done: int) -> None:
        helpers.seen(what, done, len(keys) * views)

    return cached_features(keys, views, encode, identity, helpers.cache / "features", seen)
