"""Inference with the emotion model in torch: eval mode, one device, warmed up."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import torch
from torch import Tensor

from .checkpoint import Checkpoint, load_checkpoint
from .checkpoint_files import resolve_checkpoint
from .collate import collate_audio, collate_spans, collate_text
from .device import cast_weights, choose_device, choose_dtype
from .emotion import Baselines, EncodedModality
from .encoders.base import length_mask
from .encoders.onnx import GRAPH_FILE, OnnxEncoder
from .errors import CheckpointError, one_line
from .loaders import load_aligner
from .recognition import FusionInput, Logits, Recognition, display_name
from .types import Aligner, Clip, EncodedAudio

_BUDGET_S: Final = {"cpu": 64.0, "cuda": 256.0}
"""Padded seconds in one forward pass. On two cores a batch of 16 clips of 4 s costs half as much as one by
one with the bundled model in torch, a seventh less at full size (benchmarks/model.md); on a GPU it has not
been measured yet, and memory sets the limit."""


class EmotionRecognizer(Recognition):
    """Any checkpoint, on a CPU or a GPU."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        device: torch.device,
        dtype: torch.dtype = torch.float32,
        aligner: Aligner | None = None,
        graph: OnnxEncoder | None = None,
    ) -> None:
        """dtype: of the encoders. aligner: required (ValueError) where the model needs spans. graph: replaces
        torch's audio encoder for single clips.
        """
        name = _name(checkpoint, device, dtype, graph)
        super().__init__(checkpoint.model.config, name, _BUDGET_S[device.type], aligner)
        model = checkpoint.model.to(device)
        cast_weights(model.audio_encoder, dtype)
        cast_weights(model.text_encoder, dtype)
        self._model = model
        self._tokenizer = checkpoint.tokenizer
        self._device = device
        self._graph = graph

    @classmethod
    def load(
        cls,
        checkpoint: str | Path | None = None,
        *,
        device: str = "auto",
        dtype: str = "auto",
        cpu_threads: int | None = None,
        whisper: Path | None = None,
    ) -> EmotionRecognizer:
        """checkpoint: a folder, a hub name, or None for the bundled weights. device: auto, cpu or cuda.
        dtype: of the encoders: auto, float32 or bfloat16. cpu_threads: torch's, for the whole process; None
        leaves them as they are. whisper: a faster-whisper folder in which a shared encoder is looked for
        first.

        Raises CheckpointError and DeviceError, and TranscriberError where the model needs an alignment and
        PocketSphinx is installed but cannot be loaded. Warms the network up.
        """
        chosen = choose_device(device)
        if cpu_threads is not None:
            torch.set_num_threads(cpu_threads)
        loaded = load_checkpoint(resolve_checkpoint(checkpoint, whisper), whisper)
        encoders = (loaded.model.audio_encoder, loaded.model.text_encoder)
        parameters = sum(weights.numel() for encoder in encoders for weights in encoder.parameters())
        precision = choose_dtype(dtype, chosen, parameters)
        aligner = load_aligner(optional=True) if loaded.model.config.spans else None
        recognizer = cls(loaded, chosen, precision, aligner, _load_graph(loaded, chosen, precision))
        try:
            recognizer.warm_up()
        except (RuntimeError, ValueError, IndexError, ZeroDivisionError) as error:
            raise CheckpointError(
                f"{loaded.folder}: expected a network that runs, got {one_line(error)}; "
                "its config.json is damaged"
            ) from error
        return recognizer

    @property
    def device(self) -> str:
        return str(self._device)

    @torch.inference_mode()
    def _encode(self, clips: Sequence[Clip | None]) -> list[EncodedAudio]:
        waveforms = [None if clip is None else clip.samples for clip in clips]
        batch = collate_audio(waveforms, self._model.audio_encoder.waveform_spec)
        if self._graph is not None and len(clips) == 1:  # for more than one clip a batch in torch is faster
            frames, voice = self._graph(batch.samples[0])
            return [EncodedAudio(frames, clips[0], None if clips[0] is None else voice)]
        encoded = self._model.encode_audio(batch.to(self._device))
        voices = [None] * len(clips) if encoded.voice is None else list(encoded.voice.float().cpu().numpy())
        return [
            EncodedAudio(features[mask], clip, None if clip is None else voice)
            for features, mask, clip, voice in zip(encoded.features, encoded.mask, clips, voices, strict=True)
        ]

    @torch.inference_mode()
    def _logits(self, batch: FusionInput) -> tuple[Logits, Sequence[bool]]:
        tokens = collate_text(batch.texts, self._tokenizer, self._config.max_tokens).to(self._device)
        text = self._model.encode_text(tokens)
        spans = collate_spans(batch.alignments, self._config.spans)
        spans = {kind: batched.to(self._device) for kind, batched in spans.items()}
        logits = self._model.fuse(self._padded(batch.codes), text, spans, self._baselines(batch)).logits()
        has_text: list[bool] = tokens.present.tolist()
        return {head: values.float().cpu().numpy() for head, values in logits.items()}, has_text

    def _baselines(self, batch: FusionInput) -> Baselines | None:
        """None where no speaker is known."""
        shifts = batch.shifts()
        if shifts is None:
            return None
        known = torch.tensor(list(batch.known))
        return Baselines(torch.from_numpy(shifts).to(self._device), known.to(self._device))

    def _padded(self, codes: Sequence[EncodedAudio]) -> EncodedModality:
        frames: list[Tensor] = [code.frames for code in codes]
        counts = torch.tensor([len(rows) for rows in frames], device=self._device)
        features = torch.nn.utils.rnn.pad_sequence(frames, batch_first=True)  # (B, T, H)
        mask = length_mask(counts, features.shape[1])
        present = torch.tensor([code.clip is not None for code in codes], device=self._device)
        return EncodedModality(features, mask & present[:, None], present)


def _load_graph(checkpoint: Checkpoint, device: torch.device, dtype: torch.dtype) -> OnnxEncoder | None:
    """The checkpoint's ONNX graph, if it has one: the fastest encoder on a CPU in float32."""
    file, model = checkpoint.folder / GRAPH_FILE, checkpoint.model
    if device.type != "cpu" or dtype != torch.float32 or not file.is_file():
        return None
    return OnnxEncoder(file, model.audio_encoder, voice=model.config.baseline is not None)


def _name(checkpoint: Checkpoint, device: torch.device, dtype: torch.dtype, graph: OnnxEncoder | None) -> str:
    config = checkpoint.model.config
    parameters = sum(weights.numel() for weights in checkpoint.model.parameters())
    how = ", ONNX Runtime" if graph else "" if dtype == torch.float32 else ", bfloat16"
    kinds = (config.audio_config.model_type, config.text_config.model_type)
    return display_name(kinds, checkpoint.folder, parameters, f"{device.type}{how}")
