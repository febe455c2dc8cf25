"""Leave one corpus out: a head on the others, evaluated on the held-out one, alone and in streams."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from emostream.models.baseline import BaselineSettings
from emostream.models.emotion import EmotionModel
from emostream.models.reliability import FEATURES, reliability_features
from emostream.models.reliability_estimator import distance

from ..bundled_recipe.log_callback import LogCallback
from ..corpora.leakage import check_disjoint
from ..evaluation.calibrate import fit_temperature
from ..run_log import RunLog
from ..trainer.trainer import Runtime, fit, make_accelerator
from .build import new_model
from .clips import NEUTRAL, NOISE, ORDINARY, SpeechClip, balanced_weights
from .errors import ErrorExamples
from .heads import HeadData, HeadModule, HeadTask, SessionVoices, fit_statistics
from .projected import ProjectedClips
from .settings import WhisperRunSettings
from .states import Views
from .streams import SCORED_FROM, STREAMS, running_baselines, simulated_streams

COLD = "cold"
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class RecipeContext:
    """What all fits share. template: gives the encoder's sizes and the text branch. work: snapshots."""

    settings: WhisperRunSettings
    clips: Sequence[SpeechClip]
    views: Views
    template: EmotionModel
    work: Path
    log: RunLog


@dataclass(frozen=True, slots=True)
class EvaluatedPredictions:
    """Predictions for one corpus under one condition, `cold` or a kind of stream.

    clips: (N,) in the order of the utterances; a stream may hold one twice. probabilities: (N, C),
    calibrated. history: (N,) share of the baseline that is the speaker's own. distances: (N,). cold: (N, C)
    of the same utterances without a baseline.
    """

    corpus: str
    condition: str
    clips: Sequence[SpeechClip]
    probabilities: Floats
    cold: Floats
    history: Floats
    distances: Floats

    @property
    def truth(self) -> npt.NDArray[np.int64]:
        return np.array([clip.label for clip in self.clips])

    @property
    def predicted(self) -> npt.NDArray[np.int64]:
        return np.asarray(self.probabilities.argmax(1), np.int64)

    @property
    def wrong(self) -> npt.NDArray[np.bool_]:
        """Ordinary speech is right where it is called neutral; noise never is."""
        truth = np.array([NEUTRAL if clip.corpus == ORDINARY else clip.label for clip in self.clips])
        return np.asarray(self.predicted != truth)

    def error_examples(self, views: Views) -> ErrorExamples:
        """The features of the error predictor; there are no words."""
        rows = []
        for index, clip in enumerate(self.clips):
            stored = views.caches[0][clip.corpus].clips[clip.key]
            fused = tuple(self.probabilities[index].tolist())
            features = reliability_features(
                fused,
                fused,
                None,
                distance=float(self.distances[index]),
                seconds=stored.seconds,
                snr_db=stored.snr_db,
                history=float(self.history[index]),
            )
            rows.append([features[name] for name in FEATURES])
        return ErrorExamples(np.array(rows), self.wrong, (self.corpus,) * len(rows))


def fit_head(
    context: RecipeContext, name: str, train: Sequence[SpeechClip], validation: Sequence[SpeechClip]
) -> EmotionModel:
    """A head on `train`, its temperature fitted on `validation` (cold); resumed from its snapshot."""
    settings = context.settings
    parts = {"train": train, "validation": validation}
    check_disjoint({part: [clip.example for clip in clips] for part, clips in parts.items()}, ("speaker",))
    torch.manual_seed(settings.seed)
    model = new_model(context.template, settings)
    mix = model.concatenation
    weights = balanced_weights(
        train, settings.data.ordinary, settings.data.clips_per_speaker, np.random.default_rng(0)
    )
    fit_statistics(mix, train, context.views, weights)
    voices = SessionVoices(train, context.views, mix)
    for part in (model.audio_encoder.backbone, model.text_encoder, model.text_pool, model.text_head):
        part.requires_grad_(False)
    module = HeadModule(model, settings.head.label_smoothing)
    task = HeadTask(module, HeadData(train, validation, context.views, voices), settings, settings.seed)
    accelerator = make_accelerator(settings.head.trainer.precision, cpu=True)
    runtime = Runtime(accelerator, context.work / "heads" / name, LogCallback(context.log, name))
    history = fit(task, settings.head.trainer, settings.seed, runtime)
    context.log.line(f"{name}: validation UA by epoch {[round(e['ua'], 3) for e in history.epochs]}")
    _calibrate_audio(model, validation, context.views)
    _correct_prior(model, settings.head.neutral_offset)
    model.eval()
    return model


