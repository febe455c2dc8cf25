"""Settings: frozen, in physical quantities, validated once when they are created.

They come from defaults, a TOML file (`--config`) and flags; the later ones win. Nothing here reads the
environment.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal

import msgspec

from .errors import ConfigError
from .text_encoding import decode_text

SAMPLE_RATE_HZ: Final = 16_000
FRAME_SAMPLES: Final = 320
FRAME_MS: Final = 20

VadName = Literal["webrtc", "silero"]
Adapt = Literal["off", "stream", "recording"]
Channels = Literal["mix", "split"] | int
DtypeName = Literal["auto", "float32", "bfloat16"]


def _require(valid: bool, name: str, expected: str, got: object) -> None:
    if not valid:
        raise ConfigError(f"expected {name} {expected}, got {got}; change that setting")


def _require_at_least(settings: _Settings, section: str, **minimums: int) -> None:
    for name, minimum in minimums.items():
        value = getattr(settings, name)
        _require(value >= minimum, f"{section}.{name}", f"at least {minimum}", value)


class _Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base: an unknown name in a TOML file is an error, never ignored."""


class VadSettings(_Settings, frozen=True, kw_only=True):
    """Which voice activity detector, and how strict.

    aggressiveness: WebRTC's own scale, 0 (most things are speech) to 3. threshold: Silero's speech
    probability from which a frame counts as speech.
    """

    name: VadName = "webrtc"
    aggressiveness: int = 2
    threshold: float = 0.3

    def __post_init__(self) -> None:
        _require(0 <= self.aggressiveness <= 3, "vad.aggressiveness", "0 to 3", self.aggressiveness)
        _require(0.0 < self.threshold < 1.0, "vad.threshold", "between 0 and 1", self.threshold)


class SegmenterSettings(_Settings, frozen=True, kw_only=True):
    """When an utterance starts, ends and is cut. All in milliseconds of audio.

    Speech is confirmed when at least `start_speech_ms` of the last `start_window_ms` is speech; speech that
    resumes after a pause is confirmed by the same rule. Frames more than `speech_range_db` below the
    utterance's loudest frame are no speech. An utterance with less than `min_speech_ms` of speech is a false
    alarm. It ends after `min_silence_ms` without confirmed speech; its clip keeps `pre_roll_ms` before the
    first and `tail_ms` after the last speech frame. At `max_utterance_ms` it is cut at its quietest point.
    """

    speech_range_db: float = 35.0
    start_window_ms: int = 200
    start_speech_ms: int = 120
    min_speech_ms: int = 200
    min_silence_ms: int = 500
    pre_roll_ms: int = 200
    tail_ms: int = 200
    max_utterance_ms: int = 20_000

    def __post_init__(self) -> None:
        window, silence = self.start_window_ms, self.min_silence_ms
        _require(FRAME_MS <= window <= 1_000, "segmenter.start_window_ms", "20 to 1000", window)
        _require(
            FRAME_MS <= self.start_speech_ms <= window,
            "segmenter.start_speech_ms",
            f"20 to start_window_ms ({window})",
            self.start_speech_ms,
        )
        _require(0 <= self.min_speech_ms <= 2_000, "segmenter.min_speech_ms", "0 to 2000", self.min_speech_ms)
        _require(
            max(100, window) <= silence <= 5_000,
            "segmenter.min_silence_ms",
            f"{max(100, window)} to 5000 (not shorter than start_window_ms)",
            silence,
        )
        _require(0 <= self.pre_roll_ms <= 1_000, "segmenter.pre_roll_ms", "0 to 1000", self.pre_roll_ms)
        # Speculative analysis starts once the tail has been received: half the pause must be left for the
        # models.
        _require(
            0 <= self.tail_ms <= silence // 2,
            "segmenter.tail_ms",
            f"0 to half of min_silence_ms ({silence // 2})",
            self.tail_ms,
        )
        # Whisper's window is 30 s; 28 leave space for its own padding.
        _require(
            2_000 <= self.max_utterance_ms <= 28_000,
            "segmenter.max_utterance_ms",
            "2000 to 28000",
            self.max_utterance_ms,
        )
        _require(
            self.max_utterance_ms >= 2 * (silence + self.pre_roll_ms),
            "segmenter.max_utterance_ms",
            f"at least twice min_silence_ms + pre_roll_ms ({2 * (silence + self.pre_roll_ms)})",
            self.max_utterance_ms,
        )


