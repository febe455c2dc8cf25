"""Enrolled speakers as files: saved for the user alone, found by name, deleted, and refused where damaged."""

from __future__ import annotations

import stat
import sys
from pathlib import Path

import pytest

from emostream.streamer.errors import ConfigError
from emostream.streamer.protocol.messages import EnrolledVoice
from emostream.streamer.speakers.store import SpeakerStore, new_speaker

VOICE = EnrolledVoice(total=bytes(range(16)), weight=1.75, utterances=5, probe=bytes(range(8)))


@pytest.fixture
def store(tmp_path: Path) -> SpeakerStore:
    return SpeakerStore(tmp_path / "data" / "speakers")


def test_a_speaker_is_saved_and_loaded(store: SpeakerStore) -> None:
    speaker = new_speaker(VOICE, "a model")
    path = store.save("Ana María", speaker)
    assert store.load("Ana María") == speaker
    assert (speaker.model, speaker.voice, speaker.format) == ("a model", VOICE, 1)
    assert store.names() == ["Ana María"]
    assert list(store.folder.iterdir()) == [path]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such modes")
def test_only_the_user_can_read_it(store: SpeakerStore) -> None:
    path = store.save("me", new_speaker(VOICE, "a model"))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(store.folder.stat().st_mode) == 0o700


def test_enrolling_again_replaces_the_older_voice(store: SpeakerStore) -> None:
    store.save("me", new_speaker(VOICE, "a model"))
    store.save("me", new_speaker(VOICE, "another model"))
    assert store.load("me").model == "another model"
    assert store.names() == ["me"]


def test_a_deleted_speaker_is_gone(store: SpeakerStore) -> None:
    store.save("me", new_speaker(VOICE, "a model"))
    store.save("you", new_speaker(VOICE, "a model"))
    store.delete("me")
    assert store.names() == ["you"]
    for missing in (store.load, store.delete):
        with pytest.raises(ConfigError, match=r"enrolled speaker \(you\), got 'me'"):
            missing("me")


def test_without_a_folder_there_is_no_speaker(store: SpeakerStore) -> None:
    assert store.names() == []
    with pytest.raises(ConfigError, match=r"\(none\), got 'me'; enroll one with"):
        store.load("me")


@pytest.mark.parametrize("name", ["", "../me", "a/b", "a\\b", ".hidden", "x" * 65, "line\nbreak"])
def test_a_name_stays_inside_the_folder(store: SpeakerStore, name: str) -> None:
    for use in (store.load, store.delete, lambda name: store.save(name, new_speaker(VOICE, "a model"))):
        with pytest.raises(ConfigError, match="expected a name of letters"):
            use(name)
    assert not store.folder.exists()


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff\xfe", b'{"format": 2}'])
def test_a_damaged_file_is_one_line(store: SpeakerStore, content: bytes) -> None:
    store.save("me", new_speaker(VOICE, "a model")).write_bytes(content)
    with pytest.raises(ConfigError, match="enroll again") as caught:
        store.load("me")
    assert "\n" not in str(caught.value)


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="make the folder writable"):
        SpeakerStore(tmp_path / "file").save("me", new_speaker(VOICE, "a model"))
