"""What `recognize` returns: utterances with their emotions, as objects, as a table, and as pandas has it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from html import escape
from typing import TYPE_CHECKING, Any

from .optional_deps import require
from .protocol import messages

if TYPE_CHECKING:
    from pandas import DataFrame


@dataclass(frozen=True, slots=True)
class RecognizedUtterance:
    """One utterance of a recording.

    start_ms, end_ms: position in the recording. probabilities: calibrated, by label, sum 1; confidence is
    that of `label`. reliable: whether to believe the label. baseline_utterances: how many utterances of the
    speaker it was judged against, None where the model takes no baseline. text: empty without a transcriber.
    language: BCP 47, None where unknown. words: each with its span in milliseconds. uncertain: reasons for
    doubt, empty if none (docs/protocol.md lists them). channel: from 1, None where all were mixed.
    """

    start_ms: int
    end_ms: int
    label: str
    confidence: float
    reliable: bool
    baseline_utterances: int | None
    probabilities: dict[str, float]
    text: str
    language: str | None
    words: tuple[messages.Word, ...]
    uncertain: tuple[str, ...]
    channel: int | None = None

    @classmethod
    def of(cls, event: messages.Emotion) -> RecognizedUtterance:
        """event: a final one."""
        return cls(**{field.name: getattr(event, field.name) for field in fields(cls)})


class Utterances(list[RecognizedUtterance]):
    """The utterances of a recording, in order; a notebook shows them as a table.

    labels: of the model, in its order.
    """

    def __init__(
        self, utterances: Iterable[RecognizedUtterance] = (), *, labels: tuple[str, ...] = ()
    ) -> None:
        super().__init__(utterances)
        self.labels = labels

    def to_pandas(self) -> DataFrame:
        """A row for each utterance, with the columns that `emostream replay --format csv` has for the same:
        times in seconds, a column `p_<label>` for each probability. Words are left out.

        Raises ConfigError where pandas is not installed (`pip install 'emostream[notebook]'`).
        """
        require("pandas", "to_pandas", "notebook")
        import pandas

        return pandas.DataFrame([_row(one, self.labels) for one in self], columns=_columns(self.labels))

    def _repr_html_(self) -> str:
        """For notebooks."""
        head = "".join(f"<th>{name}</th>" for name in ("time (s)", "emotion", "confidence", "words"))
        rows = "".join(
            f"<tr><td>{one.start_ms / 1_000:.1f} to {one.end_ms / 1_000:.1f}</td>"
            f"<td>{escape(one.label)}{'' if one.reliable else ' (uncertain)'}</td>"
            f"<td>{one.confidence:.0%}</td><td style='text-align: left'>{escape(one.text)}</td></tr>"
            for one in self
        )
        return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


def _columns(labels: tuple[str, ...]) -> list[str]:
    before = [
        "channel",
        "start_s",
        "end_s",
        "label",
        "confidence",
        "reliable",
        "uncertain",
        "baseline_utterances",
    ]
    return [*before, *(f"p_{label}" for label in labels), "language", "text"]


def _row(one: RecognizedUtterance, labels: tuple[str, ...]) -> dict[str, Any]:
    return {
        "channel": one.channel,
        "start_s": one.start_ms / 1_000,
        "end_s": one.end_ms / 1_000,
        "label": one.label,
        "confidence": one.confidence,
        "reliable": one.reliable,
        "uncertain": list(one.uncertain),
        "baseline_utterances": one.baseline_utterances,
        **{f"p_{label}": one.probabilities[label] for label in labels},
        "language": one.language,
        "text": one.text,
    }