class AudioSettings(_Settings, frozen=True, kw_only=True):
    """What is heard of a source with several channels, or of a recording with several sound tracks.

    channels: mix: all of them, mixed down. split: each on its own, one speaker on each, with results of its
    own. A number: that channel alone. track: of a recording. Both count from 1.
    """

    channels: Channels = "mix"
    track: int = 1

    def __post_init__(self) -> None:
        chosen = self.channels
        _require(isinstance(chosen, str) or chosen >= 1, "audio.channels", "mix, split or at least 1", chosen)
        _require(self.track >= 1, "audio.track", "at least 1", self.track)


class LiveSettings(_Settings, frozen=True, kw_only=True):
    """What is computed ahead of time for audio in real time.

    speculate: whether analysis starts when a pause begins, and incremental transcription during speech, where
    the transcriber supports it. interim_interval_ms: how often an utterance in progress is classified from
    its audio so far; 0 is never. interim_words_interval_ms: how often its words so far come with that, from
    Whisper and as far as the models have time; 0 is never. audio_buffer_s: how much audio of its own streams
    the server keeps in memory, for subscribers to replay.
    """

    speculate: bool = True
    interim_interval_ms: int = 2_000
    interim_words_interval_ms: int = 1_000
    audio_buffer_s: int = 0

    def __post_init__(self) -> None:
        for name in ("interim_interval_ms", "interim_words_interval_ms"):
            value = getattr(self, name)
            _require(value == 0 or 500 <= value <= 28_000, f"live.{name}", "0 or 500 to 28000", value)
        buffer_s = self.audio_buffer_s
        _require(0 <= buffer_s <= 86_400, "live.audio_buffer_s", "0 to 86400 (a day)", buffer_s)


class ModelSettings(_Settings, frozen=True, kw_only=True):
    """Which models to load. See `emostream serve --help` for the values of `asr`.

    compute_type: of Whisper. dtype: of the emotion model's encoders. speech_check: whether a finished
    utterance is checked for speech before it gets an emotion; speech_threshold: of that check, the
    probability of speech from which it is speech.
    """

    asr: str = "auto"
    checkpoint: str | None = None
    device: Literal["auto", "cpu", "cuda"] = "auto"
    compute_type: str = "default"
    dtype: DtypeName = "auto"
    speech_check: bool = True
    speech_threshold: float = 0.5

    def __post_init__(self) -> None:
        threshold = self.speech_threshold
        _require(0.0 < threshold < 1.0, "models.speech_threshold", "between 0 and 1", threshold)


class SpeakerSettings(_Settings, frozen=True, kw_only=True):
    """Whether utterances are judged against the speaker's own voice, where the emotion model supports it.

    adapt: off: never. stream: against the utterances before, so that live and replay agree. recording:
    against all utterances of the recording; not for live audio, whose end is not known.
    """

    adapt: Adapt = "stream"


