"""The stages of the recipe, each resumed where it stopped: distillation, heads, fusion, cross-validation.

The shipped weights are trained on training speakers only; validation speakers are used for the validation
loss of the distillation and to fit the calibration; no stage uses test speakers. The cross-validation
divides the evaluated corpus differently, and its models are discarded.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from tokenizers import Tokenizer

from emostream.models.emotion import EmotionModel

from ..corpora.example import Example
from ..corpora.manifest import read_manifest
from ..corpora.text_corpus import read_text_corpus
from ..data.audio_cache import AudioCache, cached_audio
from ..evaluation.evaluate import PAIRED_CORPUS
from ..evaluation.predictions import FoldPredictions
from ..evaluation.text_conflict import PairedTexts
from ..run_log import RunLog
from ..trainer.runtime import Runtime, make_accelerator
from .audio_teacher import WhisperTeacher
from .cross_fusion import FusionStage, PairedTextData, crossvalidate_with_text
from .distill import DistillationData, distill_audio_encoder
from .heads import (
    CROSS_CORPUS,
    FOLDS,
    HeadPaths,
    HeadRunContext,
    cross_corpus_fold,
    crossvalidate_heads,
    head_run_context,
    six_folds,
    train_final_head,
)
from .log_callback import LogCallback
from .pairs import PairSampler
from .provenance import Provenance
from .settings import PRECISION, RunSettings
from .synthetic import CORPUS as SYNTHETIC
from .synthetic import synthetic_speech
from .text_student import train_text_student
from .text_teacher import text_soft_targets
from .vocabulary import train_tokenizer

TEXT_CORPORA: Final = ("goemotions", "emorynlp", "dailydialog_reccon")
"""MELD stays out: its licence is unsettled for released weights."""
TEACHER: Final = "whisper-tiny.en-encoder"
_VALIDATION_CLIPS: Final = 96


@dataclass(frozen=True, slots=True)
class RecipePaths:
    """data: corpora. weights: teachers. work: snapshots and caches. output: the checkpoint folder."""

    data: Path
    weights: Path
    work: Path
    output: Path

    @property
    def cache(self) -> Path:
        return self.work / "cache"


@dataclass(frozen=True, slots=True)
class AudioData:
    """The training and validation clips, without any test speaker, and their decoded audio."""

    train: list[Example]
    validation: list[Example]
    audio: AudioCache

    @classmethod
    def load(cls, paths: RecipePaths) -> AudioData:
        examples = [e for e in read_manifest(paths.data / "manifest.csv") if e.split != "test"]
        train = [example for example in examples if example.split == "train"]
        validation = [example for example in examples if example.split == "dev"]
        return cls(train, validation, cached_audio(examples, paths.cache))


@dataclass(frozen=True, slots=True)
class TextData:
    """The training and validation lines of the text corpora, and the tokenizer trained on the former."""

    train: list[Example]
    validation: list[Example]
    tokenizer: Tokenizer

    @classmethod
    def load(cls, settings: RunSettings, paths: RecipePaths) -> TextData:
        lines = read_text_corpus(paths.data / "text.csv.gz", TEXT_CORPORA)
        train, validation = ([line for line in lines if line.split == split] for split in ("train", "dev"))
        return cls(train, validation, _tokenizer(settings, train, paths.work))

    @property
    def words(self) -> list[str]:
        """Substitutes for the words that simulated recognition errors replace."""
        return sorted(word for word in self.tokenizer.get_vocab() if word.isalpha() and len(word) > 2)


def distill_audio(
    model: EmotionModel,
    settings: RunSettings,
    paths: RecipePaths,
    audio: AudioData,
    provenance: Provenance,
    log: RunLog,
) -> None:
    """Stage 1: the audio encoder, by distillation."""
    distillation = settings.distillation
    lines = read_text_corpus(paths.data / "text.csv.gz", TEXT_CORPORA)
    synthetic, synthetic_audio = synthetic_speech(
        lines, distillation.synthetic, settings.seed, paths.cache, log
    )
    train = [example for example in audio.train if example.corpus not in distillation.exclude_corpora]
    validation = _validation_clips(
        [example for example in audio.validation if example.corpus not in distillation.exclude_corpora]
    )
    data = DistillationData(train + synthetic, validation, {"": audio.audio, SYNTHETIC: synthetic_audio})
    provenance.add("distillation", data.train)
    provenance.add("distillation, validation loss only", validation)
    teacher = WhisperTeacher(paths.weights / TEACHER, distillation.teacher_layers)
    runtime = _runtime(paths, "distillation", log)
    distill_audio_encoder(model, data, teacher, distillation, settings.seed, runtime)


def distill_text(
    model: EmotionModel, settings: RunSettings, paths: RecipePaths, text: TextData, log: RunLog
) -> None:
    """Stage 2: the text teacher, then the text student."""
    labels, seed = model.config.label2id, settings.seed
    soft_targets = text_soft_targets(
        text.train,
        text.validation,
        labels,
        settings.text_teacher,
        seed,
        _runtime(paths, "text_teacher", log),
    )
    train_text_student(
        model,
        text.tokenizer,
        (text.train, text.validation),
        soft_targets,
        text.words,
        settings.text,
        seed,
        _runtime(paths, "text", log),
    )


def prepare_heads(
    model: EmotionModel, tokenizer: Tokenizer, settings: RunSettings, paths: RecipePaths, log: RunLog
) -> HeadRunContext:
    """What all audio-only heads share: the encoder's states for every clip of the four labels.

    Test speakers' clips are among them, for testing; no head is trained on its own test speakers.
    """
    examples = [
        example
        for example in read_manifest(paths.data / "manifest.csv")
        if example.emotion in model.config.label_names
    ]
    head_paths = HeadPaths(paths.work / "heads", paths.cache, log)
    return head_run_context(model, tokenizer, examples, settings.heads, settings.fold_seeds, head_paths)


def make_fusion_stage(
    context: HeadRunContext, settings: RunSettings, paths: RecipePaths, text: TextData, log: RunLog
) -> FusionStage:
    """Turns a head into a model with fusion: used for the folds and for the shipped weights alike."""
    labels = context.experiment.labels
    sampler, validation_sampler = (
        PairSampler(_with_labels(lines, labels), labels, text.words, settings.fusion)
        for lines in (text.train, text.validation)
    )
    test_lines = [
        line
        for line in _with_labels(read_text_corpus(paths.data / "text.csv.gz", (PAIRED_CORPUS,)), labels)
        if line.split == "test"
    ]
    test_texts = PairedTexts(test_lines, [line.emotion for line in test_lines])
    text_data = PairedTextData(sampler, validation_sampler, _with_labels(text.validation, labels), test_texts)
    audio = cached_audio(context.examples, paths.cache)
    return FusionStage(context, audio, text_data, settings.fusion, settings.seed, log)


def cross_validate(
    model: EmotionModel, stage: FusionStage, settings: RunSettings, log: RunLog
) -> list[FoldPredictions]:
    """Cross-validation of the recipe: heads trained as the shipped one is, six times without the speakers of
    one fold, and once without the evaluated corpus; for the first seed's folds with fusion as well. The
    temperature of audio only is fitted on clean validation clips.
    """
    context, seeds = stage.context, settings.fold_seeds
    examples = list(context.examples)
    folds = six_folds(examples, settings.evaluated_corpus)
    cross_corpus = cross_corpus_fold(examples, settings.evaluated_corpus)
    with_text = crossvalidate_with_text(model, stage, folds, seeds[0])
    results = crossvalidate_heads(context, folds, FOLDS, seeds, log)
    return results + crossvalidate_heads(context, [cross_corpus], CROSS_CORPUS, seeds, log) + with_text


def train_shipped_fusion(
    model: EmotionModel,
    stage: FusionStage,
    settings: RunSettings,
    paths: RecipePaths,
    audio: AudioData,
    log: RunLog,
) -> None:
    """Stages 3 and 4: the shipped audio-only head, early fusion, and the calibration of both."""
    labels = model.config.label2id
    train, validation = (
        [e for e in examples if e.emotion in labels] for examples in (audio.train, audio.validation)
    )
    head = train_final_head(stage.context, train, validation, settings.seed, log).model
    stage(model, head, train, validation, _runtime(paths, "fusion", log))


def _validation_clips(examples: Sequence[Example]) -> list[Example]:
    rng = np.random.default_rng(0)
    count = min(_VALIDATION_CLIPS, len(examples))
    return [examples[row] for row in sorted(rng.choice(len(examples), count, replace=False))]


def _runtime(paths: RecipePaths, name: str, log: RunLog) -> Runtime:
    return Runtime(make_accelerator(PRECISION, cpu=True), paths.work / name, LogCallback(log, name))


def _tokenizer(settings: RunSettings, train: Sequence[Example], work: Path) -> Tokenizer:
    file = work / "tokenizer.json"
    if file.exists():
        return Tokenizer.from_file(str(file))
    work.mkdir(parents=True, exist_ok=True)
    tokenizer = train_tokenizer((line.words for line in train), settings.student.vocabulary)
    tokenizer.save(str(file))
    return tokenizer


def _with_labels(lines: Sequence[Example], labels: Collection[str]) -> list[Example]:
    return [line for line in lines if line.emotion in labels]
