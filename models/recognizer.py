"""Inference with the emotion model: eval mode, one device, warmed up. Implements `types.Recognizer`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import torch
from torch import Tensor

from .alignment.word_spans import align_from_transcript
from .baseline import BaselineSettings, SpeakerBaseline, Voice
from .batching import map_in_batches
from .calibration import fused_posterior, head_posterior, modality_pattern
from .checkpoint import BUNDLED, BUNDLED_WHISPER, Checkpoint, load_checkpoint, resolve_checkpoint
from .collate import collate_audio, collate_spans, collate_text
from .device import cast_weights, choose_device, choose_dtype
from .emotion import Baselines, EncodedModality
from .encoders.base import length_mask
from .encoders.onnx import GRAPH_FILE, OnnxEncoder
from .errors import CheckpointError, one_line
from .languages import is_in_languages
from .loaders import load_aligner
from .reliability_estimator import Evidence, ReliabilityEstimator
from .types import Aligner, Alignment, Clip, EmotionInput, EncodedAudio, Prediction, Probabilities, Transcript

_BUDGET_S: Final = {"cpu": 64.0, "cuda": 256.0}
"""Padded seconds in one forward pass. On two cores a batch of 16 clips of 4 s costs half as much as one by
one with the bundled model in torch, a seventh less at full size (benchmarks/model.md); on a GPU it has not
been measured yet, and memory sets the limit."""


class EmotionRecognizer:
    """Synchronous; one result per input, in order. Call `encode` and `fuse` from one thread.

    A model whose granularities need spans has its own aligner; `align` may run on another thread.
    """

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
        if checkpoint.model.config.spans and aligner is None:
            wanted = ", ".join(checkpoint.model.config.spans)
            raise ValueError(f"expected an aligner for {wanted}, got none: pass load_aligner()")
        model = checkpoint.model.to(device)
        cast_weights(model.audio_encoder, dtype)
        cast_weights(model.text_encoder, dtype)
        self._model = model
        self._tokenizer = checkpoint.tokenizer
        self._device = device
        self._aligner = aligner
        self._graph = graph
        config = model.config
        self._config = config
        self._budget_s = _BUDGET_S[device.type]
        self._baseline = None if config.baseline is None else BaselineSettings.from_fields(config.baseline)
        self._reliability = ReliabilityEstimator(config)
        self._name = _name(checkpoint, device, dtype, graph)

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
        PocketSphinx is installed but cannot be loaded. Warms the network up: its first call is slower than
        later ones.
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
            recognizer._warm_up()
        except (RuntimeError, ValueError, IndexError, ZeroDivisionError) as error:
            raise CheckpointError(
                f"{loaded.folder}: expected a network that runs, got {one_line(error)}; "
                "its config.json is damaged"
            ) from error
        return recognizer

    def _warm_up(self) -> None:
        second = Clip(np.zeros(16_000, dtype=np.float32))
        self.recognize([EmotionInput(second, Transcript("warm up")), EmotionInput(second)])
        self.recognize([EmotionInput(second)])  # a single clip may take the ONNX graph

    @property
    def name(self) -> str:
        return self._name

    @property
    def device(self) -> str:
        return str(self._device)

    @property
    def labels(self) -> tuple[str, ...]:
        return tuple(self._config.label_names)

    @property
    def baseline(self) -> BaselineSettings | None:
        """How the baseline of a speaker is formed; None where the model takes none."""
        return self._baseline

    def encode(self, clips: Sequence[Clip | None]) -> list[EncodedAudio]:
        """The audio branch. Each result holds its clip's own frames (T, H) without padding; None is no audio.

        An encoder with a maximum length (Whisper: 30 s) truncates longer clips.
        """
        return map_in_batches(
            [0.0 if clip is None else clip.seconds for clip in clips],
            self._budget_s,
            lambda batch: self._encode([clips[index] for index in batch]),
        )

    def align(
        self, clips: Sequence[Clip | None], transcripts: Sequence[Transcript | None]
    ) -> list[Alignment]:
        """The alignment that the model's granularities need: the transcripts' own word times, or forced."""
        if self._aligner is None:
            return [
                align_from_transcript(transcript, 0 if clip is None else len(clip.samples))
                for clip, transcript in zip(clips, transcripts, strict=True)
            ]
        empty = Clip(np.zeros(0, dtype=np.float32))
        return self._aligner.align([empty if clip is None else clip for clip in clips], transcripts)

    def fuse(
        self,
        codes: Sequence[EncodedAudio],
        transcripts: Sequence[Transcript | None],
        alignments: Sequence[Alignment],
        baselines: Sequence[SpeakerBaseline | None] | None = None,
    ) -> list[Prediction]:
        """The text branch, the fusion and the calibration; only the finer granularities use the spans.

        baselines: of the speakers, formed by `baseline`'s rules; a model without such rules leaves them
        aside.
        """
        speakers = [None] * len(codes) if baselines is None else list(baselines)
        if not len(codes) == len(transcripts) == len(alignments) == len(speakers):
            raise ValueError(
                f"expected as many codes, transcripts, alignments and baselines, got {len(codes)}, "
                f"{len(transcripts)}, {len(alignments)} and {len(speakers)}"
            )
        return map_in_batches(
            [code.seconds for code in codes],
            self._budget_s,
            lambda batch: self._fuse(
                [codes[index] for index in batch],
                [transcripts[index] for index in batch],
                [alignments[index] for index in batch],
                [speakers[index] for index in batch],
            ),
        )

    def recognize(self, inputs: Sequence[EmotionInput]) -> list[Prediction]:
        """Encode, align and fuse any number of inputs, for offline use."""
        clips = [item.clip for item in inputs]
        transcripts = [item.transcript for item in inputs]
        return self.fuse(self.encode(clips), transcripts, self.align(clips, transcripts))

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
    def _fuse(
        self,
        codes: Sequence[EncodedAudio],
        transcripts: Sequence[Transcript | None],
        alignments: Sequence[Alignment],
        speakers: Sequence[SpeakerBaseline | None],
    ) -> list[Prediction]:
        # Words in a language that the text branch does not know leave the audio alone to decide: neither
        # they nor their spans are used. Without audio they are all there is.
        foreign = [self._is_foreign(*pair) for pair in zip(codes, transcripts, strict=True)]
        unused = [code.clip is not None and off for code, off in zip(codes, foreign, strict=True)]
        alignments = [Alignment() if off else one for one, off in zip(alignments, unused, strict=True)]
        texts = [
            None if transcript is None or off else transcript.text
            for transcript, off in zip(transcripts, unused, strict=True)
        ]
        batch = collate_text(texts, self._tokenizer, self._config.max_tokens).to(self._device)
        text = self._model.encode_text(batch)
        spans = collate_spans(alignments, self._config.spans)
        spans = {kind: batched.to(self._device) for kind, batched in spans.items()}
        voices = [self._voice_of(speaker) for speaker in speakers]
        logits = self._model.fuse(self._padded(codes), text, spans, self._stacked(voices, speakers)).logits()
        rows = {head: values.float().cpu() for head, values in logits.items()}
        has_text = batch.present.tolist()
        return [
            self._prediction(
                code,
                {head: values[index] for head, values in rows.items()},
                has_text[index],
                voices[index],
                speakers[index],
                foreign[index],
            )
            for index, code in enumerate(codes)
        ]

    def _is_foreign(self, code: EncodedAudio, transcript: Transcript | None) -> bool:
        """Whether there are words, in a language that the text branch does not know."""
        if transcript is None or not transcript.text.strip():
            return False
        return not is_in_languages(code.clip, transcript, self._config.text_languages)

    def _voice_of(self, speaker: SpeakerBaseline | None) -> Voice | None:
        return None if speaker is None or self._baseline is None else speaker.voice(self._baseline)

    def _stacked(
        self, voices: Sequence[Voice | None], speakers: Sequence[SpeakerBaseline | None]
    ) -> Baselines | None:
        """None where no speaker is known."""
        one = next((voice for voice in voices if voice is not None), None)
        if one is None:
            return None
        rows = np.stack([np.zeros_like(one) if voice is None else voice for voice in voices])
        known = torch.tensor([self._known_share(speaker) for speaker in speakers])
        return Baselines(torch.from_numpy(rows).to(self._device), known.to(self._device))

    def _padded(self, codes: Sequence[EncodedAudio]) -> EncodedModality:
        frames: list[Tensor] = [code.frames for code in codes]
        counts = torch.tensor([len(rows) for rows in frames], device=self._device)
        features = torch.nn.utils.rnn.pad_sequence(frames, batch_first=True)  # (B, T, H)
        mask = length_mask(counts, features.shape[1])
        present = torch.tensor([code.clip is not None for code in codes], device=self._device)
        return EncodedModality(features, mask & present[:, None], present)

    def _prediction(
        self,
        code: EncodedAudio,
        logits: dict[str, Tensor],
        has_text: bool,
        baseline: Voice | None,
        speaker: SpeakerBaseline | None,
        foreign: bool,
    ) -> Prediction:
        has_audio = code.clip is not None
        fused = _tuple(fused_posterior(logits, modality_pattern(has_audio, has_text), self._config))
        audio_only = _tuple(head_posterior(logits["audio"], "audio", self._config)) if has_audio else None
        text_only = _tuple(head_posterior(logits["text"], "text", self._config)) if has_text else None
        winner = fused.index(max(fused))
        evidence = Evidence(code, fused, audio_only, text_only, baseline, self._known_share(speaker), foreign)
        estimate = self._reliability(evidence)
        return Prediction(
            label=self.labels[winner],
            confidence=fused[winner],
            probabilities=fused,
            audio_only=audio_only,
            text_only=text_only,
            uncertain=estimate.reasons,
            reliable=estimate.reliable,
            error_probability=estimate.error_probability,
        )

    def _known_share(self, speaker: SpeakerBaseline | None) -> float:
        """How much of the baseline is the speaker's own, 0 to 1."""
        return 0.0 if speaker is None or self._baseline is None else speaker.known_share(self._baseline)


def _load_graph(checkpoint: Checkpoint, device: torch.device, dtype: torch.dtype) -> OnnxEncoder | None:
    """The checkpoint's ONNX graph, if it has one: the fastest encoder on a CPU in float32."""
    file, model = checkpoint.folder / GRAPH_FILE, checkpoint.model
    if device.type != "cpu" or dtype != torch.float32 or not file.is_file():
        return None
    return OnnxEncoder(file, model.audio_encoder, voice=model.config.baseline is not None)


def _name(checkpoint: Checkpoint, device: torch.device, dtype: torch.dtype, graph: OnnxEncoder | None) -> str:
    config = checkpoint.model.config
    kinds = f"{config.audio_config.model_type}+{config.text_config.model_type}"
    which = "bundled" if checkpoint.folder in (BUNDLED, BUNDLED_WHISPER) else checkpoint.folder.name
    millions = sum(weights.numel() for weights in checkpoint.model.parameters()) / 1e6
    how = ", ONNX Runtime" if graph else "" if dtype == torch.float32 else ", bfloat16"
    return f"{kinds} {which} ({millions:.1f} M parameters, {device.type}{how})"


def _tuple(probabilities: Tensor) -> Probabilities:
    return tuple(probabilities.tolist())
