"""The emotion model at work: eval mode, one device, warm. `types.Recognizer` says what it promises."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from .alignment import place_words
from .calibration import fused_posterior, head_posterior, pattern_of
from .checkpoint import BUNDLED, Checkpoint, find_checkpoint, read_checkpoint
from .collate import collate_audio, collate_text
from .emotion import Encoded
from .errors import DeviceError
from .quality import Thresholds, uncertain_reasons
from .types import Alignment, AudioCode, Clip, Prediction, Probabilities, Speech, Transcript


class EmotionRecognizer:
    """Synchronous, ordered, equal length, called from one thread."""

    def __init__(self, checkpoint: Checkpoint, device: torch.device) -> None:
        self._model = checkpoint.model.to(device)
        self._tokenizer = checkpoint.tokenizer
        self._device = device
        config = checkpoint.model.config
        self._config = config
        self._thresholds = Thresholds(
            config.too_short_s, config.low_snr_db, config.disagree_p, config.low_confidence_p
        )
        which = "bundled" if checkpoint.folder == BUNDLED else checkpoint.folder.name
        millions = sum(weights.numel() for weights in checkpoint.model.parameters()) / 1e6
        self._name = f"wav2vec2+bert {which} ({millions:.1f} M parameters, {device.type})"

    @classmethod
    def load(cls, checkpoint: str | Path | None = None, *, device: str = "auto") -> EmotionRecognizer:
        """checkpoint: a folder, a hub name, or None for the bundled weights. device: auto, cpu or cuda.

        Raises CheckpointError and DeviceError. The first call of a network costs more than the later
        ones, so it happens here.
        """
        chosen = choose_device(device)
        recognizer = cls(read_checkpoint(find_checkpoint(checkpoint)), chosen)
        second = Clip(np.zeros(16_000, dtype=np.float32))
        recognizer.recognize([Speech(second, Transcript("warm up")), Speech(second)])
        return recognizer

    @property
    def name(self) -> str:
        return self._name

    @property
    def device(self) -> str:
        return str(self._device)

    @property
    def labels(self) -> tuple[str, ...]:
        return tuple(self._config.label_names)

    @torch.inference_mode()
    def encode(self, clips: Sequence[Clip | None]) -> list[AudioCode]:
        """The audio branch. Each code holds its clip's own frames (T, H), no padding; None is no sound."""
        if not clips:
            return []
        sounds = [None if clip is None else clip.samples for clip in clips]
        batch = collate_audio(sounds, self._model.audio_encoder.waveform)
        encoded = self._model.encode_audio(batch.to(self._device))
        return [
            AudioCode(features[mask], clip)
            for features, mask, clip in zip(encoded.features, encoded.mask, clips, strict=True)
        ]

    def align(
        self, clips: Sequence[Clip | None], transcripts: Sequence[Transcript | None]
    ) -> list[Alignment]:
        return [
            place_words(transcript, 0 if clip is None else len(clip.samples))
            for clip, transcript in zip(clips, transcripts, strict=True)
        ]

    @torch.inference_mode()
    def fuse(
        self,
        codes: Sequence[AudioCode],
        transcripts: Sequence[Transcript | None],
        alignments: Sequence[Alignment],
    ) -> list[Prediction]:
        """The text branch, the fusion and the calibration; spans matter to finer granularities only."""
        if not len(codes) == len(transcripts) == len(alignments):
            raise ValueError(
                f"expected as many codes, transcripts and alignments, got {len(codes)}, {len(transcripts)} "
                f"and {len(alignments)}"
            )
        if not codes:
            return []
        words = [transcript.text if transcript else None for transcript in transcripts]
        batch = collate_text(words, self._tokenizer, self._config.max_tokens).to(self._device)
        text = self._model.encode_text(batch)
        logits = self._model.fuse(self._padded(codes), text).logits()
        rows = {head: values.float().cpu() for head, values in logits.items()}
        has_text = batch.present.tolist()
        return [
            self._prediction(code, {head: values[index] for head, values in rows.items()}, has_text[index])
            for index, code in enumerate(codes)
        ]

    def recognize(self, speeches: Sequence[Speech]) -> list[Prediction]:
        """All of it, for offline use."""
        clips = [speech.clip for speech in speeches]
        transcripts = [speech.transcript for speech in speeches]
        return self.fuse(self.encode(clips), transcripts, self.align(clips, transcripts))

    def _padded(self, codes: Sequence[AudioCode]) -> Encoded:
        frames: list[Tensor] = [code.frames for code in codes]
        counts = torch.tensor([len(rows) for rows in frames], device=self._device)
        features = torch.nn.utils.rnn.pad_sequence(frames, batch_first=True)  # (B, T, H)
        mask = torch.arange(features.shape[1], device=self._device) < counts[:, None]
        present = torch.tensor([code.clip is not None for code in codes], device=self._device)
        return Encoded(features, mask & present[:, None], present)

    def _prediction(self, code: AudioCode, logits: dict[str, Tensor], has_text: bool) -> Prediction:
        has_audio = code.clip is not None
        fused = _tuple(fused_posterior(logits, pattern_of(has_audio, has_text), self._config))
        audio_only = _tuple(head_posterior(logits["audio"], "audio", self._config)) if has_audio else None
        text_only = _tuple(head_posterior(logits["text"], "text", self._config)) if has_text else None
        winner = fused.index(max(fused))
        return Prediction(
            label=self.labels[winner],
            confidence=fused[winner],
            probabilities=fused,
            audio_only=audio_only,
            text_only=text_only,
            uncertain=uncertain_reasons(
                None if code.clip is None else code.clip.samples,
                fused,
                audio_only,
                text_only,
                self._thresholds,
            ),
        )


def choose_device(name: str) -> torch.device:
    """auto: CUDA where there is one. Raises DeviceError for an unknown or absent device."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name not in ("cpu", "cuda"):
        raise DeviceError(f"expected a device out of auto, cpu, cuda, got {name!r}")
    if name == "cuda" and not torch.cuda.is_available():
        raise DeviceError(
            "expected a CUDA device, found none: use --device cpu, or install CUDA and its torch"
        )
    return torch.device(name)


def _tuple(probabilities: Tensor) -> Probabilities:
    return tuple(probabilities.tolist())
