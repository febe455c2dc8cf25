"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path

import pytest

from emostream.streamer.cli.options import AudioOptions, ModelOptions, parse_channels
from emostream.streamer.config import Channels, load_settings
from emostream.streamer.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "channels"), [(None, None), ("mix", "mix"), ("split", "split"), ("2", 2), ("16", 16)]
)
def test_channels(text: str | None, channels: Channels | None) -> None:
    assert parse_channels(text) == channels


@pytest.mark.parametrize("text", ["left", "0", "-1", "1.5", "", "Split", "\u00b2"])
def test_no_channels(text: str) -> None:
    with pytest.raises(ConfigError, match="expected --channels mix, split or the number"):
        parse_channels(text)


def test_the_command_line_goes_before_the_settings_file(tmp_path: Path) -> None:
    file = tmp_path / "emostream.toml"
    file.write_text('[audio]\nchannels = "split"\ntrack = 2\n')
    models = ModelOptions(config=file)
    audio = models.recording_settings(audio=AudioOptions().section()).audio
    assert (audio.channels, audio.track) == ("split", 2)
    audio = models.recording_settings(audio=AudioOptions(channels="1").section()).audio
    assert (audio.channels, audio.track) == (1, 2)


@pytest.mark.parametrize("line", ["channels = 0", 'channels = "left"', "track = 0"])
def test_settings_out_of_range(tmp_path: Path, line: str) -> None:
    file = tmp_path / "emostream.toml"
    file.write_text(f"[audio]\n{line}\n")
    with pytest.raises(ConfigError):
        ModelOptions(config=file).recording_settings()


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("[server]\nport = 99999", "expected server.port 0 to 65535, got 99999; change that setting"),
        (
            "[segmenter]\ntail_ms = 5000",
            "expected segmenter.tail_ms 0 to half of min_silence_ms (250), got 5000",
        ),
        ("[vad]\naggressiveness = 9", "expected vad.aggressiveness 0 to 3, got 9"),
    ],
)
def test_a_value_out_of_range_names_its_file_and_section(tmp_path: Path, line: str, expected: str) -> None:
    file = tmp_path / "settings.toml"
    file.write_text(line)
    with pytest.raises(ConfigError) as caught:
        load_settings(file)
    assert str(caught.value).startswith(f"{file}: {expected}")
