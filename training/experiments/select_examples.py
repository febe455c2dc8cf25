"""The examples of an experiment, and their label indices."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..corpora.example import CorpusError, Example
from ..trainer.seeding import example_rng
from .experiment import Experiment


def select_examples(examples: Sequence[Example], experiment: Experiment) -> list[Example]:
    """The examples of the experiment's corpora and labels, at most so many of each speaker and label.

    Raises CorpusError where a corpus or a label has none at all.
    """
    named = set(experiment.corpora) or {example.corpus for example in examples}
    if unknown := sorted(named - {example.corpus for example in examples}):
        raise CorpusError(f"expected utterances of {unknown[0]}, got none: change corpora")
    examples = [example for example in examples if example.corpus in named]
    selected = [example for example in examples if label_of(example, experiment) in experiment.labels]
    present = {label_of(example, experiment) for example in selected}
    if missing := [label for label in experiment.labels if label not in present]:
        available = sorted({label_of(example, experiment) for example in examples})
        raise CorpusError(
            f"expected utterances of every label, got none of {', '.join(missing)}; the corpus has "
            f"{', '.join(available)} in its column {experiment.label_column}: change labels or label_column"
        )
    return _limit_per_speaker_label(selected, experiment) if experiment.max_per_speaker_label else selected


def _limit_per_speaker_label(examples: Sequence[Example], experiment: Experiment) -> list[Example]:
    """A draw that depends on the examples' keys alone: adding examples does not change the others' draw."""
    groups: dict[tuple[str, str], list[Example]] = {}
    for example in examples:
        groups.setdefault((example.speaker, label_of(example, experiment)), []).append(example)
    drawn = set()
    for group in groups.values():
        ranked = sorted(group, key=lambda example: example_rng(0, 0, example.key).random())
        drawn |= {example.key for example in ranked[: experiment.max_per_speaker_label]}
    return [example for example in examples if example.key in drawn]


def label_of(example: Example, experiment: Experiment) -> str:
    """The example's label, from the column that the experiment names."""
    return example.emotion if experiment.label_column == "emotion" else example.emotion_orig


def label_indices(examples: Iterable[Example], experiment: Experiment) -> dict[str, int]:
    """Example key -> index of its label in `experiment.labels`."""
    return {e.key: experiment.labels.index(label_of(e, experiment)) for e in examples}
