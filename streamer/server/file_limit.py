"""How many connections the process may open: each is a file descriptor, and the system limits those."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Final

import msgspec

from ..config import ServerSettings
from .incoming import HTTP_RESERVE

log = logging.getLogger(__name__)

_FILES: Final = Path("/dev/fd")  # of this process, on Linux and macOS
_RESERVE: Final = 64  # that models, logs and child processes may open later


def fit_to_file_limit(settings: ServerSettings) -> ServerSettings:
    """Raise the process's limit of open files as far as it may; where that is too few for
    `server.connections`, lower these and say so.
    """
    if sys.platform == "win32":  # there is no such limit
        return settings
    import resource

    others = len(list(_FILES.iterdir())) + _RESERVE + HTTP_RESERVE
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = settings.connections + others
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return settings
    raised = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (raised, hard))
    except (OSError, ValueError):  # macOS has a second limit
        raised = soft
    if raised >= needed:
        return settings
    connections = max(1, raised - others)
    log.warning(
        "expected %d open files for server.connections %d, got %d: at most %d connections; raise it with "
        "`ulimit -n %d`, or as the service manager's limit",
        needed,
        settings.connections,
        raised,
        connections,
        needed,
    )
    return msgspec.structs.replace(settings, connections=connections)
