"""A folder of small corpora of synthetic voices, and a tiny encoder for them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile
import torch
from transformers import WhisperConfig

from emostream.models import LABELS
from emostream.models.encoders.whisper import WhisperAudioEncoder

HEADER = "path,speaker,emotion,emotion_orig,text,gender,lang,split\n"
SPEAKERS = 4


def write_collection(root: Path, corpora: tuple[str, ...] = ("ravdess", "nemo"), clips: int = 2) -> Path:
    """`clips` of each label of four speakers a corpus, the last one in split dev; one ordinary speaker for
    training, two for validation; four noises.
    """
    rng = np.random.default_rng(0)
    for number, corpus in enumerate(corpora):
        rows = []
        for speaker in range(SPEAKERS):
            split = "dev" if speaker == SPEAKERS - 1 else "train"
            for label_number, label in enumerate(LABELS):
                for clip in range(clips):
                    name = f"audio/{speaker}_{label}_{clip}.wav"
                    tone = 150 * (1 + speaker + SPEAKERS * number) + 400 * label_number
                    _write(root / corpus / name, tone, rng)
                    rows.append(f"{name},{corpus}_{speaker},{label},{label},,f,en,{split}")
        _manifest(root / corpus, rows)
    rows = []
    for speaker, split in enumerate(("train", "dev", "dev")):
        _write(root / "librispeech" / f"audio/{speaker}.wav", 180, rng, seconds=3.0)
        rows.append(f"audio/{speaker}.wav,libri_{speaker},other,unlabelled,,,en,{split}")
    _manifest(root / "librispeech", rows)
    rows = []
    for number in range(4):
        _write(root / "noise" / f"audio/{number}.wav", 3000, rng)
        rows.append(f"audio/{number}.wav,,other,rain,,,,train")
    _manifest(root / "noise", rows)
    return root


def tiny_whisper_encoder(seed: int = 0) -> WhisperAudioEncoder:
    """Four layers of width 16, random."""
    torch.manual_seed(seed)
    return WhisperAudioEncoder(tiny_whisper_config(), level=0.05).eval()


def tiny_whisper_config() -> WhisperConfig:
    return WhisperConfig(
        d_model=16,
        encoder_layers=5,
        encoder_attention_heads=2,
        encoder_ffn_dim=16,
        num_mel_bins=80,
        max_source_positions=1500,
    )


def _manifest(folder: Path, rows: list[str]) -> None:
    (folder / "manifest.csv").write_text(HEADER + "".join(f"{row}\n" for row in rows), encoding="utf-8")


def _write(path: Path, hertz: float, rng: np.random.Generator, seconds: float = 0.5) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    time = np.arange(int(16_000 * seconds)) / 16_000
    tone = 0.2 * np.sin(2 * np.pi * hertz * time) + 0.02 * rng.standard_normal(len(time))
    soundfile.write(path, tone.astype(np.float32), 16_000)
