"""Trains a classifier on frozen encoders and many corpora, or only makes its table of unseen corpora.

Everything resumes where it stopped: the states of the encoder clip by clip, every fit from its snapshot.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tokenizers import Tokenizer

from emostream.models import LABELS
from emostream.models.checkpoint import save_checkpoint
from emostream.models.checkpoint_files import BUNDLED
from emostream.models.emotion import EmotionModel
from emostream.models.encoders.base import AudioEncoder

from ..corpora.text_corpus import TEXT_CORPORA, read_text_corpus
from ..denormals import flushed_denormals
from ..errors import SettingsError
from ..provenance import DISTILLATION, Provenance
from ..provenance import FILE as PROVENANCE_FILE
from ..run_log import RunLog
from .build import template
from .card import write_card
from .clips import EVALUATED, NOISE, SpeechClip, load_clips
from .folds import RecipeContext, correct_prior, fit_head, fit_without
from .fusion import TextLines, add_fusion
from .held_out import HeldOut
from .nested import Judge, nested_leave_one_out
from .probe import Probes
from .settings import CrossCorpusSettings
from .states import AugmentedView, StateCache, Views, training_noises, write_states
from .unseen import UnseenReport, write_report


@dataclass(frozen=True, slots=True)
class CrossCorpusPaths:
    """data: the corpora. whisper: the faster-whisper folder of the audio encoder; None: that of `encoders`.
    work: states, snapshots, the log. encoders: the checkpoint folder of the text branch.

    The states are kept by encoder: `work/states/NAME/VIEW`.
    """

    data: Path
    whisper: Path | None
    work: Path
    encoders: Path = BUNDLED


def prepare(settings: CrossCorpusSettings, paths: CrossCorpusPaths) -> tuple[RecipeContext, Tokenizer]:
    """Reads the corpora and encodes what is not in the cache yet. Raises CorpusError, SettingsError."""
    log = RunLog(paths.work / "log.txt")
    _check_encoder(settings, paths)
    _check_same_run(settings, paths)
    clips = load_clips(paths.data, votes=settings.data.votes)
    if not {clip.corpus for clip in clips} & set(EVALUATED):
        raise SettingsError(
            f"expected one or more of {', '.join(EVALUATED)} in {paths.data}, got none: check --data"
        )
    model, tokenizer = template(settings, paths.encoders, paths.whisper)
    views = _encode_all(settings, clips, model.audio_encoder, paths, log)
    return RecipeContext(settings, clips, views, model, paths.work, log), tokenizer


def leave_corpora_out(context: RecipeContext, out: Path, *, probe: bool = False) -> UnseenReport:
    """Leaves each corpus out in turn, with everything chosen on the others; writes the report. probe: of the
    linear probe instead of the head.
    """
    if probe:
        probes = Probes(context)
        results = nested_leave_one_out(context, lambda corpora: probes.without(corpora).held_out)
    else:
        results = nested_leave_one_out(context, partial(_head_without, context))
    report = UnseenReport.of(results, context.views)
    for row in report.rows:
        context.log.line(
            f"{row.corpus}, {row.condition}: UA {row.ua:.3f}, without a baseline {row.cold_ua:.3f}"
        )
    write_report(out, report, "Each corpus left out in turn")
    return report


def _head_without(context: RecipeContext, corpora: Collection[str]) -> Judge:
    model = fit_without(context, corpora)
    return lambda clips: HeldOut.behind(model, clips, context.views)


def run_cross_corpus(settings: CrossCorpusSettings, paths: CrossCorpusPaths, out: Path) -> None:
    """The table of unseen corpora, into `paths.work`, then the checkpoint folder."""
    context, tokenizer = prepare(settings, paths)
    report = leave_corpora_out(context, paths.work / "unseen")
    used = Provenance() if paths.whisper is not None else Provenance.of(paths.encoders).only(DISTILLATION)
    model = train_checkpoint(context, tokenizer, report, paths.data, out, used)
    write_card(out, model, report, settings)


def train_checkpoint(
    context: RecipeContext,
    tokenizer: Tokenizer,
    report: UnseenReport,
    data: Path,
    out: Path,
    used: Provenance,
) -> EmotionModel:
    """The shipped weights: head and fusion on all training speakers, what was chosen and the error predictor
    of the folds. used: the speech that made the audio encoder, as far as it is part of the checkpoint.
    """
    speech = [clip for clip in context.clips if clip.corpus != NOISE]
    train = [clip for clip in speech if clip.split == "train"]
    validation = [clip for clip in speech if clip.split == "dev"]
    model = fit_head(context, "shipped", train, validation)
    correct_prior(model, report.choice.neutral_offset)
    model.config.baseline = report.choice.baseline.fields()
    add_fusion(context, model, tokenizer, train, validation, _text_lines(data), "shipped")
    model.config.error_predictor = report.doubts.predictor.fields()
    save_checkpoint(model, tokenizer, out)
    used.add("head and fusion", [clip.example for clip in train])
    used.add("calibration", [clip.example for clip in validation])
    used.write(out / PROVENANCE_FILE)
    context.log.line(f"wrote {out}")
    return model


def _check_encoder(settings: CrossCorpusSettings, paths: CrossCorpusPaths) -> None:
    """Raises SettingsError where the encoder is Whisper's and there is no folder of it, or the other way
    round.
    """
    if settings.encoder.source == "whisper" and paths.whisper is None:
        raise SettingsError("encoder.source is whisper: expected --whisper and its folder, got none; add it")
    if settings.encoder.source == "checkpoint" and paths.whisper is not None:
        raise SettingsError("encoder.source is checkpoint: expected no --whisper, got one; drop it")


def _check_same_run(settings: CrossCorpusSettings, paths: CrossCorpusPaths) -> None:
    """Fits resume from their snapshots, so all of them have to be of the same run; what is chosen afterwards
    may differ. Raises SettingsError.
    """
    fields = (
        settings.seed,
        settings.encoder,
        settings.data,
        settings.baseline,
        settings.head,
        settings.fusion,
    )
    file, current = paths.work / "cross-corpus.txt", repr(fields)
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(current, encoding="utf-8")
    elif file.read_text(encoding="utf-8") != current:
        raise SettingsError(
            f"expected the settings that {paths.work} was begun with ({file.name}), got others: choose "
            "another --work, or restore them"
        )


def _encode_all(
    settings: CrossCorpusSettings,
    clips: Sequence[SpeechClip],
    encoder: AudioEncoder,
    paths: CrossCorpusPaths,
    log: RunLog,
) -> Views:
    noises = training_noises(clips)
    caches = []
    for number in range(settings.data.views + 1):
        encoder_name = paths.encoders.name if paths.whisper is None else settings.encoder.name
        folder = paths.work / "states" / encoder_name / ("plain" if number == 0 else f"view-{number}")
        view = None if number == 0 else AugmentedView(number, settings.data.augment, noises)
        of_view: dict[str, StateCache] = {}
        for corpus in sorted({clip.corpus for clip in clips}):
            part = [clip for clip in clips if clip.corpus == corpus]
            if view is not None:
                part = [clip for clip in part if corpus != NOISE and clip.split != "dev"]
            if part:
                progress = _progress(log, f"view {number}, {corpus}")
                with flushed_denormals():
                    write_states(part, encoder, folder, corpus, view, progress)
                of_view[corpus] = StateCache(folder, corpus)
        caches.append(of_view)
    return Views(tuple(caches), settings.encoder.layers)


def _progress(log: RunLog, name: str) -> Callable[[int, int], None]:
    def report(done: int, total: int) -> None:
        if done % 500 == 0 or done == total:
            log.line(f"{name}: {done} of {total} clips encoded")

    return report


def _text_lines(data: Path) -> TextLines:
    lines = [line for line in read_text_corpus(data / "text.csv.gz", TEXT_CORPORA) if line.emotion in LABELS]
    train, validation = ([line for line in lines if line.split == split] for split in ("train", "dev"))
    words = sorted({word for line in train for word in line.words.lower().split() if word.isalpha()})
    return TextLines(train, validation, words)