def _calibrate_audio(model: EmotionModel, validation: Sequence[SpeechClip], views: Views) -> None:
    clips = [clip for clip in validation if clip.label >= 0]
    logits = ProjectedClips(model, clips, views).logits(range(len(clips)))
    truth = torch.tensor([clip.label for clip in clips])
    temperature = fit_temperature(torch.from_numpy(logits), truth)
    model.config.temperatures["audio"] = model.config.temperatures["fused_audio"] = temperature


@torch.no_grad()
def _correct_prior(model: EmotionModel, offset: float) -> None:
    """Takes `offset` from the calibrated log odds of neutral: ordinary speech and listeners' votes made it
    more frequent in training than it is among acted clips. Logit adjustment, Menon et al., arXiv 2007.07314.
    """
    for head in (model.audio_head, model.adapted_head):
        if head is not None:
            assert isinstance(head, nn.Sequential)
            last = head[-1]
            assert isinstance(last, nn.Linear)
            last.bias[NEUTRAL] -= offset * model.config.temperatures["audio"]


def leave_one_out(context: RecipeContext, corpus: str) -> tuple[EmotionModel, list[EvaluatedPredictions]]:
    """A head on all corpora but one, and its predictions for that one, for ordinary speech and for noise."""
    others = [clip for clip in context.clips if clip.corpus not in (corpus, NOISE)]
    train = [clip for clip in others if clip.split != "dev"]
    validation = [clip for clip in others if clip.split == "dev"]
    model = fit_head(context, f"without-{corpus}", train, validation)
    settings = BaselineSettings.from_fields(model.config.baseline)
    held_out = [clip for clip in context.clips if clip.corpus == corpus and clip.label >= 0]
    results = evaluate_corpus(model, held_out, context.views, settings, list(STREAMS))
    ordinary = [clip for clip in validation if clip.corpus == ORDINARY]
    noise = [clip for clip in context.clips if clip.corpus == NOISE]
    for extra in (ordinary, noise):
        if extra:
            results += evaluate_corpus(model, extra, context.views, settings, [])
    return model, results


def evaluate_corpus(
    model: EmotionModel,
    clips: Sequence[SpeechClip],
    views: Views,
    settings: BaselineSettings,
    streams: Sequence[str],
) -> list[EvaluatedPredictions]:
    """Predictions for the clips of one corpus: each without a baseline, then in streams of these kinds."""
    corpus = clips[0].corpus
    projected = ProjectedClips(model, clips, views)
    temperature = model.config.temperatures["audio"]
    cold = _softmax(projected.logits(range(len(clips))) / temperature)
    away = np.array([distance(voice, None) for voice in projected.voices])
    results = [EvaluatedPredictions(corpus, COLD, clips, cold, cold, np.zeros(len(clips)), away)]
    for name in streams:
        rows, shifts, history = [], [], []
        for stream in simulated_streams(clips, corpus, name):
            states = running_baselines(stream, projected.voices, cold[:, NEUTRAL], settings)
            for row, state in list(zip(stream, states, strict=True))[SCORED_FROM - 1 :]:
                rows.append(row)
                shifts.append(state.voice(settings))
                history.append(state.known_share(settings))
        known = [None if v is None else (v, share) for v, share in zip(shifts, history, strict=True)]
        probabilities = _softmax(projected.logits(rows, known) / temperature)
        away = np.array(
            [distance(projected.voices[row], shift) for row, shift in zip(rows, shifts, strict=True)]
        )
        said = [clips[row] for row in rows]
        results.append(
            EvaluatedPredictions(corpus, name, said, probabilities, cold[rows], np.array(history), away)
        )
    return results


def _softmax(logits: Floats) -> Floats:
    shifted = np.exp(logits - logits.max(1, keepdims=True))
    result: Floats = shifted / shifted.sum(1, keepdims=True)
    return result
