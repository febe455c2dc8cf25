"""The flags that several commands share, and how they join the settings file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import typer
from rich.console import Console

from ..clock import Clock
from ..config import DtypeName, Settings, VadName, load_settings
from ..errors import ConfigError
from ..inference import load_models
from ..inference.backend import ModelInfo
from ..inference.engine import Engine

DeviceName = Literal["auto", "cpu", "cuda"]

ConfigOption = Annotated[
    Path | None, typer.Option("--config", help="Settings file (TOML); flags win over it.", show_default=False)
]
AsrOption = Annotated[
    str | None,
    typer.Option(
        "--asr",
        help="Who writes the words: [bold]auto[/bold] (Whisper tiny.en where it can be had, otherwise "
        "PocketSphinx), a Whisper model name such as small.en, a faster-whisper folder, "
        "[bold]pocketsphinx[/bold], or [bold]none[/bold] for sound alone. Default: auto.",
        show_default=False,
    ),
]
VadOption = Annotated[
    VadName | None,
    typer.Option(
        "--vad", help="Who decides what is speech: webrtc or silero. Default: webrtc.", show_default=False
    ),
]
DeviceOption = Annotated[
    DeviceName | None,
    typer.Option(
        "--device", help="Where the models run: auto, cpu or cuda. Default: auto.", show_default=False
    ),
]
ComputeTypeOption = Annotated[
    str | None,
    typer.Option(
        "--compute-type",
        help="Whisper's arithmetic, as CTranslate2 names it: int8, float16, ... Default: int8 on a CPU, "
        "float16 on a GPU.",
        show_default=False,
    ),
]
DtypeOption = Annotated[
    DtypeName | None,
    typer.Option(
        "--dtype",
        help="Arithmetic of the emotion model's encoders: float32, bfloat16 or auto (bfloat16 where the "
        "hardware has it and the model is large enough to gain). Default: auto.",
        show_default=False,
    ),
]
CheckpointOption = Annotated[
    str | None,
    typer.Option(
        "--checkpoint",
        help="Emotion model: a folder or a hub name. Default: the bundled one.",
        show_default=False,
    ),
]
HostOption = Annotated[
    str | None,
    typer.Option("--host", help="Address to listen on. Default: 127.0.0.1.", show_default=False),
]
PortOption = Annotated[
    int | None, typer.Option("--port", help="Port to listen on. Default: 8765.", show_default=False)
]
AudioBufferOption = Annotated[
    int | None,
    typer.Option(
        "--audio-buffer",
        metavar="SECONDS",
        help="Keep so much of the sound, in memory (115 MB an hour), for those who watch to hear again.",
        show_default=False,
    ),
]
OutputFormat = Literal["jsonl", "text"]
FormatOption = Annotated[
    OutputFormat,
    typer.Option("--format", help="jsonl: one event a line, for programs. text: for people."),
]


def settings_from(
    config: Path | None,
    *,
    models: dict[str, Any] | None = None,
    vad: dict[str, Any] | None = None,
    segmenter: dict[str, Any] | None = None,
    live: dict[str, Any] | None = None,
    server: dict[str, Any] | None = None,
) -> Settings:
    """The file's settings with the flags laid over them; None leaves a setting alone.

    Raises ConfigError.
    """
    whole = msgspec.to_builtins(load_settings(config))
    sections = {"models": models, "vad": vad, "segmenter": segmenter, "live": live, "server": server}
    for section, flags in sections.items():
        whole[section] |= {name: value for name, value in (flags or {}).items() if value is not None}
    try:
        return msgspec.convert(whole, Settings)
    except msgspec.ValidationError as error:
        raise ConfigError(f"expected valid settings, got: {error}; see --help") from error


def model_flags(
    asr: str | None,
    device: DeviceName | None,
    compute_type: str | None,
    dtype: DtypeName | None,
    checkpoint: str | None,
) -> dict[str, Any]:
    """The flags of the `models` section, for `settings_from`."""
    return {
        "asr": asr,
        "device": device,
        "compute_type": compute_type,
        "dtype": dtype,
        "checkpoint": checkpoint,
    }


def load_engine(settings: Settings, console: Console, clock: Clock, *, live: bool = False) -> Engine:
    """Load the models, saying so. live: see `loading.load_engine`. Raises ModelError."""
    status = console.status("Loading the models ...")
    try:
        # No spinner before: a download draws its own progress bar.
        return load_models.load_engine(settings, clock, live=live, on_downloaded=status.start)
    finally:
        status.stop()


def print_models(console: Console, model_info: ModelInfo) -> None:
    asr = "no words (--asr none)" if model_info.asr is None else model_info.asr
    console.print(
        f"Words: {asr}. Emotion: {model_info.emotion}.", highlight=False, soft_wrap=True, markup=False
    )
