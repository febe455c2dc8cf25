"""The stages of the distillation, each resumed where it stopped: the audio encoder, then the text encoder.

Training speakers only; validation speakers are used for the validation loss, and no stage uses test
speakers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from tokenizers import Tokenizer

from emostream.models.emotion import EmotionModel

from ..corpora.example import Example
from ..corpora.manifest import read_manifest
from ..corpora.text_corpus import TEXT_CORPORA, read_text_corpus
from ..data.audio_cache import AudioCache, cached_audio
from ..provenance import DISTILLATION, Provenance
from ..run_log import RunLog
from ..trainer.log_callback import LogCallback
from ..trainer.runtime import Runtime, make_accelerator
from .audio_teacher import WhisperTeacher
from .distill import DistillationData, distill_audio_encoder
from .settings import PRECISION, RunSettings
from .synthetic import CORPUS as SYNTHETIC
from .synthetic import synthetic_speech
from .text_student import train_text_student
from .text_teacher import text_soft_targets
from .vocabulary import train_tokenizer

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
    provenance.add(DISTILLATION[0], data.train)
    provenance.add(DISTILLATION[1], validation)
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
