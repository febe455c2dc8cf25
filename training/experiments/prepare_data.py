"""Prepares the inputs that all runs of a table share: audio, transcripts, alignments and frozen features."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from emostream.models import Alignment, Transcriber, Transcript

from ..corpora.example import Example
from ..corpora.registry import corpus_alignment
from ..data.alignments import Alignments, cached_alignments, shift_alignment
from ..data.audio_cache import AudioCache, cached_audio
from ..data.transcripts import Transcripts, cached_transcripts
from ..emotion.inputs import TrainingInputs
from ..emotion.model_factory import ModelFactory
from ..emotion.settings import DataSettings
from .ablations import aligned_granularities
from .cache_features import FeatureCache, ProgressCallback
from .experiment import Experiment


@dataclass(frozen=True, slots=True)
class PreparationContext:
    """transcriber: loads the recognizer, called only where recognized text is needed. cache: folder of
    decoded audio, transcripts, alignments and features.
    """

    transcriber: Callable[[], Transcriber]
    cache: Path
    on_progress: ProgressCallback


def prepare_inputs(
    examples: Sequence[Example],
    variants: Sequence[Experiment],
    model_factory: ModelFactory,
    context: PreparationContext,
) -> TrainingInputs:
    """All inputs that the variants of an experiment need, each computed once and cached.

    variants: may differ in their model, `use_audio` and `text_source`, but not in their other `data`
    settings. Alignments are of the first one's words: the others' rows with spans read the same.
    """
    data = variants[0].data
    needs_audio = any(
        variant.data.use_audio or variant.data.text_source == "recognized" for variant in variants
    )
    with_audio = [example for example in examples if example.path is not None and needs_audio]
    audio = cached_audio(
        with_audio,
        context.cache / "sounds",
        trimmed=data.trim_silence,
        on_progress=lambda done, clips: context.on_progress("sounds", done, clips),
    )
    transcripts: Transcripts = {}
    if any(variant.data.text_source == "recognized" for variant in variants):
        unpaired = [example for example in with_audio if not example.paired]
        transcripts = _transcripts(unpaired, audio, context)
    alignments: Alignments = {}
    if any(aligned_granularities(variant) for variant in variants):
        alignments = _alignments(with_audio, audio, transcripts, data, context)
    inputs = TrainingInputs(audio, model_factory.tokenizer, transcripts, alignments)
    if not data.cache_features:
        return inputs
    features = FeatureCache(inputs, model_factory, context.cache / "features", context.on_progress)
    by_source = {
        source: features.text_features(examples, data, source)
        for source in sorted({variant.data.text_source for variant in variants} - {"none"})
    }
    return replace(
        inputs,
        audio_features=features.audio_features(examples, data),
        text_features={source: found for source, found in by_source.items() if found},
    )


def _transcripts(examples: Sequence[Example], audio: AudioCache, context: PreparationContext) -> Transcripts:
    if not examples:
        return {}

    def on_progress(done: int, clips: int) -> None:
        context.on_progress("transcripts", done, clips)

    return cached_transcripts(examples, audio, context.transcriber(), context.cache, on_progress)


def _alignments(
    examples: Sequence[Example],
    audio: AudioCache,
    transcripts: Transcripts,
    data: DataSettings,
    context: PreparationContext,
) -> Alignments:
    """Of the words spoken in every clip. The corpus's own alignment is used with gold text, where it has
    one.
    """
    from_corpus: dict[str, Alignment] = {}
    to_align: dict[str, Transcript] = {}
    for example in examples:
        own = corpus_alignment(example) if data.text_source == "gold" and not example.paired else None
        if own is not None:
            from_corpus[example.key] = shift_alignment(own, 1.0, -audio.trimmed_front.get(example.key, 0))
        elif transcript := _spoken_words(example, {} if data.text_source == "gold" else transcripts):
            to_align[example.key] = transcript

    def on_progress(done: int, clips: int) -> None:
        context.on_progress("alignments", done, clips)

    aligned = cached_alignments(to_align, audio, context.cache / "alignments", on_progress)
    return from_corpus | dict(aligned)


def _spoken_words(example: Example, transcripts: Transcripts) -> Transcript | None:
    """The words actually spoken in the clip, as far as they are known: never a paired text."""
    if example.key in transcripts:
        return transcripts[example.key] if transcripts[example.key].text else None
    return Transcript(example.english, "en") if example.english else None
