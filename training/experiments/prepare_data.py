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
            f"{', '.join(found)} in its column {experiment.label_column}: change labels or label"
        )
    return _limit_per_speaker_label(chosen, experiment) if experiment.max_per_speaker_label else chosen


def _limit_per_speaker_label(examples: Sequence[Example], experiment: Experiment) -> list[Example]:
    """Drawn by the examples' keys alone: whoever is added, the others' draw stays."""
    cells: dict[tuple[str, str], list[Example]] = {}
    for example in examples:
        cells.setdefault((example.speaker, label_of(example, experiment)), []).append(example)
    drawn = set()
    for cell in cells.values():
        ranked = sorted(cell, key=lambda example: example_rng(0, 0, example.key).random())
        drawn |= {example.key for example in ranked[: experiment.max_per_speaker_label]}
    return [example for example in examples if example.key in drawn]


def label_of(example: Example, experiment: Experiment) -> str:
    """As the experiment names it."""
    return example.emotion if experiment.label_column == "emotion" else example.emotion_orig


def label_indices(examples: Iterable[Example], experiment: Experiment) -> dict[str, int]:
    """Key -> number of the label."""
    return {e.key: experiment.labels.index(label_of(e, experiment)) for e in examples}


def gather(
    examples: Sequence[Example],
    variants: Sequence[Experiment],
    model_factory: ModelFactory,
    context: PreparationContext,
) -> TrainingInputs:
    """All that the variants of an experiment need, each part computed once and kept.

    variants: they differ in their model and in what is heard and read, not in their other `data`.
    """
    data = variants[0].data
    listens = any(of_row.data.use_audio or of_row.data.text_source == "recognized" for of_row in variants)
    with_sound = [example for example in examples if example.path is not None and listens]
    sounds = cached_audio(
        with_sound,
        context.cache / "sounds",
        trimmed=data.trim_silence,
        seen=lambda done, clips: context.seen("sounds", done, clips),
    )
    transcripts: Transcripts = {}
    if any(variant.data.text_source == "recognized" for variant in variants):
        unread = [example for example in with_sound if not example.paired]
        transcripts = _transcripts(unread, sounds, context)
    alignments: Alignments = {}
    if any(aligned_granularities(variant) for variant in variants):
        alignments = _alignments(with_sound, sounds, transcripts, data, context)
    inputs = TrainingInputs(sounds, model_factory.tokenizer, transcripts, alignments)
    if not data.cache_features:
        return inputs
    sources = sorted({variant.data.text_source for variant in variants} - {"none"})
    return _kept(examples, inputs, data, sources, model_factory, context)


def _transcripts(examples: Sequence[Example], sounds: AudioCache, context: PreparationContext) -> Transcripts:
    if not examples:
        return {}

    def seen(done: int, clips: int) -> None:
        context.seen("transcripts", done, clips)

    return cached_transcripts(examples, sounds, context.transcriber(), context.cache, seen)


def _alignments(
    examples: Sequence[Example],
    sounds: AudioCache,
    transcripts: Transcripts,
    data: DataSettings,
    context: PreparationContext,
) -> Alignments:
    """Of what is said in every clip: the corpus's own alignment where gold words are read and it has one."""
    found: dict[str, Alignment] = {}
    spoken: dict[str, Transcript] = {}
    for example in examples:
        own = corpus_alignment(example) if data.text_source == "gold" and not example.paired else None
        if own is not None:
            found[example.key] = moved(own, 1.0, -sounds.fronts.get(example.key, 0))
        elif said := _said(example, transcripts):
            spoken[example.key] = said

    def seen(done: int, clips: int) -> None:
        context.seen("alignments", done, clips)

    return found | dict(cached_alignments(spoken, sounds, context.cache / "alignments", seen))


def _said(example: Example, transcripts: Transcripts) -> Transcript | None:
    """What is really said in the clip, as far as is known: never a paired text."""
    if example.key in transcripts:
        return transcripts[example.key] if transcripts[example.key].text else None
    return Transcript(example.english, "en") if example.english else None


