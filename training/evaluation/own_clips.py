"""Evaluation of a checkpoint on clips of one's own: figures, and the clips it got most wrong."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from emostream.models import Clip, EmotionInput, Prediction, load_recognizer
from emostream.models.recognition import Recognition

from ..corpora.example import CorpusError, Example
from ..data.audio_cache import AudioCache, cached_audio
from ..data.transcripts import Transcripts
from ..data.words import spoken_words
from .bootstrap import Estimate, pooled_interval
from .classify import BATCH, true_label
from .metrics import ClassificationMetrics, MetricName, compute_metrics
from .predictions import FoldPredictions

Progress = Callable[[str, int, int], None]
"""Called with the step, how many clips are done, and the total."""
METRICS: Final[tuple[MetricName, ...]] = ("ua", "wa", "macro_f1")


@dataclass(frozen=True, slots=True)
class EvaluatedClip:
    """text: the words that were used; empty for none."""

    example: Example
    truth: str
    prediction: Prediction
    text: str
    seconds: float

    @property
    def wrong(self) -> bool:
        return self.truth != self.prediction.label


@dataclass(frozen=True, slots=True, eq=False)
class OwnEvaluation:
    """labels: in the order of every confusion matrix. audio: where the decoded clips are. left_out: clips of
    other labels.
    """

    model: str
    labels: tuple[str, ...]
    clips: tuple[EvaluatedClip, ...]
    audio: AudioCache
    left_out: int

    @property
    def truth(self) -> npt.NDArray[np.int64]:
        """(N,)."""
        return np.array([self.labels.index(clip.truth) for clip in self.clips])

    @property
    def probabilities(self) -> npt.NDArray[np.float64]:
        """(N, C)."""
        return np.array([clip.prediction.probabilities for clip in self.clips])

    @property
    def metrics(self) -> ClassificationMetrics:
        return compute_metrics(self.truth, self.probabilities)

    @property
    def doubt(self) -> npt.NDArray[np.float64]:
        """(N,) what the clips are ordered by when some are not answered: the predicted probability of an
        error, or one less the confidence where the model does not predict its errors.
        """
        return np.array(
            [
                1 - clip.prediction.confidence
                if clip.prediction.error_probability is None
                else clip.prediction.error_probability
                for clip in self.clips
            ]
        )

    def estimates(self) -> dict[str, Estimate]:
        """Metric -> value with its interval, by speaker where five or more are known."""
        speakers = tuple(clip.example.speaker for clip in self.clips)
        fold = FoldPredictions(
            row="",
            fold="",
            seed=0,
            labels=self.labels,
            keys=tuple(clip.example.key for clip in self.clips),
            speakers=speakers,
            truth=self.truth,
            probabilities=self.probabilities / self.probabilities.sum(1, keepdims=True),
            embeddings=None,
            validation_ua=0.0,
            epochs=0,
            seconds=0.0,
        )
        return {metric: pooled_interval([fold], metric) for metric in METRICS}

    def risk_by_coverage(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Coverage (N,), and the share of errors among the clips that are least in doubt (El-Yaniv and
        Wiener, JMLR 2010). Clips equally in doubt are answered together.
        """
        order = np.argsort(self.doubt, kind="stable")
        wrong = np.array([clip.wrong for clip in self.clips])[order]
        doubt = self.doubt[order]
        risk = wrong.cumsum() / np.arange(1, len(wrong) + 1)
        last = np.append(doubt[1:] != doubt[:-1], True)
        return np.flatnonzero(last) / len(wrong) + 1 / len(wrong), risk[last]

    def worst(self, most: int) -> list[EvaluatedClip]:
        """Wrong clips, those of which the model was surest first."""
        wrong = [clip for clip in self.clips if clip.wrong]
        return sorted(wrong, key=lambda clip: -clip.prediction.confidence)[:most]

    def of_speakers(self) -> dict[str, list[EvaluatedClip]]:
        """By name; empty where speakers are unknown."""
        found: dict[str, list[EvaluatedClip]] = {}
        for clip in self.clips:
            found.setdefault(clip.example.speaker, []).append(clip)
        return {} if "" in found else dict(sorted(found.items()))

    def write(self, folder: Path) -> None:
        """metrics.json and predictions.csv."""
        folder.mkdir(parents=True, exist_ok=True)
        estimates = {
            name: {
                "value": each.value,
                "low": each.interval.low,
                "high": each.interval.high,
                "by": each.unit_kind,
            }
            for name, each in self.estimates().items()
        }
        content: dict[str, Any] = {"model": self.model, "labels": self.labels, "left_out": self.left_out}
        content |= {"metrics": self.metrics.as_dict(), "estimates": estimates}
        (folder / "metrics.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        with (folder / "predictions.csv").open("w", newline="", encoding="utf-8") as out:
            writer = csv.writer(out)
            writer.writerow(
                ["path", "speaker", "truth", "predicted", *self.labels, "reliable", "error_p", "text"]
            )
            for clip in self.clips:
                shares = [f"{share:.4f}" for share in clip.prediction.probabilities]
                error = clip.prediction.error_probability
                writer.writerow(
                    [
                        clip.example.key,
                        clip.example.speaker,
                        clip.truth,
                        clip.prediction.label,
                        *shares,
                        str(clip.prediction.reliable).lower(),
                        "" if error is None else f"{error:.4f}",
                        clip.text,
                    ]
                )


def evaluate_clips(
    checkpoint: str | Path | None,
    examples: Sequence[Example],
    asr: str | None,
    cache: Path,
    on_progress: Progress,
) -> OwnEvaluation:
    """Every clip through the recognizer that serves, its silent edges trimmed as a segmenter does. asr: see
    `spoken_words`. Raises CorpusError where no clip has a label of the checkpoint, and for files that cannot
    be used; CheckpointError, SettingsError and TranscriberError.
    """
    recognizer = load_recognizer(checkpoint)
    labels = tuple(recognizer.labels)
    kept = [example for example in examples if true_label(example, labels) in labels]
    if not kept:
        found = sorted({true_label(example, labels) for example in examples})
        raise CorpusError(
            f"expected clips with a label out of {', '.join(labels)}, got {', '.join(found)}: fix the "
            "labels, or name the checkpoint that has these"
        )
    audio = cached_audio(
        kept, cache / "sounds", on_progress=lambda done, clips: on_progress("reading clips", done, clips)
    )
    words = spoken_words(
        kept, audio, asr, cache, lambda done, clips: on_progress("transcribing", done, clips)
    )
    clips: list[EvaluatedClip] = []
    for start in range(0, len(kept), BATCH):
        part = kept[start : start + BATCH]
        clips += _evaluated(recognizer, part, audio, words, labels)
        on_progress("classifying", start + len(part), len(kept))
    return OwnEvaluation(recognizer.name, labels, tuple(clips), audio, len(examples) - len(kept))


def _evaluated(
    recognizer: Recognition,
    examples: Sequence[Example],
    audio: AudioCache,
    words: Transcripts,
    labels: Sequence[str],
) -> list[EvaluatedClip]:
    inputs = [EmotionInput(Clip(audio.clip(example.key)), words.get(example.key)) for example in examples]
    return [
        EvaluatedClip(
            example,
            true_label(example, labels),
            prediction,
            item.transcript.text if item.transcript is not None else "",
            item.clip.seconds if item.clip is not None else 0.0,
        )
        for example, item, prediction in zip(examples, inputs, recognizer.recognize(inputs), strict=True)
    ]
