"""What a stream's finals so far say of the utterances that follow: the speaker's baseline, the language.

Causal: an utterance depends on the finals before it, in the order of speech. Candidates and interim results
read this and never change it, so what is analysed ahead of time has the same result as what is analysed at
the end.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ..inference.backend import Analysis
from ..inference.pending import PendingBaseline, PendingLanguage
from .running_baseline import RunningBaseline


@dataclass(frozen=True, slots=True)
class PendingHistory:
    """None where the model takes no baseline, or the language is given."""

    baseline: PendingBaseline | None = None
    language: PendingLanguage | None = None


NO_HISTORY: Final = PendingHistory()


class StreamLanguage:
    """Of one stream: that of the last final whose language was certain."""

    def __init__(self) -> None:
        self.state: str | None = None
        self.pending = PendingLanguage.known(None)

    def begin_final(self) -> PendingLanguage:
        """See `RunningBaseline.begin_final`."""
        self.pending = PendingLanguage()
        return self.pending

    def end_final(self, pending: PendingLanguage, analysis: Analysis | None) -> None:
        """See `RunningBaseline.end_final`. Doubtful speech says nothing of the language either."""
        if analysis is not None and analysis.transcript is not None:
            doubtful = analysis.speech is not None and analysis.speech.doubtful
            if analysis.transcript.language_certain and not doubtful:
                self.state = analysis.transcript.language
        pending.set(self.state)


class StreamHistory:
    """baseline, language: None where none is kept."""

    def __init__(self, baseline: RunningBaseline | None, language: StreamLanguage | None) -> None:
        self._baseline = baseline
        self._language = language

    @property
    def pending(self) -> PendingHistory:
        """For an utterance after the last final: known once all finals before it have results."""
        return PendingHistory(
            None if self._baseline is None else self._baseline.pending,
            None if self._language is None else self._language.pending,
        )

    def begin_final(self) -> PendingHistory:
        """A final's end has been decided: what follows waits for its result. Pass what this returns to
        `end_final`.
        """
        return PendingHistory(
            None if self._baseline is None else self._baseline.begin_final(),
            None if self._language is None else self._language.begin_final(),
        )

    def end_final(self, pending: PendingHistory, analysis: Analysis | None) -> None:
        """To be called for each final in the order of speech. analysis: None where it failed."""
        if self._baseline is not None and pending.baseline is not None:
            self._baseline.end_final(pending.baseline, analysis)
        if self._language is not None and pending.language is not None:
            self._language.end_final(pending.language, analysis)
