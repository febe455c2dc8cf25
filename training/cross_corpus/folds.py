"""What the fits of the recipe share, a head without some corpora, and predictions for those."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from emostream.models.emotion import EmotionModel
from emostream.models.reliability import FEATURES, reliability_features

from ..corpora.leakage import check_disjoint
from ..evaluation.calibrate import fit_temperature
from ..run_log import RunLog
from ..trainer.log_callback import LogCallback
from ..trainer.runtime import Runtime, make_accelerator
from ..trainer.trainer import fit
from .build import new_model
from .clips import NEUTRAL, NOISE, ORDINARY, SpeechClip, balanced_weights
from .errors import ErrorExamples
from .heads import HeadData, HeadModule, HeadTask, SessionVoices, fit_statistics
from .projected import ProjectedClips
from .settings import CrossCorpusSettings
from .states import Views

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class RecipeContext:
    """What all fits share. template: gives the encoder's sizes and the text branch. work: snapshots."""

    settings: CrossCorpusSettings
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

    @classmethod
    def joined(cls, parts: Sequence[EvaluatedPredictions]) -> EvaluatedPredictions:
        """Predictions of several models for one corpus and condition."""
        return cls(
            parts[0].corpus,
            parts[0].condition,
            [clip for part in parts for clip in part.clips],
            *(
                np.concatenate([getattr(part, name) for part in parts])
                for name in ("probabilities", "cold", "history", "distances")
            ),
        )

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
    """A head on `train`, its temperature fitted on `validation` (cold); resumed from its snapshot.

    Its prior is still that of the training data: see `correct_prior`.
    """
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
    model.eval()
    return model


def fit_without(context: RecipeContext, corpora: Collection[str]) -> EmotionModel:
    """A head on the train and test speakers of all other corpora, calibrated on their validation speakers."""
    others = [clip for clip in context.clips if clip.corpus not in {*corpora, NOISE}]
    train = [clip for clip in others if clip.split != "dev"]
    validation = [clip for clip in others if clip.split == "dev"]
    return fit_head(context, "without-" + "+".join(sorted(corpora)), train, validation)


def _calibrate_audio(model: EmotionModel, validation: Sequence[SpeechClip], views: Views) -> None:
    clips = [clip for clip in validation if clip.label >= 0]
    logits = ProjectedClips(model, clips, views).logits(range(len(clips)))
    truth = torch.tensor([clip.label for clip in clips])
    temperature = fit_temperature(torch.from_numpy(logits), truth)
    model.config.temperatures["audio"] = model.config.temperatures["fused_audio"] = temperature


@torch.no_grad()
def correct_prior(model: EmotionModel, offset: float) -> None:
    """Takes `offset` from the calibrated log odds of neutral: ordinary speech and listeners' votes made it
    more frequent in training than it is among acted clips. Logit adjustment, Menon et al., arXiv 2007.07314.
    """
    for head in (model.audio_head, model.adapted_head):
        if head is not None:
            assert isinstance(head, nn.Sequential)
            last = head[-1]
            assert isinstance(last, nn.Linear)
            last.bias[NEUTRAL] -= offset * model.config.temperatures["audio"]
