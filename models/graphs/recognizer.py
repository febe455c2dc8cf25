"""Inference with the whole emotion model on ONNX Runtime, on a CPU in float32; imports no torch."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ..arena import run_options
from ..checkpoint_files import (
    CONFIG_FILE,
    check_max_tokens,
    invalid_config,
    read_config_fields,
    read_tokenizer,
    read_weights,
    shared_encoder,
)
from ..cpu_threads import usable_threads
from ..emotion_fields import PlainConfig
from ..encoders.ctranslate2_weights import check_shared_shapes, encoder_state, read_encoder
from ..encoders.identity import BACKBONE
from ..encoders.spectrogram import HOP, WINDOW, log_mel_spectrogram
from ..errors import CheckpointError
from ..inputs import WaveformSpec, prepare, token_ids
from ..recognition import FusionInput, Logits, Recognition, display_name
from ..transcription.whisper_folders import MODEL_FILE
from ..types import SAMPLE_RATE_HZ, Clip, EmotionInput, EncodedAudio, Samples, Transcript
from .files import AUDIO_GRAPH, FUSION_GRAPH, Description, read_description
from .sessions import Weights, folded, open_session

_ENCODE_BUDGET_S: Final = 4.0
"""Clips of 1 s cost a tenth to a quarter less four at a time than one by one, clips of 4 s nothing less, and
a batch of eight of 8 s costs 40 % more than one by one (docs/adr/0040)."""

_FUSE_BUDGET_S: Final = 64.0
"""Here a batch halves the cost."""

_STRIDE: Final = 2
"""Frames of the spectrogram for one of the encoder's; see `encoders.mel_front_end`."""