def _kept(
    examples: Sequence[Example],
    inputs: TrainingInputs,
    data: DataSettings,
    sources: Sequence[TextSource],
    model_factory: ModelFactory,
    context: PreparationContext,
) -> TrainingInputs:
    """The same, with what the frozen encoders say of the sound and of the words from each source."""
    heard = _heard(examples, inputs, data, model_factory, context)
    read = {
        source: features
        for source in sources
        if (features := _read(examples, inputs, replace(data, text_source=source), model_factory, context))
    }
    return TrainingInputs(inputs.sounds, inputs.tokenizer, inputs.transcripts, inputs.alignments, heard, read)


def _heard(
    examples: Sequence[Example],
    inputs: TrainingInputs,
    data: DataSettings,
    model_factory: ModelFactory,
    context: PreparationContext,
) -> FrozenFeatures | None:
    encoder = model_factory.template.audio_encoder
    keys = [example.key for example in examples if example.path is not None]
    if not keys or not data.use_audio:
        return None

    @torch.inference_mode()
    def encode(key: str, view: int) -> tuple[Tensor, Alignment]:
        samples, alignment = inputs.sounds.clip(key), inputs.alignments.get(key, NO_ALIGNMENT)
        if view:
            samples, alignment = augment(samples, alignment, data.augment, example_rng(view, 0, key))
        batch = collate_audio([samples], encoder.waveform_spec)
        states, mask = encoder.layers(batch.samples, batch.mask)
        return torch.stack([state[0, : int(mask.sum())] for state in states]), alignment

    how = (encoder.waveform_spec, str(model_factory.template.config.audio_config))
    of = (keys, data.augment, data.trim_silence, _digest(inputs, keys), how)
    return _features("audio features", keys, data.views, encode, fingerprint(encoder, *of), context)


def _read(
    examples: Sequence[Example],
    inputs: TrainingInputs,
    data: DataSettings,
    model_factory: ModelFactory,
    context: PreparationContext,
) -> FrozenFeatures | None:
    encoder = model_factory.template.text_encoder
    texts = {example.key: input_text(example, data.text_source, inputs.transcripts) for example in examples}
    keys = [key for key, text in texts.items() if text]
    if not keys:
        return None

    @torch.inference_mode()
    def encode(key: str, view: int) -> tuple[Tensor, Alignment]:
        text = augment_text(texts[key], data.augment, example_rng(view, 1, key)) if view else texts[key]
        batch = collate_text([text], inputs.tokenizer, model_factory.template.config.max_tokens)
        return torch.stack([state[0] for state in encoder.layers(batch.ids, batch.mask)]), NO_ALIGNMENT

    config = model_factory.template.config
    how = (inputs.tokenizer.to_str(), config.max_tokens, str(config.text_config))
    of = (texts, data.augment, how)
    return _features("text features", keys, data.views, encode, fingerprint(encoder, *of), context)


def inputs_digest(inputs: TrainingInputs) -> str:
    """Of all clips, of what was understood of them, and of where their words lie."""
    understood = {key: transcript.text for key, transcript in inputs.transcripts.items()}
    return _digest(inputs, sorted(inputs.sounds.spans)) + json.dumps(understood, sort_keys=True)


def _digest(inputs: TrainingInputs, keys: Sequence[str]) -> str:
    """Of the clips and of where their words lie."""
    digest = hashlib.blake2b(digest_size=16)
    for key in keys:
        start, end = inputs.sounds.spans[key]
        digest.update(inputs.sounds.samples[start:end].tobytes())
        digest.update(repr(inputs.alignments.get(key)).encode())
    return digest.hexdigest()


def _features(
    what: str,
    keys: Sequence[str],
    views: int,
    encode: Callable[[str, int], tuple[Tensor, Alignment]],
    identity: str,
    context: PreparationContext,
) -> FrozenFeatures:
    def seen(done: int) -> None:
        context.seen(what, done, len(keys) * views)

    return cached_features(keys, views, encode, identity, context.cache / "features", seen)
