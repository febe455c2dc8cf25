"""`python -m benchmarks.shared_encoder FOLDER CLIP`: what it costs to hear emotion with Whisper's encoder.

FOLDER: a faster-whisper model. CLIP: a recording of speech of at least 8 s. CPU time of the process, all ways
in turn in one run: words as served, the encoder of the words alone, the self-contained model's own encoder,
and a pass of the shared encoder's first layers at the clip's own length through torch and ONNX Runtime; the
models as they are served, last.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from benchmarks.machine import commit, machine
from emostream.models import Clip, EmotionInput, Transcript, load_recognizer
from emostream.models.checkpoint import load_checkpoint
from emostream.models.checkpoint_files import BUNDLED, BUNDLED_WHISPER
from emostream.models.device import cast_weights
from emostream.models.encoders.export_module import make_exportable
from emostream.models.encoders.onnx import GRAPH_FILE, INPUT, OnnxEncoder, export_graph, export_program
from emostream.models.encoders.shared import fill_shared_encoder, shared_config
from emostream.models.encoders.whisper import WhisperAudioEncoder
from emostream.models.recognition import Recognition
from emostream.models.recognizer import EmotionRecognizer
from emostream.models.transcription.whisper import WhisperTranscriber
from emostream.training.data.audio_cache import read_clip

SECONDS: Final = (1.5, 2.5, 4.0, 8.0)
WINDOWS: Final = (5, 7, 10)
WORDS: Final = "words, as served"
SELF_CONTAINED: Final = "self-contained model, as served"
IN_TORCH: Final = "model on Whisper's encoder, torch alone"
AS_SERVED: Final = "model on Whisper's encoder, as served"

Way = Callable[[Tensor], Any]
"""(N,) samples -> anything."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.shared_encoder", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("clip", type=Path)
    parser.add_argument("--threads", type=int, default=1, help="of every library")
    parser.add_argument("--layers", type=int, nargs="+", default=[4, 6], help="how deep the pass goes")
    parser.add_argument("--repeats", type=int, default=9)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    speech = torch.from_numpy(read_clip(arguments.clip))
    clips = [speech[: round(16_000 * seconds)] for seconds in SECONDS]
    with tempfile.TemporaryDirectory() as scratch:
        ways = dict(_ways(arguments.folder, arguments.layers, arguments.threads, Path(scratch)))
        times = _measure(ways, clips, arguments.repeats)
    print(f"{machine()}; {arguments.threads} threads; commit {commit()}.\n")
    print(f"CPU ms, median of {arguments.repeats}:\n")
    print("| way | " + " | ".join(f"{seconds:g} s" for seconds in SECONDS) + " |")
    print("|---|" + "---|" * len(SECONDS))
    for name in ways:
        print(f"| {name} | " + " | ".join(f"{1e3 * median:.0f}" for median in times[name]) + " |")
    print("\nWords and emotion against words and the self-contained model, both as served:\n")
    for name in (IN_TORCH, AS_SERVED):
        ratios = [
            (words + emotion) / (words + before)
            for words, emotion, before in zip(times[WORDS], times[name], times[SELF_CONTAINED], strict=True)
        ]
        print(f"| {name} | " + " | ".join(f"{ratio:.2f}" for ratio in ratios) + " |")


def _measure(ways: dict[str, Way], clips: list[Tensor], repeats: int) -> dict[str, list[float]]:
    """Seconds of CPU time by way, one for each clip; the first round warms up."""
    times: dict[str, list[list[float]]] = {name: [[] for _ in clips] for name in ways}
    for round_ in range(repeats + 1):
        for place, clip in enumerate(clips):
            for name, way in ways.items():
                began = time.process_time()
                way(clip)
                if round_:
                    times[name][place].append(time.process_time() - began)
    return {name: [statistics.median(of_clip) for of_clip in rows] for name, rows in times.items()}


def _ways(folder: Path, depths: list[int], threads: int, scratch: Path) -> Iterator[tuple[str, Way]]:
    words = WhisperTranscriber.load(folder, label=folder.name, device="cpu", cpu_threads=threads)
    yield WORDS, lambda clip: words.transcribe([Clip(clip.numpy(), "en")])
    for window in WINDOWS:
        yield f"CTranslate2's encoder, {window} s", _words_encoder(words, window)
    own = load_checkpoint(BUNDLED).model.audio_encoder
    export_graph(own, scratch / GRAPH_FILE)
    yield "self-contained encoder, ONNX Runtime fp32", OnnxEncoder(scratch / GRAPH_FILE, own)
    for depth in depths:
        encoder = _encoder(folder, depth)
        yield f"{depth} layers, torch fp32", _in_torch(encoder)
        half = _encoder(folder, depth)
        cast_weights(half, torch.bfloat16)
        yield f"{depth} layers, torch bf16", _in_torch(half)
        export_graph(encoder, scratch / f"{depth}.onnx")
        yield f"{depth} layers, ONNX Runtime fp32", OnnxEncoder(scratch / f"{depth}.onnx", encoder)
        yield f"{depth} layers, ONNX Runtime int8", _quantized(encoder, threads, scratch / f"{depth}")
    cpu = torch.device("cpu")
    yield SELF_CONTAINED, _recognizing(load_recognizer(BUNDLED, device="cpu"))
    plain = EmotionRecognizer(load_checkpoint(BUNDLED_WHISPER, folder), cpu)
    yield IN_TORCH, _recognizing(plain)
    yield AS_SERVED, _recognizing(load_recognizer(BUNDLED_WHISPER, device="cpu", whisper=folder))


def _recognizing(recognizer: Recognition) -> Way:
    return lambda clip: recognizer.recognize([EmotionInput(Clip(clip.numpy()), Transcript("so it goes"))])


def _words_encoder(words: WhisperTranscriber, window: int) -> Way:
    """For longer clips, of their beginning."""
    decoder = words._decoder
    return lambda clip: decoder.encode([clip[: 16_000 * window].numpy()], window * decoder.frames_per_second)


def _encoder(folder: Path, depth: int) -> WhisperAudioEncoder:
    encoder = WhisperAudioEncoder(shared_config(folder))
    encoder.concatenate([depth], 256, 0.0)
    fill_shared_encoder(encoder, folder)
    return encoder.eval()


def _in_torch(encoder: WhisperAudioEncoder) -> Way:
    @torch.inference_mode()
    def encode(clip: Tensor) -> Tensor:
        features: Tensor = encoder(clip[None], torch.ones(1, len(clip), dtype=torch.bool))[0]
        return features

    return encode


def _quantized(encoder: WhisperAudioEncoder, threads: int, stem: Path) -> Way:
    """Dynamically quantised products; the convolutions stay as they are."""
    import onnxruntime
    from onnxruntime.quantization import QuantType, quantize_dynamic

    whole, small = stem.with_suffix(".whole.onnx"), stem.with_suffix(".int8.onnx")
    program = export_program(make_exportable(encoder), encoder.waveform_spec.min_samples, optimize=True)
    program.save(whole, external_data=False)
    quantize_dynamic(
        whole,
        small,
        weight_type=QuantType.QInt8,
        per_channel=True,
        op_types_to_quantize=["MatMul", "Gemm"],
    )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(str(small), options, providers=["CPUExecutionProvider"])
    return lambda clip: session.run(None, {INPUT: clip[None].numpy()})


if __name__ == "__main__":
    main()