class GraphRecognizer(Recognition):
    """A checkpoint with graphs."""

    def __init__(
        self,
        folder: Path,
        *,
        cpu_threads: int | None = None,
        concurrent_calls: int = 1,
        whisper: Path | None = None,
    ) -> None:
        """cpu_threads: None for as many as OMP_NUM_THREADS says, or there are cores. concurrent_calls: calls
        that share them. whisper: see `checkpoint.load_checkpoint`.

        Raises CheckpointError for missing, damaged or foreign files.
        """
        fields = read_config_fields(folder)
        try:
            config = PlainConfig(fields)
            self._spec, self._bins = _audio_input(config)
            kinds = (str(config.audio_config["model_type"]), str(config.text_config["model_type"]))
            vocabulary = int(config.text_config["vocab_size"])
            positions = int(config.text_config["max_position_embeddings"])
        except (ValueError, TypeError, KeyError) as error:
            raise invalid_config(folder, error) from error
        check_max_tokens(config, positions, str(folder / CONFIG_FILE))
        described = read_description(folder, fields)
        how = "cpu, ONNX Runtime"
        super().__init__(config, display_name(kinds, folder, described.parameters, how), _FUSE_BUDGET_S, None)
        self._tokenizer = read_tokenizer(folder, vocabulary)
        weights = folded(_weights(folder, fields, described, whisper))
        self._concurrent_calls = concurrent_calls
        threads = usable_threads() if cpu_threads is None else cpu_threads
        threads = max(1, threads // concurrent_calls)
        with ThreadPoolExecutor(1, "open a graph") as other_thread:
            # Nothing in it can be fused: its results are the same to the last bit, and so is their time.
            fusion = partial(open_session, folder / FUSION_GRAPH, described.fusion, weights, threads)
            opening = other_thread.submit(partial(fusion, fused_operators=False))
            self._audio = open_session(folder / AUDIO_GRAPH, described.audio, weights, threads)
            self._fusion = opening.result()
        self._heads = [output.name for output in self._fusion.get_outputs()]
        shifts = next((one for one in self._fusion.get_inputs() if one.name == "shifts"), None)
        self._voice_size = 0 if shifts is None else int(shifts.shape[1])
        self.warm_up()

    @property
    def device(self) -> str:
        return "cpu"

    def warm_up(self) -> None:
        """Once is enough: a session sets nothing up for a batch of another size."""
        second = Clip(np.zeros(SAMPLE_RATE_HZ, dtype=np.float32))
        self.recognize([EmotionInput(second, Transcript("warm up"))])

    @property
    def batch_seconds(self) -> float:
        return _ENCODE_BUDGET_S

    @property
    def concurrent_calls(self) -> int:
        return self._concurrent_calls

    def _encode(self, clips: Sequence[Clip | None]) -> list[EncodedAudio]:
        silent = np.zeros(0, dtype=np.float32)
        rows = [
            log_mel_spectrogram(prepare(silent if clip is None else clip.samples, self._spec), self._bins)
            for clip in clips
        ]
        counts = np.array([len(row) for row in rows], dtype=np.int64)
        inputs = {"mel": _padded(rows).swapaxes(1, 2), "counts": counts}
        seconds = float(counts.sum()) * HOP / SAMPLE_RATE_HZ
        features, *voices = self._audio.run(None, inputs, run_options(seconds))
        frames = (counts + _STRIDE - 1) // _STRIDE
        return [
            # Copied out of a batch, whose padding would live as long as they.
            EncodedAudio(
                features[row, :count] if len(clips) == 1 else features[row, :count].copy(),
                clip,
                voices[0][row].copy() if voices and clip is not None else None,
            )
            for row, (clip, count) in enumerate(zip(clips, frames, strict=True))
        ]

    def _logits(self, batch: FusionInput) -> tuple[Logits, Sequence[bool]]:
        tokens = [token_ids(text, self._tokenizer, self._config.max_tokens) for text in batch.texts]
        ids = np.zeros((len(tokens), max(1, *map(len, tokens))), dtype=np.int64)
        for row, line in enumerate(tokens):
            ids[row, : len(line)] = line
        inputs: dict[str, npt.NDArray[Any]] = {
            "ids": ids,
            "lengths": np.array([len(line) for line in tokens], dtype=np.int64),
            "features": _padded([code.frames for code in batch.codes]),
            "frames": np.array([len(code.frames) for code in batch.codes], dtype=np.int64),
            "has_audio": np.array([code.clip is not None for code in batch.codes]),
        }
        if self._voice_size:
            shifts = batch.shifts()
            zero = np.zeros((len(tokens), self._voice_size), dtype=np.float32)
            inputs |= {
                "shifts": zero if shifts is None else shifts,
                "known": np.array(batch.known, dtype=np.float32),
            }
        logits = dict(zip(self._heads, self._fusion.run(None, inputs), strict=True))
        return logits, [bool(line) for line in tokens]


def _audio_input(config: PlainConfig) -> tuple[WaveformSpec, int]:
    """What the audio encoder takes, and the bins of its spectrogram. Raises KeyError and ValueError."""
    audio = config.audio_config
    if audio["model_type"] == "whisper":
        longest = int(audio["max_source_positions"]) * HOP * _STRIDE
        spec = WaveformSpec(WINDOW, unit_variance=False, max_samples=longest, level=config.audio_level)
        return spec, int(audio["num_mel_bins"])
    return WaveformSpec(WINDOW, config.audio_unit_variance), int(audio["mel_bins"])


def _weights(folder: Path, fields: dict[str, Any], described: Description, whisper: Path | None) -> Weights:
    """Those that the checkpoint holds and those of the encoder that it shares. Raises CheckpointError."""
    weights = read_weights(folder, described.stored)
    shared = shared_encoder(fields, folder)
    if shared is None:
        return weights
    wanted = described.shared
    layers = len({name.split(".")[1] for name in wanted if name.startswith("layers.")})
    try:
        file = shared.find(whisper) / MODEL_FILE
        found = encoder_state(read_encoder(file), layers, normalized="layer_norm.weight" in wanted, file=file)
        check_shared_shapes(file, {name: values.shape for name, values in found.items()}, wanted)
    except CheckpointError as error:
        raise CheckpointError(f"{folder}: {error}") from error
    return weights | {f"{BACKBONE}{name}": found[name] for name in wanted}


def _padded(rows: Sequence[Samples]) -> npt.NDArray[np.float32]:
    """(T_i, H) each -> (B, T, H), zero behind the end of each."""
    if len(rows) == 1:
        return rows[0][None]
    padded = np.zeros((len(rows), max(map(len, rows)), rows[0].shape[1]), dtype=np.float32)
    for index, row in enumerate(rows):
        padded[index, : len(row)] = row
    return padded
