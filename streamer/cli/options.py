"""The options that several commands share, and how they override the settings file."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec
import typer

from ..config import Adapt, Channels, DtypeName, Settings, VadName, load_settings
from ..display_paths import printable
from ..errors import ConfigError

DeviceName = Literal["auto", "cpu", "cuda"]
OutputFormat = Literal["jsonl", "text"]

_MODELS: Final = "Models"

AsrOption = Annotated[
    str | None,
    typer.Option(
        "--asr",
        metavar="MODEL",
        help="Transcriber: [bold]auto[/bold] (Whisper base or tiny.en if available, else PocketSphinx), "
        "a Whisper model name such as small.en, a faster-whisper folder, [bold]pocketsphinx[/bold], or "
        "[bold]none[/bold] for audio only. Default: auto.",
        show_default=False,
        rich_help_panel=_MODELS,
    ),
]
FormatOption = Annotated[
    OutputFormat,
    typer.Option("--format", help="jsonl: one JSON event per line. text: for reading in a terminal."),
]
LanguageOption = Annotated[
    str | None,
    typer.Option(
        "--language",
        metavar="LANGUAGE",
        help="Language of the speech (such as en or de), for multilingual Whisper models. Default: detected.",
        show_default=False,
    ),
]


SpeakerOption = Annotated[
    str | None,
    typer.Option(
        "--speaker",
        metavar="NAME",
        help="Who speaks, if enrolled with [bold]emostream live --enroll NAME[/bold]: the first utterance is "
        "judged against this voice already.",
        show_default=False,
    ),
]


ChannelsOption = Annotated[
    str | None,
    typer.Option(
        "--channels",
        metavar="mix|split|N",
        help="mix: all channels, mixed down. split: each on its own, with a speaker of its own. A number: "
        "that channel alone. Default: mix.",
        show_default=False,
    ),
]
TrackOption = Annotated[
    int | None,
    typer.Option(
        "--track",
        min=1,
        metavar="N",
        help="Sound track of a recording that has several. Default: 1.",
        show_default=False,
    ),
]


MicrophoneOption = Annotated[
    str | None,
    typer.Option(
        "--microphone",
        metavar="NAME",
        help="Number or part of the name, see [bold]emostream devices[/bold]. Default: the system's.",
        show_default=False,
    ),
]


def parse_channels(text: str | None) -> Channels | None:
    """Of --channels. Raises ConfigError."""
    match text:
        case None | "mix" | "split":
            return text
        case digits if digits.isascii() and digits.isdigit() and int(digits):
            return int(digits)
    raise ConfigError(
        f"expected --channels mix, split or the number of a channel from 1, got {printable(text)}; see --help"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelOptions:
    """Which models run, and how: the options of every command that loads them. None: as the settings say."""

    asr: AsrOption = None
    vad: Annotated[
        VadName | None,
        typer.Option(
            "--vad",
            help="Voice activity detector: webrtc or silero. Default: webrtc.",
            show_default=False,
            rich_help_panel=_MODELS,
        ),
    ] = None
    device: Annotated[
        DeviceName | None,
        typer.Option(
            "--device",
            help="Device of the models: auto, cpu or cuda. Default: auto.",
            show_default=False,
            rich_help_panel=_MODELS,
        ),
    ] = None
    compute_type: Annotated[
        str | None,
        typer.Option(
            "--compute-type",
            metavar="TYPE",
            help="Whisper's precision, by CTranslate2's names: int8, float16, ... Default: int8 on a CPU, "
            "float16 on a GPU.",
            show_default=False,
            rich_help_panel=_MODELS,
        ),
    ] = None
    dtype: Annotated[
        DtypeName | None,
        typer.Option(
            "--dtype",
            help="Precision of the emotion model's encoders: float32, bfloat16 or auto (bfloat16 if the "
            "hardware supports it and the model is large enough to gain). Default: auto.",
            show_default=False,
            rich_help_panel=_MODELS,
        ),
    ] = None
    checkpoint: Annotated[
        str | None,
        typer.Option(
            "--checkpoint",
            metavar="FOLDER|NAME",
            help="Emotion model: a folder or a name on the Hugging Face hub. Default: the bundled one.",
            show_default=False,
            rich_help_panel=_MODELS,
        ),
    ] = None
    adapt: Annotated[
        Adapt | None,
        typer.Option(
            "--adapt",
            help="What an utterance is judged against, where the emotion model knows speakers: stream (the "
            "speaker's utterances before it), recording (all of the recording; not live) or off. "
            "Default: stream.",
            show_default=False,
            rich_help_panel=_MODELS,
        ),
    ] = None
    config: Annotated[
        Path | None,
        typer.Option(
            "--config",
            metavar="FILE",
            help="Settings file (TOML); command-line options override it.",
            show_default=False,
            rich_help_panel=_MODELS,
        ),
    ] = None

    @property
    def recorded_segmentation(self) -> bool:
        """Whether a recorded session keeps its own VAD and segmenter settings: no others are given."""
        return self.vad is None and self.config is None

    @property
    def recorded_adapt(self) -> bool:
        """Whether a recorded session keeps its own `speaker.adapt`: no other is given."""
        return self.adapt is None and self.config is None

    def settings(
        self,
        *,
        audio: dict[str, Any] | None = None,
        live: dict[str, Any] | None = None,
        server: dict[str, Any] | None = None,
    ) -> Settings:
        """The settings file's settings, overridden by these options. Raises ConfigError, also for settings
        that need the end of the audio.
        """
        settings = self.recording_settings(audio=audio, live=live, server=server)
        if settings.speaker.adapt == "recording":
            raise ConfigError(
                "expected speaker.adapt stream or off for live audio, got recording, which needs all of "
                "it in advance; choose --adapt stream"
            )
        return settings

    def recording_settings(
        self,
        *,
        audio: dict[str, Any] | None = None,
        live: dict[str, Any] | None = None,
        server: dict[str, Any] | None = None,
    ) -> Settings:
        """For recordings: the settings file's settings, overridden by these options. Raises ConfigError."""
        names = ("asr", "device", "compute_type", "dtype", "checkpoint")
        models = {name: getattr(self, name) for name in names}
        return settings_from(
            self.config,
            audio=audio,
            models=models,
            vad={"name": self.vad},
            speaker={"adapt": self.adapt},
            live=live,
            server=server,
        )

    def arguments(self) -> list[str]:
        """The command-line arguments that give these options to another process."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return [
            word
            for name, value in values.items()
            if value is not None
            for word in (f"--{name.replace('_', '-')}", str(value))
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioOptions:
    """What is heard of a recording or device. None: as the settings say."""

    channels: ChannelsOption = None
    track: TrackOption = None

    def section(self) -> dict[str, Any]:
        """Of the settings. Raises ConfigError."""
        return {"channels": parse_channels(self.channels), "track": self.track}

    def check_microphone(self, channels: Channels) -> None:
        """channels: of the settings. Raises ConfigError for what only recordings have."""
        if self.track is not None:
            raise ConfigError("expected a recording for --track, got the microphone; leave --track out")
        if isinstance(channels, int) and channels > 1:
            raise ConfigError(
                f"expected --channels mix for the microphone, which has one channel, got {channels}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class PageOptions:
    """Where the page of a local stream is served, and how much of its audio it can play back."""

    port: Annotated[
        int | None,
        typer.Option("--port", metavar="PORT", help="Port to listen on. Default: 8765.", show_default=False),
    ] = None
    audio_buffer: Annotated[
        int | None,
        typer.Option(
            "--audio-buffer",
            metavar="SECONDS",
            help="Keep the last SECONDS of audio in memory (115 MB an hour), so that the page can play them.",
            show_default=False,
        ),
    ] = None

    def sections(self) -> dict[str, dict[str, Any]]:
        """By section of the settings."""
        return {"live": {"audio_buffer_s": self.audio_buffer}, "server": {"port": self.port}}


def settings_from(
    config: Path | None,
    *,
    audio: dict[str, Any] | None = None,
    models: dict[str, Any] | None = None,
    vad: dict[str, Any] | None = None,
    speaker: dict[str, Any] | None = None,
    live: dict[str, Any] | None = None,
    server: dict[str, Any] | None = None,
) -> Settings:
    """The settings file's settings, overridden by the options of each section; None leaves one as it is.

    Raises ConfigError.
    """
    merged = msgspec.to_builtins(load_settings(config))
    sections = {
        "audio": audio,
        "models": models,
        "vad": vad,
        "speaker": speaker,
        "live": live,
        "server": server,
    }
    for section, options in sections.items():
        merged[section] |= {name: value for name, value in (options or {}).items() if value is not None}
    try:
        return msgspec.convert(merged, Settings)
    except msgspec.ValidationError as error:
        raise ConfigError(f"expected valid settings, got: {error}; see --help") from error
