"""A checkpoint is loaded by a process that has no network."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.support.tiny_emotion import tiny_model, write_tiny


def test_a_round_trip_in_a_process_without_a_network(tmp_path: Path) -> None:
    """save_pretrained here; from_pretrained and load_checkpoint in a process that cannot open a socket."""
    tiny_model(granularities=["frame", "word"]).save_pretrained(tmp_path / "theirs")
    write_tiny(tmp_path / "ours", granularities=["frame", "word"])
    program = (
        "import socket, sys\n"
        "def refuse(*_, **__): raise SystemExit('used the network')\n"
        "socket.socket.connect = socket.getaddrinfo = refuse\n"
        "import torch\n"
        "from emostream.models.checkpoint import load_checkpoint\n"
        "from emostream.models.emotion import EmotionModel\n"
        "theirs = EmotionModel.from_pretrained(sys.argv[1] + '/theirs').eval()\n"
        "ours = EmotionModel.from_pretrained(sys.argv[1] + '/ours', dtype=torch.float32).eval()\n"
        "strict = load_checkpoint(__import__('pathlib').Path(sys.argv[1]) / 'ours').model\n"
        "assert theirs.config.granularities == ours.config.granularities == ['frame', 'word']\n"
        "for name, tensor in ours.state_dict().items():\n"
        "    assert torch.equal(tensor, strict.state_dict()[name]), name\n"
        "    assert torch.allclose(tensor, theirs.state_dict()[name], atol=2e-3), name\n"
        "print(theirs.config.width)\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program, tmp_path],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout.strip()) == (0, "16"), done.stderr
