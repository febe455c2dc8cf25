"""What `benchmarks.gpu` measures: networks of full size or tiny, with random weights, and clips of noise."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
import torch
from msgspec.structs import replace
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from transformers import BertConfig, Wav2Vec2Config

from emostream.models import LABELS, SAMPLE_RATE_HZ
from emostream.models.collate import AudioBatch, TextBatch
from emostream.models.config import EmotionConfig, reference_config
from emostream.models.emotion import EmotionModel
from emostream.training.corpora.example import Example
from emostream.training.data.audio_cache import AudioCache
from emostream.training.emotion.collator import Collator
from emostream.training.emotion.inputs import TrainingInputs
from emostream.training.emotion.module import EmotionTrainingModule
from emostream.training.emotion.predict import PredictionRuntime
from emostream.training.emotion.settings import ContrastiveSettings, DataSettings
from emostream.training.emotion.task import EmotionTask
from emostream.training.trainer.settings import TrainerSettings

SECONDS: Final = 4.0
TOKENS: Final = 16
_WORDS: Final = 900


def network(tiny: bool) -> EmotionModel:
    torch.manual_seed(0)
    if not tiny:
        return EmotionModel(reference_config(granularities=("frame",)))
    audio = Wav2Vec2Config(
        conv_dim=[16] * 7, hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32
    )
    text = BertConfig(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32)
    return EmotionModel(
        EmotionConfig(audio_config=audio, text_config=text, width=32, heads=2, feed_forward=32)
    )


def batch_of(size: int, device: torch.device) -> tuple[AudioBatch, TextBatch]:
    samples = torch.randn(size, int(SECONDS * SAMPLE_RATE_HZ))
    ids = torch.randint(1000, 2000, (size, TOKENS))
    present = torch.ones(size, dtype=torch.bool)
    audio = AudioBatch(samples, torch.ones_like(samples, dtype=torch.bool), present)
    return audio.to(device), TextBatch(ids, torch.ones_like(ids, dtype=torch.bool), present).to(device)


def word_tokenizer() -> Tokenizer:
    """Of the words of `line_of_words`."""
    words = {name: number for number, name in enumerate(["[UNK]", *(f"w{word}" for word in range(_WORDS))])}
    tokenizer = Tokenizer(WordLevel(words, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    return tokenizer


def line_of_words(rng: np.random.Generator) -> str:
    return " ".join(f"w{word}" for word in rng.integers(0, _WORDS, TOKENS - 2))


def noise_task(model: EmotionModel, settings: TrainerSettings, clips: int) -> EmotionTask:
    """Clips of noise of 2 to 8 s, each with a line of words; labels in rotation."""
    rng = np.random.default_rng(0)
    examples = [
        Example(
            corpus="noise",
            key=f"noise/{number}",
            emotion=LABELS[number % 4],
            emotion_orig=LABELS[number % 4],
            path=Path(f"{number}.wav"),
            words=line_of_words(rng),
        )
        for number in range(clips)
    ]
    lengths = (rng.uniform(2.0, 8.0, clips) * SAMPLE_RATE_HZ).astype(int)
    ends = np.cumsum(lengths).tolist()
    spans = {
        example.key: (end - int(n), end) for example, end, n in zip(examples, ends, lengths, strict=True)
    }
    samples = rng.integers(-8000, 8000, ends[-1]).astype(np.int16)
    labels = {example.key: LABELS.index(example.emotion) for example in examples}
    data = replace(DataSettings(), text_source="gold", max_seconds=8.0)
    return EmotionTask(
        EmotionTrainingModule(model, ContrastiveSettings(alpha=0.3)),
        examples,
        examples[:8],
        Collator(TrainingInputs(AudioCache(samples, spans), word_tokenizer()), data, model, labels),
        labels,
        settings,
        1,
        PredictionRuntime(next(model.parameters()).device),
    )
