"""The protocols of cross-validation: what is tested in turn, what validates, and what the parts may share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, get_args

from ..corpora.leakage import DisjointUnit
from ..errors import SettingsError

ProtocolName = Literal["session", "speaker", "utterance", "folds", "group", "corpus", "split"]

PROTOCOLS: Final[Mapping[ProtocolName, str]] = {
    "session": "leave one session out: all who talk to each other (of IEMOCAP, its five sessions)",
    "speaker": "each speaker left out in turn",
    "utterance": "every fifth utterance, in five folds: **leaks speakers**, who are in all parts",
    "folds": "speakers, with those they talk to, dealt over a few folds, each left out in turn",
    "group": "each of the corpus's own groups (sessions, numbered folds) left out in turn",
    "corpus": "each corpus left out in turn, trained on the others",
    "split": "the corpus's own train, dev and test",
}
"""By name, with what the report says of it."""

ValidationName = Literal["speakers", "dialogues", "partner", "utterances"]

VALIDATIONS: Final[Mapping[ValidationName, str]] = {
    "speakers": "whole speakers and dialogues",
    "dialogues": "whole dialogues of the training speakers",
    "partner": "the test speaker's partner in the dialogues, who is in no training set",
    "utterances": "every tenth utterance of the rest",
}
"""speakers: components of the graph of examples, speakers and dialogues, disjoint from both other parts.
dialogues: shares speakers with the training examples, so that no session's worth of them is given away;
nobody who is tested is among them. partner: shares dialogues with the test examples, but no utterance and no
speaker, and decides only the epoch and the calibration."""

_ALLOWED: Final[Mapping[ProtocolName, tuple[ValidationName, ...]]] = {
    "session": ("speakers", "dialogues"),
    "speaker": ("partner", "speakers", "dialogues"),
    "utterance": ("utterances",),
    "folds": ("speakers", "dialogues"),
    "group": ("speakers", "dialogues"),
    "corpus": ("speakers", "dialogues"),
    "split": (),
}

LEAKS: Final = "leaks speakers"


def leaks(protocol: str) -> bool:
    """Whether test speakers are trained on, so that every figure has to say so."""
    return protocol == "utterance"


def check_protocol(protocol: ProtocolName, validation: ValidationName | None, where: str) -> None:
    """Raises SettingsError for a validation that the protocol does not have."""
    if validation is None or validation in _ALLOWED[protocol]:
        return
    known = ", ".join(_ALLOWED[protocol]) or "none: the corpus has its own"
    raise SettingsError(
        f"{where}: expected validation of the protocol {protocol} to be {known}, got {validation}: change "
        "one of them"
    )


def resolve_validation(
    protocol: ProtocolName, validation: ValidationName | None, *, partners: bool = False
) -> ValidationName:
    """The validation to use. partners: whether everybody who is tested talks to somebody else.

    By default `speaker` takes the partner where there is one. Raises SettingsError for `partner` where there
    is none.
    """
    check_protocol(protocol, validation, "folds")
    if validation == "partner" and not partners:
        raise SettingsError(
            "expected speakers who talk to each other for validation by the partner, got some without: "
            f"choose one of {', '.join(name for name in _ALLOWED[protocol] if name != 'partner')}"
        )
    if validation is not None:
        return validation
    return next(name for name in _ALLOWED[protocol] if name != "partner" or partners)


def shared_units(
    protocol: ProtocolName, validation: ValidationName | None, first: str, second: str
) -> tuple[DisjointUnit, ...]:
    """What these two parts may share, without being leakage that nobody asked for.

    `utterance` shares everything between all parts. It is let pass because paper 1's figures rest on it: who
    asks for it by name wants to compare with them, and every table and file that results is marked.
    """
    if protocol == "utterance":
        return get_args(DisjointUnit)
    if validation == "dialogues" and {first, second} == {"train", "validation"}:
        return ("speaker",)
    if validation == "partner" and {first, second} == {"validation", "test"}:
        return ("dialogue",)
    return ()
