"""`python -m emostream.training prepare`"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from emostream.models import load_transcriber

from ..corpora.example import Example
from ..errors import SettingsError
from . import options
from .console import PreparationProgress


def prepare(
    corpus: options.CorpusOption,
    data: options.DataOption,
    work: options.WorkOption = Path("run"),
    transcribe: Annotated[bool, typer.Option("--transcribe", help="Also transcribe every clip.")] = False,
    asr: options.AsrOption = "auto",
    trim: Annotated[
        bool, typer.Option(help="Trim silent edges, as training does unless `trimmed` is set to false.")
    ] = True,
    part: options.PartOption = False,
) -> None:
    """Read a corpus, check and cache its audio, and report its contents.

    With --transcribe also the word errors of the transcriber against the gold words, by kind, and those that
    training simulates on the same words at the default rates.
    """
    from emostream.models.checkpoint import load_checkpoint
    from emostream.models.checkpoint_files import BUNDLED

    from ..augmentation.confusions import confusions_of
    from ..augmentation.settings import TextErrorRates
    from ..data.asr_report import simulated_line, simulated_word_errors, transcript_rows, transcript_table
    from ..data.audio_cache import cached_audio
    from ..data.audio_check import report_cached_audio
    from ..data.transcripts import cached_transcripts
    from ..trainer.callbacks import progress_bars

    examples = options.read_corpora(corpus, data, part=part)
    print(_counts(examples))
    with_audio = [example for example in examples if example.path is not None]
    if not with_audio:
        return
    with progress_bars() as bars:
        on_progress = PreparationProgress(bars)
        audio_cache = cached_audio(
            with_audio,
            work / "cache" / "sounds",
            trimmed=trim,
            on_progress=lambda done, clips: on_progress("audio", done, clips),
        )
    print(f"\n{report_cached_audio(with_audio, audio_cache).table()}")
    if not transcribe:
        return
    transcriber = load_transcriber(asr)
    if transcriber is None:
        raise SettingsError(f"expected a transcriber to transcribe with, got none for --asr {asr}: name one")
    with progress_bars() as bars:
        on_progress = PreparationProgress(bars)
        transcripts = cached_transcripts(
            with_audio,
            audio_cache,
            transcriber,
            work / "cache",
            lambda done, clips: on_progress("transcripts", done, clips),
        )
    print(f"\nTranscripts by {transcriber.name} compared with the gold words:\n")
    print(transcript_table(transcript_rows(with_audio, transcripts)))
    confusions = confusions_of(load_checkpoint(BUNDLED).tokenizer)
    if (simulated := simulated_word_errors(with_audio, confusions, TextErrorRates())) is not None:
        print(simulated_line(simulated))


def _counts(examples: Sequence[Example]) -> str:
    """A Markdown table with a row for each corpus and split."""
    labels = sorted({example.emotion for example in examples})
    lines = [
        "| corpus | split | utterances | speakers | dialogues | " + " | ".join(labels) + " |",
        "|---|---|" + "---:|" * (3 + len(labels)),
    ]
    for name, split in sorted({(example.corpus, example.split) for example in examples}):
        part = [e for e in examples if (e.corpus, e.split) == (name, split)]
        emotions = Counter(example.emotion for example in part)
        numbers = [
            len(part),
            len({example.speaker for example in part} - {""}),
            len({example.dialogue for example in part} - {""}),
            *(emotions[label] for label in labels),
        ]
        cells = " | ".join(f"{number:,}" for number in numbers)
        lines.append(f"| {name} | {split or 'all'} | {cells} |")
    return "\n".join(lines)
