"""How Whisper is loaded: device, precision, threads."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..cpu_threads import transcriber_threads, usable_threads


@dataclass(frozen=True, slots=True)
class WhisperOptions:
    """device: auto, cpu or cuda. compute_type: CTranslate2's name, or `default`. cpu_threads: of each call on
    a CPU; None for all cores, at most four. concurrent_calls: on a CPU, for which the threads of all cores
    are divided; None for as many as serve people who speak, see `cpu_threads`.
    """

    device: str = "auto"
    compute_type: str = "default"
    cpu_threads: int | None = None
    concurrent_calls: int | None = None

    def on(self, device: str) -> WhisperOptions:
        return replace(self, device=device)

    @property
    def threads(self) -> int:
        """Of each call."""
        if self.cpu_threads is not None:
            return self.cpu_threads
        if self.concurrent_calls is None:
            return transcriber_threads()
        return max(1, usable_threads() // self.concurrent_calls)
