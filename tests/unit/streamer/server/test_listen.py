"""What is checked before a server listens: who can reach it, its certificate."""

from __future__ import annotations

from pathlib import Path

import pytest

from emostream.streamer.config import ServerSettings
from emostream.streamer.errors import (
    ConfigError,
)
from emostream.streamer.server.listen import bind, check_credentials


def test_the_server_is_not_reachable_from_outside_by_accident(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--token-file for a server that other machines reach"):
        bind(ServerSettings(host="0.0.0.0", port=0))
    bind(ServerSettings(host="0.0.0.0", port=0, no_auth=True)).close()
    (tmp_path / "tokens.txt").write_text("a-token-of-the-server\n")
    bind(ServerSettings(host="0.0.0.0", port=0, token_file=str(tmp_path / "tokens.txt"))).close()


def test_a_certificate_needs_its_key(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="both or neither"):
        ServerSettings(ssl_certfile="chain.pem")
    (tmp_path / "x.pem").write_text("no certificate")
    with pytest.raises(ConfigError, match="as PEM files"):
        check_credentials(
            ServerSettings(ssl_certfile=str(tmp_path / "x.pem"), ssl_keyfile=str(tmp_path / "x.pem"))
        )