class ServerSettings(_Settings, frozen=True, kw_only=True):
    """Where the server listens, and the limits of one client.

    allowed_hosts: further host names of this server. allow_origins: further origins of web pages that may
    connect. token_file: tokens, one a line, of which a client needs one. no_auth: listen on other addresses
    than the loopback without tokens all the same. ssl_certfile, ssl_keyfile: PEM files for TLS.
    trust_proxy_headers: take client addresses from the last entry of X-Forwarded-For, which a proxy in front
    sets; without a proxy any client could set it.

    message_bytes: the longest message. max_unacked_ms: how much unacknowledged audio a client may send.
    start_timeout_ms: of the first message. subscriber_queue_size: how many events may wait for one
    subscriber before it is closed as too slow. connections: how many there may be at once;
    connections_per_minute: from one address. session_ms, idle_ms: the longest session, and the longest time
    without a message from a client; 0 is without limit. max_load: share of the busiest model's time past
    which no further stream is admitted, see `admission`.

    resume_timeout_ms: how long a session waits for its client to reconnect; event_buffer_size: how many of
    its last events can be sent again then. transcript: whether events carry text. model_timeout_ms: how long
    a model may work on an utterance before its analysis fails.

    uploads: how many recordings may be uploaded and analysed at once; 0: none are taken. upload_bytes,
    upload_timeout_ms: how long one may be, and how long its upload may take. recording_ms: the longest
    recording; 0 is without limit.
    """

    host: str = "127.0.0.1"
    port: int = 8765
    allowed_hosts: tuple[str, ...] = ()
    allow_origins: tuple[str, ...] = ()
    token_file: str | None = None
    no_auth: bool = False
    trust_proxy_headers: bool = False
    ssl_certfile: str | None = None
    ssl_keyfile: str | None = None
    message_bytes: int = 1 << 20
    max_unacked_ms: int = 5_000
    start_timeout_ms: int = 10_000
    subscriber_queue_size: int = 1_000
    max_load: float = 0.7
    connections: int = 512
    connections_per_minute: int = 600
    session_ms: int = 0
    idle_ms: int = 300_000
    resume_timeout_ms: int = 60_000
    event_buffer_size: int = 1_000
    transcript: bool = True
    model_timeout_ms: int = 8_000
    uploads: int = 4
    upload_bytes: int = 25 << 20
    upload_timeout_ms: int = 300_000
    recording_ms: int = 7_200_000

    def __post_init__(self) -> None:
        _require(0 <= self.port <= 65_535, "server.port", "0 to 65535", self.port)
        _require_at_least(
            self,
            "server",
            max_unacked_ms=1_000,
            message_bytes=4_096,
            connections=1,
            connections_per_minute=1,
            resume_timeout_ms=0,
            event_buffer_size=100,
            model_timeout_ms=100,
            start_timeout_ms=100,
            subscriber_queue_size=1,
            uploads=0,
            upload_bytes=4_096,
            upload_timeout_ms=1_000,
        )
        for name in ("session_ms", "idle_ms", "recording_ms"):
            value = getattr(self, name)
            _require(value == 0 or value >= 1_000, f"server.{name}", "0 or at least 1000", value)
        both_or_neither = (self.ssl_certfile is None) == (self.ssl_keyfile is None)
        _require(both_or_neither, "server.ssl_certfile and server.ssl_keyfile", "both or neither", "one")
        _require(0.0 < self.max_load <= 1.0, "server.max_load", "above 0, at most 1", self.max_load)


class ClusterSettings(_Settings, frozen=True, kw_only=True):
    """Models that several servers share (`emostream serve --engine ray`).

    app: the name of the Ray Serve application; servers with other models take another one. min_replicas,
    max_replicas: the range of the number of replicas; target_ongoing_requests: utterances in progress or
    waiting in a replica, above which another one is started. cpus, gpus: of each replica, fractions allowed.
    """

    app: str = "emostream"
    min_replicas: int = 1
    max_replicas: int = 16
    target_ongoing_requests: float = 4.0
    cpus: float = 1.0
    gpus: float = 0.0

    def __post_init__(self) -> None:
        _require(bool(self.app), "cluster.app", "a name", "nothing")
        _require_at_least(self, "cluster", min_replicas=1, cpus=0, gpus=0)
        least, most = self.min_replicas, self.max_replicas
        _require(most >= least, "cluster.max_replicas", f"at least min_replicas ({least})", most)
        _require(
            self.target_ongoing_requests > 0,
            "cluster.target_ongoing_requests",
            "above 0",
            self.target_ongoing_requests,
        )


class Settings(_Settings, frozen=True, kw_only=True):
    """The sections of the TOML file."""

    audio: AudioSettings = AudioSettings()
    vad: VadSettings = VadSettings()
    segmenter: SegmenterSettings = SegmenterSettings()
    live: LiveSettings = LiveSettings()
    models: ModelSettings = ModelSettings()
    speaker: SpeakerSettings = SpeakerSettings()
    server: ServerSettings = ServerSettings()
    cluster: ClusterSettings = ClusterSettings()


def load_settings(path: Path | None) -> Settings:
    """Read a TOML file; None gives the defaults. Raises ConfigError."""
    if path is None:
        return Settings()
    try:
        return msgspec.toml.decode(decode_text(path.read_bytes()), type=Settings)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error
    except OSError as error:
        raise ConfigError(
            f"expected a settings file at {path}, but it cannot be read ({error.strerror}); check the path"
        ) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigError(
            "expected TOML with the sections audio, vad, segmenter, live, models, speaker, server and "
            f"cluster in {path}, got: {error}; correct that line"
        ) from error
