"""`python -m benchmarks.words FOLDER --data ../shared/data`: Whisper's words and their price.

FOLDER: a faster-whisper model. Word error rates against the texts of RAVDESS and CREMA-D, and on LibriSpeech
against what faster-whisper itself writes with five beams; words invented on sounds without speech; CPU time a
clip. --setting WINDOWS/QUIET/BEAMS, e.g. 10,15,20,30/3/2, as often as wanted; without one, as
served.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

import jiwer
from num2words import num2words

from benchmarks.word_sounds import Spoken, speech, wordless
from emostream.models import Clip
from emostream.models.text_normalization import normalize_text
from emostream.models.transcription import whisper as served
from emostream.models.transcription import whisper_decoding as decoding
from emostream.models.transcription.whisper import WhisperTranscriber

REFERENCE: Final = "faster-whisper, 5 beams, 30 s"
AS_SERVED: Final = "as served"
CORPORA: Final = ("RAVDESS", "CREMA-D", "LibriSpeech")


@dataclass(frozen=True)
class Transcribed:
    """text: what the filter lets through; raw: what Whisper wrote."""

    setting: str
    place: int
    spoken: Spoken
    text: str
    cpu_ms: float
    raw: str | None = None
    figures: dict[str, Any] | None = None

    def record(self) -> dict[str, Any]:
        seconds = len(self.spoken.samples) / 16_000
        known = {"setting": self.setting, "kind": self.spoken.kind, "said": self.spoken.text}
        return known | {
            "seconds": seconds,
            "text": self.text,
            "raw": self.raw,
            "cpu_ms": self.cpu_ms,
            **(self.figures or {}),
        }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.words", description=__doc__)
    parser.add_argument("folder", type=Path, help="a faster-whisper model")
    parser.add_argument("--data", type=Path, required=True, help="the folder of the corpora")
    parser.add_argument("--clips", type=int, default=56, help="of each acted corpus; half as many read")
    parser.add_argument("--sounds", type=int, default=8, help="of each kind of ESC-10; 0 for no sounds")
    parser.add_argument("--setting", action="append", help="WINDOWS/QUIET/BEAMS")
    parser.add_argument("--reference", action="store_true", help="faster-whisper's own transcribe too")
    parser.add_argument("--dump", type=Path, help="one JSON object a clip, appended to this file")
    arguments = parser.parse_args()
    clips = speech(arguments.data, arguments.clips) if arguments.clips else []
    clips += wordless(arguments.data, arguments.sounds) if arguments.sounds else []
    transcriber = WhisperTranscriber.load(
        arguments.folder, label=arguments.folder.name, device="cpu", cpu_threads=1
    )
    results: list[Transcribed] = []
    if arguments.reference:
        results += _keep(_reference(transcriber, clips), arguments.dump)
    for setting in arguments.setting or [AS_SERVED]:
        results += _keep(_served(transcriber, clips, setting), arguments.dump)
    print("\n".join(_table(results)))


def _keep(results: Iterator[Transcribed], file: Path | None) -> list[Transcribed]:
    kept = list(results)
    if file is not None:
        with file.open("a", encoding="utf-8") as opened:
            opened.writelines(json.dumps(one.record()) + "\n" for one in kept)
    return kept


def _reference(transcriber: WhisperTranscriber, clips: list[Spoken]) -> Iterator[Transcribed]:
    model = transcriber._decoder._model
    for place, spoken in enumerate(clips):
        began = time.process_time()
        segments, _ = model.transcribe(spoken.samples, beam_size=5, language="en")
        text = " ".join(segment.text.strip() for segment in segments)
        yield Transcribed(REFERENCE, place, spoken, text, 1e3 * (time.process_time() - began))


def _served(transcriber: WhisperTranscriber, clips: list[Spoken], setting: str) -> Iterator[Transcribed]:
    raw: dict[str, Any] = {}
    accept = transcriber._filter

    def observe(hypothesis: Any, words: Any, samples: int) -> Any:
        raw["text"] = transcriber._decoder.text(hypothesis)
        raw["figures"] = {
            "logprob": round(hypothesis.avg_logprob, 3),
            "no_speech": round(hypothesis.no_speech_prob, 3),
            "tokens": len(hypothesis.tokens),
            "complete": hypothesis.complete,
        }
        return accept(hypothesis, words, samples)

    with _with(setting), patch.object(transcriber, "_filter", observe):
        for place, spoken in enumerate(clips):
            raw.clear()
            began = time.process_time()
            (transcript,) = transcriber.transcribe([Clip(spoken.samples, "en")])
            took = 1e3 * (time.process_time() - began)
            figures = {"rejected": transcript.rejected} | raw.get("figures", {})
            yield Transcribed(setting, place, spoken, transcript.text, took, raw.get("text"), figures)


@contextmanager
def _with(setting: str) -> Iterator[None]:
    """The served code with another window and search."""
    with ExitStack() as stack:
        if setting != AS_SERVED:
            windows, quiet, beams = setting.split("/")
            lengths = [int(window) for window in windows.split(",")]

            def window_for(clip_s: float) -> int:
                return next((window for window in lengths if clip_s + float(quiet) <= window), lengths[-1])

            stack.enter_context(patch.object(served, "window_for", window_for))
            stack.enter_context(patch.object(decoding, "_BEAM", int(beams)))
            stack.enter_context(patch.object(decoding, "_PATIENCE", 1 / int(beams)))
        yield


def _table(results: list[Transcribed]) -> Iterator[str]:
    yield (
        f"| windows / quiet s / beams | {' | '.join(f'WER {corpus}' for corpus in CORPORA)} | speech without "
        "words | invented: clips, words | CPU ms p50, p95 |"
    )
    yield "|---|" + "---|" * (len(CORPORA) + 3)
    texts = {one.place: one.text for one in results if one.setting == REFERENCE}
    for setting in dict.fromkeys(one.setting for one in results):
        mine = [one for one in results if one.setting == setting]
        rates = [_rate([one for one in mine if one.spoken.kind == corpus], texts) for corpus in CORPORA]
        spoken = [one for one in mine if one.spoken.text != ""]
        lost = sum(not one.text for one in spoken)
        invented = [one.text for one in mine if one.spoken.text == "" and one.text]
        times = sorted(one.cpu_ms for one in spoken or mine)
        yield (
            f"| {setting} | {' | '.join(rates)} | {lost} of {len(spoken)} | {len(invented)} of "
            f"{len(mine) - len(spoken)}, {sum(len(text.split()) for text in invented)} | "
            f"{statistics.median(times):.0f}, {times[int(0.95 * len(times))]:.0f} |"
        )


def _rate(results: list[Transcribed], reference: dict[int, str]) -> str:
    """Word error rate; where no text is known, against the reference's."""
    pairs = [
        (_words(reference.get(one.place, "") if one.spoken.text is None else one.spoken.text), one.text)
        for one in results
    ]
    pairs = [(said, text) for said, text in pairs if said]
    if not pairs:
        return ""
    return f"{jiwer.wer([said for said, _ in pairs], [_words(text) for _, text in pairs]):.1%}"


def _words(text: str) -> str:
    """As normalised for the model, numbers in words."""
    return normalize_text(re.sub(r"\d+", lambda number: f" {num2words(int(number[0]))} ", text))


if __name__ == "__main__":
    main()
