"""The TLS context of the server, from the certificate and key that the settings name."""

from __future__ import annotations

import ssl

from ..config import ServerSettings
from ..errors import ConfigError


def make_tls_context(settings: ServerSettings) -> ssl.SSLContext | None:
    """None without a certificate: the server speaks plain HTTP. Raises ConfigError."""
    if settings.ssl_certfile is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(settings.ssl_certfile, settings.ssl_keyfile)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(
            f"expected a certificate and its key as PEM files ({settings.ssl_certfile}, "
            f"{settings.ssl_keyfile}), got: {error}; check both"
        ) from error
    return context
