"""The command `table`: its protocols, and options that contradict each other, before anything is read."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from emostream.models import LABELS
from emostream.training.__main__ import main
from emostream.training.cli.table_run import PaperRows, with_protocol
from emostream.training.corpora.example import Example
from emostream.training.emotion.settings import DataSettings, ModelSettings
from emostream.training.experiments.experiment import Experiment

NOWHERE = ["--corpus", "iemocap", "--data", "/nowhere"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--quick", "--config", "papers-acted"], "expected --quick or --config, got --quick and --config"),
        (["--rows", "alpha"], "expected --rows to be of contrastive, fusion, granularity, modality, tran"),
        (["--protocol", "utterances"], "expected --protocol to be one of session, speaker, utterance, "),
        (["--validation", "partners"], "expected --validation to be one of speakers, dialogues, partner, "),
        (
            ["--validation", "partner"],
            "expected validation of the protocol session to be speakers, dialogues",
        ),
        (
            ["--protocol", "utterance", "--validation", "speakers"],
            "of the protocol utterance to be utterances",
        ),
    ],
)
def test_invalid_options(options: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["table", "papers", *NOWHERE, *options]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert message in error
    assert error.count("\n") == 1


def test_another_protocol_than_that_of_the_settings_has_its_own_validation() -> None:
    experiment = Experiment(protocol="session", validation="dialogues")
    chosen = {
        protocol: with_protocol(experiment, protocol, None).validation
        for protocol in ("session", "speaker", "utterance")
    }
    assert chosen == {"session": "dialogues", "speaker": None, "utterance": None}


def clips(words: str = "the door is open") -> list[Example]:
    return [
        Example(corpus="c", key=emotion, emotion=emotion, emotion_orig="", path=Path("a.wav"), words=words)
        for emotion in LABELS
    ]


def names(experiment: Experiment, examples: list[Example], asr: str = "auto") -> set[str]:
    return {row.name for row in PaperRows(()).of(experiment, examples, asr)}


def test_other_words_are_a_row_where_there_are_any() -> None:
    """Gold words beside recognized ones and the reverse; neither without words, or with other alignments."""
    gold = Experiment(data=DataSettings(text_source="gold"))
    both = {"gold transcripts", "recognized transcripts"}
    assert names(gold, clips()) & both == {"recognized transcripts"}
    assert names(gold, clips(), asr="none") & both == set()
    assert names(Experiment(), clips()) & both == {"gold transcripts"}
    assert names(gold, clips(words="")) & both == set()
    aligned = Experiment(data=gold.data, model=ModelSettings(granularities=("frame", "word")))
    assert names(aligned, clips()) & both == set()


def test_the_linear_probe_needs_audio_everywhere() -> None:
    probe = "audio only, linear probe"
    examples = clips()
    assert probe in names(Experiment(), examples)
    assert probe not in names(Experiment(), [replace(examples[0], path=None), *examples[1:]])


def test_ways_of_training_the_encoders_are_compared_where_they_learn() -> None:
    rows = PaperRows(("encoders",))
    learning, frozen = Experiment(), Experiment(model=ModelSettings(audio_frozen="all", text_frozen="all"))
    compared = [row.name for row in rows.of(learning, clips(), "none") if row.group == "encoders"]
    assert compared == ["frozen encoders", "LoRA", "fine-tuned encoders"]
    assert {row.group for row in rows.of(frozen, clips(), "none")} == {"baseline"}


def test_a_part_of_the_rows_keeps_the_baselines() -> None:
    rows = PaperRows(("fusion",)).of(Experiment(), clips(), "none")
    assert {row.group for row in rows} == {"baseline", "fusion"}
    assert len(rows) == 4 + 3
