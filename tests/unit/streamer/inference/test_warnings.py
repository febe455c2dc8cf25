"""What the models warn of while they load comes at the end, or not at all beside an error."""

from __future__ import annotations

import logging

import pytest

from emostream.models import ModelError
from emostream.streamer.inference import load_models

FACTORY = logging.getLogger("emostream.models.transcription.factory")


def test_a_warning_comes_once_all_is_loaded(caplog: pytest.LogCaptureFixture) -> None:
    logging.getLogger().addHandler(caplog.handler)  # a second handler is the same one
    with caplog.at_level(logging.INFO), load_models._warnings_held_back("emostream.models"):
        FACTORY.warning("Falling back to %s", "PocketSphinx")
        FACTORY.error("not held back")
        logging.getLogger("another").warning("of another program")
        assert caplog.messages == ["not held back", "of another program"]
    assert caplog.messages[2:] == ["Falling back to PocketSphinx"]
    FACTORY.warning("later")
    assert caplog.messages[3:] == ["later"]


def test_beside_an_error_there_is_none(caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> None:
        with load_models._warnings_held_back("emostream.models"):
            FACTORY.warning("Falling back")
            raise ModelError("no checkpoint")

    with pytest.raises(ModelError):
        fail()
    assert caplog.messages == []
