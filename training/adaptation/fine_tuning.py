"""Fine-tuning of what is behind frozen encoders, pulled towards the weights that it starts from.

    loss = mean of the heads' cross entropies + strength / 2 * ||w - w0||^2

(L2-SP: Li, Grandvalet and Davoine, Explicit Inductive Bias for Transfer Learning with Convolutional Networks,
ICML 2018, arXiv 1802.01483.) A few dozen clips determine a few directions; in all others the weights stay
where they were. Full batches, no dropout, L-BFGS: the same clips give the same weights.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from emostream.models.calibration import prior_corrected_log_posterior
from emostream.models.emotion import EmotionModel

from .clips import ClipBatch, FrozenClip, batches_of

_STEPS: Final = 12
_BATCH: Final = 32

Weights = Sequence[Tensor]
"""Of `FineTuning.parameters`, in their order."""
Logits = Mapping[str, npt.NDArray[np.float32]]
"""Head -> (N, C)."""


@dataclass(frozen=True, slots=True, eq=False)
class DecidedLogits:
    """Logits (N, C) of the heads together, on audio alone. known: with the speaker's baseline; the same as
    `alone` in a model that takes none.
    """

    alone: npt.NDArray[np.float64]
    known: npt.NDArray[np.float64]

    @classmethod
    def zeros(cls, clips: int, labels: int) -> DecidedLogits:
        return cls(np.zeros((clips, labels)), np.zeros((clips, labels)))

    def put(self, rows: npt.NDArray[np.int64], part: DecidedLogits) -> None:
        self.alone[rows], self.known[rows] = part.alone, part.known


class FineTuning:
    """The parts of a model that are adapted, and the weights they start from.

    Trained are the heads that decide what is served: the audio-only head where it has a weight of its own,
    the early fusion where it has one for the input there is; with them what is before them, up to the
    encoders. The text-only head stays: words are judged as before. The encoders and their layer mix stay, so
    that the frames of a clip are computed once.
    """

    def __init__(self, model: EmotionModel, *, with_words: bool) -> None:
        """with_words: whether clips have any."""
        model.eval().requires_grad_(False)
        self._model = model
        self._heads = {"audio": self._deciding("audio")}
        if with_words:
            self._heads["both"] = self._deciding("both")
        self.parameters: list[nn.Parameter] = [
            weights for module in self._modules() for weights in module.parameters()
        ]
        if any("early" in heads for heads in self._heads.values()):
            self.parameters += [model.absent_audio, model.absent_text, *model.kinds.values()]
        self.start: Weights = [weights.detach().clone() for weights in self.parameters]

    @property
    def patterns(self) -> tuple[str, ...]:
        """The modality patterns that are trained on."""
        return tuple(self._heads)

    @property
    def label_names(self) -> Sequence[str]:
        names: list[str] = self._model.config.label_names
        return names

    def decide(self, clips: Sequence[FrozenClip], weights: Weights) -> DecidedLogits:
        """As late fusion combines the heads, before the temperature."""
        alone, known = (
            self._combined(self.logits(clips, weights, known=known, words=False)) for known in (False, True)
        )
        return DecidedLogits(alone, known)

    def _combined(self, logits: Logits) -> npt.NDArray[np.float64]:
        weights = self._model.config.late_weights["audio"]
        heads = [head for head, weight in weights.items() if weight > 0]
        parts = [
            weights[head] * prior_corrected_log_posterior(logits[head], head, "audio", self._model.config)
            for head in heads
        ]
        return np.asarray(np.sum(parts, axis=0), np.float64)

    def _deciding(self, pattern: str) -> list[str]:
        weights = self._model.config.late_weights[pattern]
        heads = self._model.config.fused_heads(pattern)
        return [head for head in heads if head != "text" and weights[head] > 0]

    def _modules(self) -> list[nn.Module]:
        model, named = self._model, {head for heads in self._heads.values() for head in heads}
        modules: list[nn.Module | None] = []
        if "audio" in named:
            modules += [model.audio_pool, model.audio_head, model.adapted_head]
        if "early" in named:
            modules += [model.audio_projection, model.text_projection, model.span_pools, model.early]
        return [module for module in modules if module is not None]

    def fit(self, clips: Sequence[FrozenClip], strengths: Sequence[float]) -> list[Weights]:
        """strengths: of the pull, descending; infinity gives the start, and each fit begins at the one
        before. Every label counts as much as every other; labels that no clip has are neither learned nor
        unlearned.
        """
        self.load(self.start)
        return [self._fit(clips, strength) for strength in strengths]

    def _fit(self, clips: Sequence[FrozenClip], strength: float) -> Weights:
        if math.isinf(strength) or not self.parameters:
            return self.start
        occurring = sorted({clip.label for clip in clips})
        counts = np.bincount([clip.label for clip in clips])
        batches = [batch for _, batch in batches_of(clips, _BATCH)]
        share = torch.tensor([0.0 if not n else 1 / n / len(occurring) for n in counts.tolist()])
        optimizer = torch.optim.LBFGS(
            self.parameters, max_iter=_STEPS, history_size=10, line_search_fn="strong_wolfe"
        )

        def closure() -> Tensor:
            optimizer.zero_grad()
            total = torch.zeros(())
            for batch in batches:
                loss = self._loss(batch, share, occurring)
                loss.backward()
                total += loss.detach()
            pull = sum(
                (weights - first).square().sum()
                for weights, first in zip(self.parameters, self.start, strict=True)
            )
            penalty = 0.5 * strength * torch.as_tensor(pull)
            penalty.backward()
            return total + penalty.detach()

        with self._trainable():
            optimizer.step(closure)
        return [weights.detach().clone() for weights in self.parameters]

    def _loss(self, batch: ClipBatch, share: Tensor, occurring: Sequence[int]) -> Tensor:
        """The batch's part of the mean over heads, patterns and, in a model that takes baselines, clips
        of unknown and of known speakers.
        """
        place = torch.tensor([occurring.index(label) for label in batch.labels.tolist()])
        losses = []
        for pattern, heads in self._heads.items():
            part = batch if pattern == "both" else batch.without_words()
            rows = batch.text.present if pattern == "both" else torch.ones_like(batch.text.present)
            if not bool(rows.any()):
                continue
            for known in (False, True)[: 2 if batch.baselines is not None else 1]:
                logits = self._logits(part, heads, known=known)
                for head in heads:
                    each = nn.functional.cross_entropy(logits[head][:, occurring], place, reduction="none")
                    losses.append((each * share[batch.labels] * rows).sum())
        terms = sum(len(heads) for heads in self._heads.values()) * (2 if batch.baselines is not None else 1)
        return torch.stack(losses).sum() / terms

    def _logits(self, batch: ClipBatch, heads: Sequence[str], *, known: bool) -> dict[str, Tensor]:
        """Without the fusion, where no head needs it."""
        if list(heads) == ["audio"]:
            return {"audio": batch.audio_logits(self._model, known=known)}
        return batch.logits(self._model, known=known)

    def load(self, weights: Weights) -> None:
        """Into the model."""
        with torch.no_grad():
            for parameter, values in zip(self.parameters, weights, strict=True):
                parameter.copy_(values)

    @torch.inference_mode()
    def logits(self, clips: Sequence[FrozenClip], weights: Weights, *, known: bool, words: bool) -> Logits:
        """In the order of the clips. known: with their speakers' baselines. words: False leaves them out."""
        self.load(weights)
        found: dict[str, npt.NDArray[np.float32]] = {}
        for rows, batch in batches_of(clips, _BATCH):
            part = batch if words else batch.without_words()
            heads = () if words else self._heads["audio"]
            for head, values in self._logits(part, heads, known=known).items():
                all_rows = found.setdefault(head, np.zeros((len(clips), values.shape[1]), np.float32))
                all_rows[rows] = values.numpy()
        return found

    @contextmanager
    def _trainable(self) -> Iterator[None]:
        for parameter in self.parameters:
            parameter.requires_grad_(True)
        try:
            yield
        finally:
            for parameter in self.parameters:
                parameter.requires_grad_(False)
                parameter.grad = None
