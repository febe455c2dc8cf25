"""An experiment's TOML, contradictions in it, and the settings of each row of the papers' table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from emostream.models import LABELS
from emostream.training.emotion.settings import ContrastiveSettings, DataSettings, ModelSettings
from emostream.training.errors import SettingsError
from emostream.training.experiments.ablations import (
    aligned_granularities,
    experiment_for_row,
    same_as_baseline,
    trains_network,
)
from emostream.training.experiments.experiment import (
    EncoderRows,
    Experiment,
    check_consistency,
    read_experiment,
)
from emostream.training.experiments.table_rows import (
    BASELINE,
    CONTINUED,
    PROBE,
    RECOGNIZED,
    TableRow,
    paper_rows,
    parse_row,
)
from emostream.training.trainer.settings import TrainerSettings
from tests.support.shared import REPO

STORED = REPO / "training" / "runs"
RUNS = sorted(file for file in STORED.glob("*.toml") if not file.stem.startswith("bundled"))
"""Those of bundled checkpoints are settings of recipes, not experiments."""


def written(folder: Path, text: str) -> Path:
    file = folder / "trial.toml"
    file.write_text(text)
    return file


def test_missing_settings_take_the_default(tmp_path: Path) -> None:
    text = "seeds = [4]\n[trainer]\nepochs = 2\nlearning_rate = 1\n[model]\naudio_frozen = 3\n"
    assert read_experiment(written(tmp_path, text)) == Experiment(
        name="trial",
        seeds=(4,),
        trainer=TrainerSettings(epochs=2, learning_rate=1.0),
        model=ModelSettings(audio_frozen=3),
    )
    assert Experiment().labels == LABELS


@pytest.mark.parametrize("file", RUNS, ids=lambda file: file.stem)
def test_the_stored_runs_can_be_read(file: Path) -> None:
    experiment = read_experiment(file)
    assert experiment.name == file.stem
    assert experiment.note


def test_a_stored_run_equals_the_default_of_the_papers_table() -> None:
    known = {"papers", "papers-quick", "papers-acted", "papers-label-matched", "ravdess8"}
    assert known <= {file.stem for file in RUNS}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sed = 1", "unknown field `sed`"),
        ("[trainer]\nepoch = 1", "unknown field `epoch`"),
        ("[data.augment]\nnoises = 0.1", "unknown field `noises`"),
        ("seeds = 1", "`seeds`"),
        ("seeds = []", "`seeds`"),
        ("seeds = [-1]", "`seeds[0]`"),
        ("alphas = [0.1, 1.0]", "`alphas[1]`"),
        ("labels = ['sad']", "`labels`"),
        ("label_column = 'speaker'", "'speaker'"),
        ("protocol = 'random'", "'random'"),
        ("validation_share = 0", "`validation_share`"),
        ("[contrastive]\nalpha = 1.0", "`contrastive.alpha`"),
        ("[trainer]\nbatch = 1", "`trainer.batch`"),
        ("[trainer]\nbatch = 'all'", "`trainer.batch`"),
        ("[trainer]\nprecision = 'int8'", "'int8'"),
        ("[model]\naudio_mix = 'product'", "'product'"),
        ("[model]\ngranularities = ['letter']", "'letter'"),
        ("[data]\ndrop_audio = 1.5", "`data.drop_audio`"),
        ("model = 3", "`model`"),
        ("seeds = ", "expected a TOML file of an experiment at"),
    ],
)
def test_invalid_settings_are_rejected(tmp_path: Path, text: str, message: str) -> None:
    file = written(tmp_path, text)
    with pytest.raises(SettingsError) as caught:
        read_experiment(file)
    line = str(caught.value)
    assert message in line.replace("$.", "")
    assert str(file) in line
    assert "\n" not in line


@pytest.mark.parametrize("content", [None, b"name = '\xff'"], ids=["missing", "no text"])
def test_a_missing_file_is_rejected(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "trial.toml").write_bytes(content)
    with pytest.raises(SettingsError, match=r"expected a TOML file of an experiment at .*trial\.toml"):
        read_experiment(tmp_path / "trial.toml")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_files_of_windows_editors_are_read(encoding: str, tmp_path: Path) -> None:
    file = tmp_path / "trial.toml"
    file.write_text("note = 'sehr müde'\nseeds = [4]\n", encoding=encoding)
    assert read_experiment(file) == Experiment(name="trial", note="sehr müde", seeds=(4,))


FROZEN = "[model]\naudio_frozen = 'all'\ntext_frozen = 'all'\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[data]\ncache_features = true", "to be all where features are cached, got front_end and none"),
        (
            "[model]\naudio_frozen = 'all'\n[data]\ncache_features = true",
            "where features are cached, got all and none",
        ),
        ("[data]\nviews = 2\n[data.augment]\nnoise = 0.5", "expected views of cached features"),
        (
            f"{FROZEN}[data]\ncache_features = true\nviews = 3",
            "augmentation and views > 1 together where features are cached, got views = 3",
        ),
        (
            f"{FROZEN}[data]\ncache_features = true\n[data.augment]\nnoise = 0.5",
            "together where features are cached, got views = 1",
        ),
        (f"{FROZEN}[data]\nframes_per_clip = 24", "got frame and cache_features = false"),
        (
            "[model]\naudio_frozen = 'all'\ntext_frozen = 'all'\ngranularities = ['frame', 'word']\n"
            "[data]\ncache_features = true\nframes_per_clip = 24",
            "of the granularity frame alone, got frame, word and cache_features = true",
        ),
        (
            "[data]\nuse_audio = false\ntext_source = 'none'",
            "expected use_audio, a text_source or both, got neither",
        ),
        (
            "[data]\ntext_source = 'none'",
            "expected fusion = late where there is nothing to fuse, got both with",
        ),
        ("[data]\nuse_audio = false", "got both with use_audio = false, text_source = recognized"),
        (
            "[model]\nfusion = 'late'\ngranularities = ['frame', 'word']\n[data]\ntext_source = 'none'",
            "expected the granularity frame alone where there is no text, got frame, word",
        ),
        ("labels = ['sad', 'sad']", "expected different labels, got sad, sad"),
        ("seeds = [1, 2, 1]", "expected different seeds, got 1, 2, 1"),
        ("alphas = [0.1, 0.1]", "expected different alphas, got 0.1, 0.1"),
    ],
)
def test_contradictory_settings_are_rejected(tmp_path: Path, text: str, message: str) -> None:
    file = written(tmp_path, text)
    with pytest.raises(SettingsError) as caught:
        read_experiment(file)
    assert str(caught.value).startswith(f"{file}: expected ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_same_settings_without_the_contradiction_are_accepted(tmp_path: Path) -> None:
    text = (
        f"{FROZEN}[data]\ncache_features = true\nviews = 3\nframes_per_clip = 24\n[data.augment]\nnoise = 0.5"
    )
    assert read_experiment(written(tmp_path, text)).data.views == 3
    text = "[model]\nfusion = 'late'\n[data]\ntext_source = 'none'"
    assert read_experiment(written(tmp_path, text)).data.text_source == "none"


@pytest.mark.parametrize("granularities", [("frame",), ("word",), ("frame", "phone", "syllable", "word")])
def test_every_row_is_consistent_with_any_baseline(granularities: tuple[Any, ...]) -> None:
    experiment = Experiment(model=ModelSettings(granularities=granularities))
    for row in ALL_ROWS:
        check_consistency(experiment_for_row(experiment, row), row.name)


# The rows of the papers' table

EXPERIMENT = Experiment(
    contrastive=ContrastiveSettings(objective="mine", alpha=0.2, discriminator="mlp"),
    trainer=TrainerSettings(epochs=9),
    continued=TrainerSettings(epochs=4),
    encoders=EncoderRows(lora_rank=4, frozen_rate=2e-3),
)
"""A contrastive loss, which only the experiment itself keeps and no other row, but for its discriminator."""

ALL_ROWS = paper_rows(
    EXPERIMENT.alphas,
    EXPERIMENT.fused_alphas,
    transcripts=("gold transcripts", "recognized transcripts"),
    fine_tuned=True,
)


def changes(row: TableRow, experiment: Experiment = EXPERIMENT) -> dict[str, Any]:
    """`model.fusion` -> its value, where the row differs from the experiment without its contrastive loss."""
    plain = flat(replace(experiment, contrastive=ContrastiveSettings()))
    return {
        name: value
        for name, value in flat(experiment_for_row(experiment, row)).items()
        if value != plain[name]
    }


def flat(experiment: Experiment) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for name, value in msgspec.structs.asdict(experiment).items():
        if isinstance(value, msgspec.Struct):
            fields |= {f"{name}.{inner}": of for inner, of in msgspec.structs.asdict(value).items()}
        else:
            fields[name] = value
    return fields


def contrastive(objective: str, alpha: float) -> dict[str, Any]:
    """What differs from the defaults, `bce` being one."""
    different = {} if objective == "bce" else {"contrastive.objective": objective}
    return different | {
        "contrastive.alpha": alpha,
        "contrastive.discriminator": "mlp",
        "trainer.epochs": 4,
    }


CONCAT = {"model.fusion": "concat"}
OBJECTIVES = ("bce", "infonce", "mine")


CHANGES: dict[str, dict[str, Any]] = {
    "baseline": {},
    "continued (alpha = 0)": {"trainer.epochs": 4},
    "concatenation": CONCAT,
    "concatenation, continued (alpha = 0)": CONCAT | {"trainer.epochs": 4},
    **{
        f"{objective} alpha={alpha:g}": contrastive(objective, alpha)
        for objective in OBJECTIVES
        for alpha in EXPERIMENT.fused_alphas
    },
    **{
        f"concatenation, {objective} alpha={alpha:g}": CONCAT | contrastive(objective, alpha)
        for objective in OBJECTIVES
        for alpha in EXPERIMENT.alphas
    },
    "early fusion": {"model.fusion": "early"},
    "late fusion": {"model.fusion": "late"},
    "early and late fusion": {},
    "frame": {},
    "frame + phone": {"model.granularities": ("frame", "phone")},
    "frame + phone + syllable": {"model.granularities": ("frame", "phone", "syllable")},
    "frame + phone + syllable + word": {"model.granularities": ("frame", "phone", "syllable", "word")},
    "audio only": {"model.fusion": "late", "data.text_source": "none"},
    "audio only, linear probe": {"model.fusion": "late", "data.text_source": "none"},
    "text only": {"model.fusion": "late", "data.use_audio": False},
    "gold transcripts": {"data.text_source": "gold"},
    "recognized transcripts": {},
    "frozen encoders": {
        "model.audio_frozen": "all",
        "model.text_frozen": "all",
        "trainer.learning_rate": 2e-3,
    },
    "LoRA": {"model.lora_rank": 4},
    "fine-tuned encoders": {},
}


def test_every_row_of_the_papers_table_is_listed_here() -> None:
    assert [row.name for row in ALL_ROWS] == list(CHANGES)


@pytest.mark.parametrize("name", CHANGES)
def test_the_settings_that_a_row_changes(name: str) -> None:
    assert changes(parse_row(name)) == CHANGES[name]


def test_a_row_outside_the_papers_table_is_the_experiment_itself() -> None:
    assert experiment_for_row(EXPERIMENT, TableRow("mine", "other")) == EXPERIMENT


def test_rows_that_start_from_another_row() -> None:
    """Contrastive rows and their controls, from the row with the same fusion."""
    starting = {row.name: row.base for row in paper_rows((0.1,), (0.3,)) if row.base is not None}
    assert starting == {
        CONTINUED: BASELINE,
        f"concatenation, {CONTINUED}": "concatenation",
        **{f"{objective} alpha=0.3": BASELINE for objective in OBJECTIVES},
        **{f"concatenation, {objective} alpha=0.1": "concatenation" for objective in OBJECTIVES},
    }


TUNED = "fine-tuned encoders"


@pytest.mark.parametrize(
    ("experiment", "same"),
    [
        (
            Experiment(model=ModelSettings(lora_rank=8)),
            {"early and late fusion", "frame", RECOGNIZED, "LoRA"},
        ),
        (Experiment(), {"early and late fusion", "frame", RECOGNIZED, TUNED}),
        (Experiment(model=ModelSettings(fusion="late")), {"late fusion", "frame", RECOGNIZED, TUNED}),
        (
            Experiment(model=ModelSettings(fusion="concat"), data=DataSettings(text_source="gold")),
            {"concatenation", "frame", "gold transcripts", TUNED},
        ),
        (
            Experiment(model=ModelSettings(fusion="late"), data=DataSettings(text_source="none")),
            {"late fusion", "audio only", "frame", TUNED},
        ),
        (
            Experiment(data=DataSettings(text_source="gold")),
            {"early and late fusion", "frame", "gold transcripts", TUNED},
        ),
        (
            Experiment(
                model=ModelSettings(granularities=("frame", "phone")), continued=TrainerSettings(epochs=2)
            ),
            {"early and late fusion", "frame + phone", RECOGNIZED, TUNED},
        ),
    ],
)
def test_rows_that_equal_the_baseline(experiment: Experiment, same: set[str]) -> None:
    """None that starts from its weights: the same schedule would still train it further."""
    rows = [row for row in ALL_ROWS if row.name != BASELINE and row.group != "contrastive"]
    assert {row.name for row in rows if same_as_baseline(experiment, row)} == same
    assert not same_as_baseline(experiment, TableRow("an experiment alone", "other"))
    assert {row.name for row in rows if not trains_network(experiment, row)} == same | {PROBE}


@pytest.mark.parametrize(
    ("row", "spans"),
    [
        ("baseline", ()),
        ("frame + phone + syllable + word", ("phone", "syllable", "word")),
        ("phone", ("phone",)),
        ("concatenation", ()),
        ("text only", ()),
        ("late fusion", ()),
    ],
)
def test_rows_that_need_an_alignment(row: str, spans: tuple[str, ...]) -> None:
    assert aligned_granularities(experiment_for_row(Experiment(), parse_row(row))) == spans
