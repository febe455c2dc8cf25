"""What a table is asked to run, and its preparation: folds, model factory and inputs that all runs share."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec
from accelerate import Accelerator

from emostream.models import Transcriber, load_transcriber

from ..corpora.example import Example
from ..corpora.leakage import DisjointUnit
from ..data.frozen_features import fingerprint
from ..emotion.inputs import TrainingInputs
from ..emotion.model_factory import ModelFactory
from ..errors import SettingsError
from ..trainer.settings import TrainerSettings
from .ablations import experiment_for_row
from .cache_features import ProgressCallback, inputs_digest
from .experiment import Experiment, check_consistency
from .folds import Fold, make_folds
from .prepare_data import PreparationContext, prepare_inputs
from .run import RunContext
from .select_examples import label_indices, select_examples
from .table_rows import TableRow

CACHE: Final = "cache"
"""Below the work folder: decoded audio, transcripts, alignments, features."""

_EXPERIMENT: Final = "experiment.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class TableRequest:
    """What to run; picklable, so that worker processes can receive it.

    units: what train, validation and test must not share. rows: rows of the table. asr: the recognizer, as
    `load_transcriber` takes it. work: folder of caches, snapshots and predictions. cpu: compute on the CPU
    even where there is a GPU. fold: the only fold to run; None: all. sphinx_words: false where PocketSphinx's
    words are an error.
    """

    experiment: Experiment
    examples: tuple[Example, ...]
    units: tuple[DisjointUnit, ...]
    rows: tuple[TableRow, ...]
    asr: str
    work: Path
    cpu: bool = False
    fold: str | None = None
    sphinx_words: bool = True


@dataclass(frozen=True, slots=True)
class PreparedTable:
    """Everything that the runs of a request share.

    transcriber: name of the recognizer that produced the text, None where none was needed.
    """

    context: RunContext
    folds: list[Fold]
    transcriber: str | None


def prepare_table(
    request: TableRequest, accelerator: Accelerator, on_progress: ProgressCallback
) -> PreparedTable:
    """Loads, checks and computes everything; problems with corpora or settings are raised here, before
    training.

    Raises CorpusError, SettingsError and CheckpointError.
    """
    experiment = request.experiment
    examples = select_examples(request.examples, experiment)
    labels = label_indices(examples, experiment)
    folds = make_folds(
        examples,
        experiment.protocol,
        labels,
        validation_share=experiment.validation_share,
        units=request.units,
        validation=experiment.validation,
        folds=experiment.folds,
    )
    if request.fold is not None:
        folds = [_fold_named(request.fold, folds)]
    variants = [experiment_for_row(experiment, row) for row in request.rows]
    for row, of_row in zip(request.rows, variants, strict=True):
        check_consistency(of_row, row.name)
    model_factory = ModelFactory.load(experiment.model, experiment.labels)
    for settings in {msgspec.json.encode(of_row.model): of_row.model for of_row in variants}.values():
        model_factory.build(settings, 0)  # sizes that cannot be built raise now

    loaded_names: list[str] = []

    def transcriber() -> Transcriber:
        loaded = load_transcriber(request.asr)
        if loaded is None:
            raise SettingsError(
                "expected a transcriber for `text_source = recognized`, got none for --asr "
                f"{request.asr}: name one"
            )
        if not request.sphinx_words and loaded.name.lower().startswith("pocketsphinx"):
            raise SettingsError(
                f"expected a Whisper model's words for the papers' table, got those of {loaded.name}, too "
                "many of which are wrong: pip install 'emostream[whisper]', name one with --asr, or leave "
                "recognized transcripts out with --asr none"
            )
        loaded_names.append(loaded.name)
        return loaded

    preparation = PreparationContext(transcriber, request.work / CACHE, on_progress)
    with accelerator.main_process_first():
        inputs = prepare_inputs(examples, variants, model_factory, preparation)
    work = request.work / _folder_name(experiment, folds, inputs, model_factory)
    work.mkdir(parents=True, exist_ok=True)
    (work / _EXPERIMENT).write_text(msgspec.json.encode(experiment).decode() + "\n", encoding="utf-8")
    context = RunContext(experiment, model_factory, inputs, labels, accelerator, work)
    return PreparedTable(context, folds, loaded_names[0] if loaded_names else None)


def _fold_named(name: str, folds: Sequence[Fold]) -> Fold:
    for fold in folds:
        if fold.name == name:
            return fold
    raise SettingsError(f"expected --fold to be one of {', '.join(fold.name for fold in folds)}, got {name}")


def _without_loading(settings: TrainerSettings) -> TrainerSettings:
    """The settings without those that change no result, but when batches are made and snapshots written."""
    return msgspec.structs.replace(settings, loader_workers=0, save_every=0)


def _folder_name(
    experiment: Experiment, folds: Sequence[Fold], inputs: TrainingInputs, model_factory: ModelFactory
) -> str:
    """Differs wherever anything differs that predictions depend on; more seeds or alphas do not."""
    neutral = msgspec.structs.replace(
        experiment,
        name="",
        note="",
        seeds=(0,),
        alphas=(),
        fused_alphas=(),
        sweep_seeds=0,
        keep_weights="baseline",
        trainer=_without_loading(experiment.trainer),
        continued=_without_loading(experiment.continued),
    )
    digest = hashlib.sha256(msgspec.json.encode(neutral))
    for fold in folds:
        for part in (fold.train, fold.validation, fold.test):
            fields = [[e.key, e.emotion, e.emotion_orig, e.words, e.paired, e.speaker] for e in part]
            digest.update(json.dumps([fold.name, fields]).encode())
    digest.update(inputs_digest(inputs).encode())
    for encoder in (model_factory.template.audio_encoder, model_factory.template.text_encoder):
        digest.update(fingerprint(encoder).encode())
    return f"{experiment.name or 'experiment'}-{digest.hexdigest()[:10]}"
