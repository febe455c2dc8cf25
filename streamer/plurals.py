"""Counted things in messages."""

from __future__ import annotations


def counted(number: int, noun: str) -> str:
    """`1 utterance`, `2 utterances`; for nouns whose plural ends with an s alone."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
