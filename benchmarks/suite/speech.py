"""The speech that is measured with: recordings of one utterance each, or the demo's, cut into utterances."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Final

import numpy as np

from emostream.models import MEDIA_SUFFIXES
from emostream.streamer.audio.decode import decode_file
from emostream.streamer.audio.frontend import Samples
from emostream.streamer.bench.workload import read_clips, trim_silence
from emostream.streamer.config import FRAME_SAMPLES, SegmenterSettings, VadSettings
from emostream.streamer.errors import SourceError
from emostream.streamer.pipeline.segmenter import Segmenter, Utterance
from emostream.streamer.pipeline.vad import make_vad

DEMO_RECORDING: Final = Path(str(files("emostream.demo") / "recording.ogg"))
_MOST_FILES: Final = 160


def speech_clips(folder: Path | None) -> list[Samples]:
    """At 16 kHz, trimmed to speech. folder: of at most 160 recordings, evenly spread over its files, are
    read. Raises SourceError.
    """
    return utterances(demo_recording()) if folder is None else read_clips(spread_files(folder))


def spread_files(folder: Path, most: int = _MOST_FILES) -> list[Path]:
    """Recordings of a folder, evenly spread over all of them in the order of their names."""
    found = sorted(file for file in folder.rglob("*") if file.suffix.lower() in MEDIA_SUFFIXES)
    if not found:
        raise SourceError(f"expected recordings in {folder}, found none; name another folder")
    return [found[index] for index in np.unique(np.linspace(0, len(found) - 1, most).round().astype(int))]


def demo_recording() -> Samples:
    """(N,) at 16 kHz, 33 s: eight synthetic utterances with pauses."""
    return decode_file(DEMO_RECORDING)


def utterances(samples: Samples) -> list[Samples]:
    """Of a recording, as a stream would be cut, trimmed to speech."""
    vad, segmenter = make_vad(VadSettings()), Segmenter(SegmenterSettings())
    frames = samples[: len(samples) // FRAME_SAMPLES * FRAME_SAMPLES].reshape(-1, FRAME_SAMPLES)
    happened = []
    for frame, is_speech in zip(frames, vad.is_speech(frames), strict=True):
        happened += segmenter.push(frame, is_speech)
    happened += segmenter.flush("end_of_stream")
    return [trim_silence(one.samples) for one in happened if isinstance(one, Utterance)]


def described(folder: Path | None, clips: list[Samples]) -> str:
    """For the text of a section."""
    if folder is None:
        return f"the demo's recording, cut into {len(clips)} utterances (synthetic voices)"
    return f"{len(clips)} recordings of a folder `{folder.name}`"
