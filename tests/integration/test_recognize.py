"""`emostream.recognize` gives the results of `emostream replay`."""

from __future__ import annotations

from importlib.resources import files

import msgspec

import emostream
from tests.support.programs import json_lines, run


def test_the_bundled_recording_has_the_results_of_replay() -> None:
    recording = str(files("emostream.demo") / "recording.ogg")
    done = run("replay", recording, "--asr", "none")
    assert done.returncode == 0, done.stderr
    finals = [line for line in json_lines(done.stdout) if line.get("final")]
    utterances = [
        msgspec.json.decode(msgspec.json.encode(utterance))
        for utterance in emostream.recognize(recording, asr="none")
    ]
    assert len(utterances) >= 4
    assert utterances == [{name: final[name] for name in utterances[0]} for final in finals]
