"""The whole run: corpora to a checkpoint folder, stage by stage, each resumed where it was left.

Only training speakers are learned from; validation speakers are looked at while distilling and fit the
calibration; test speakers are dropped before the first stage sees anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch
from tokenizers import Tokenizer

from emostream.models import Transcript
from emostream.models.checkpoint import write_checkpoint
from emostream.models.emotion import EmotionModel

from ..corpora.example import OTHER, Example
from ..corpora.manifest import read_manifest
from ..corpora.texts import read_texts
from ..log import Log
from ..preparation.alignments import Alignments, cached_alignments
from ..preparation.sounds import Sounds, cached_sounds
from .calibration_data import calibrate
from .distill import DistilData, distil
from .fusion import FusionData, train_fusion
from .pairs import Pairing
from .provenance import Provenance
from .settings import RunSettings
from .student import new_student
from .teacher import cached_states
from .textstudent import TextData, minilm_vectors, teach_text
from .vocabulary import learn_tokenizer

TEXT_CORPORA: Final = ("goemotions", "emorynlp", "dailydialog_reccon")
"""MELD stays out: its licence is unsettled for released weights."""
_DEV_CLIPS: Final = 192


@dataclass(frozen=True, slots=True)
class Places:
    """data: corpora. weights: teachers. work: snapshots and caches. out: the checkpoint folder."""

    data: Path
    weights: Path
    work: Path
    out: Path


@dataclass(frozen=True, slots=True)
class Speaking:
    """The clips by role, without any test speaker, and their decoded sound."""

    train: list[Example]
    dev: list[Example]
    sounds: Sounds


def train(settings: RunSettings, places: Places) -> None:
    """Runs what is left to do of all stages and writes the checkpoint folder, card apart."""
    torch.set_flush_denormal(True)
    log = Log(places.work / "log.txt")
    speaking = _speaking(places)
    lines = read_texts(places.data / "text.csv.gz", TEXT_CORPORA)
    tokenizer = _tokenizer(settings, lines, places.work)
    words = sorted(word for word in tokenizer.get_vocab() if word.isalpha() and len(word) > 2)
    provenance = Provenance()
    torch.manual_seed(settings.seed)
    model = _new_model(settings, speaking)
    _distil(model, settings, places, speaking, provenance, log)
    _teach_text(model, tokenizer, lines, words, settings, places, log)
    pairing = Pairing(_named(lines, "train"), model.config.label_names, words, settings.fusion)
    alignments = _alignments(model, speaking, places, log)
    provenance.add("fusion", [example for example in speaking.train if example.emotion != OTHER])
    model = train_fusion(
        model,
        FusionData(speaking.train, speaking.dev, speaking.sounds, pairing, tokenizer, alignments),
        settings.fusion,
        settings.seed,
        places.work / "fusion.pt",
        log,
    )
    dev = [example for example in speaking.dev if example.emotion != OTHER]
    provenance.add("calibration", dev)
    dev_lines = _named(lines, "dev")
    dev_pairing = Pairing(dev_lines, model.config.label_names, words, settings.fusion)
    held_out = FusionData([], dev, speaking.sounds, dev_pairing, tokenizer, alignments)
    calibrate(model, held_out, dev_lines, settings.seed, log)
    write_checkpoint(model, tokenizer, places.out)
    provenance.write(places.out / "audio_used.csv")
    log.line(f"wrote {places.out}")


def _speaking(places: Places) -> Speaking:
    examples = [e for e in read_manifest(places.data / "manifest.csv") if e.split != "test"]
    sounds = cached_sounds(examples, places.work / "cache")
    train = [example for example in examples if example.split == "train"]
    return Speaking(train, [example for example in examples if example.split == "dev"], sounds)


def _alignments(model: EmotionModel, speaking: Speaking, places: Places, log: Log) -> Alignments:
    if not model.config.spans:
        return {}
    spoken = {e.key: Transcript(e.english, "en") for e in speaking.train + speaking.dev if e.english}

    def seen(done: int, clips: int) -> None:
        if done % 512 == 0:
            log.line(f"alignment: {done} of {clips} clips")

    return cached_alignments(spoken, speaking.sounds, places.work / "cache", seen)


def _new_model(settings: RunSettings, speaking: Speaking) -> EmotionModel:
    rng = np.random.default_rng(settings.seed)
    rows = rng.choice(len(speaking.train), min(64, len(speaking.train)), replace=False)
    return new_student(settings.student, [speaking.sounds.clip(speaking.train[row].key) for row in rows])


def _distil(
    model: EmotionModel,
    settings: RunSettings,
    places: Places,
    speaking: Speaking,
    provenance: Provenance,
    log: Log,
) -> None:
    rng = np.random.default_rng(0)
    count = min(_DEV_CLIPS, len(speaking.dev))
    dev = [speaking.dev[row] for row in sorted(rng.choice(len(speaking.dev), count, replace=False))]
    paths = [example.key for example in speaking.train + dev]
    cache = places.work / "cache"
    states = cached_states(speaking.sounds, paths, settings.distil.teacher_layers, places.weights, cache, log)
    provenance.add("distillation", speaking.train)
    provenance.add("distillation, validation loss only", dev)
    data = DistilData(speaking.train, dev, speaking.sounds, states)
    distil(model, data, settings.distil, settings.seed, places.work / "distil.pt", log)


def _teach_text(
    model: EmotionModel,
    tokenizer: Tokenizer,
    lines: Sequence[Example],
    words: Sequence[str],
    settings: RunSettings,
    places: Places,
    log: Log,
) -> None:
    train = [line for line in lines if line.split == "train"]
    texts = [line.words for line in train]
    vectors = minilm_vectors(texts, settings.text.teacher_lines, places.work / "cache", log)
    data = TextData(train, [line for line in lines if line.split == "dev"], vectors, words)
    teach_text(model, tokenizer, data, settings.text, places.work / "text.pt", log)


def _tokenizer(settings: RunSettings, lines: Sequence[Example], work: Path) -> Tokenizer:
    file = work / "tokenizer.json"
    if file.exists():
        return Tokenizer.from_file(str(file))
    work.mkdir(parents=True, exist_ok=True)
    texts = (line.words for line in lines if line.split == "train")
    tokenizer = learn_tokenizer(texts, settings.student.vocabulary)
    tokenizer.save(str(file))
    return tokenizer


def _named(lines: Sequence[Example], split: str) -> list[Example]:
    return [line for line in lines if line.split == split and line.emotion != OTHER]
