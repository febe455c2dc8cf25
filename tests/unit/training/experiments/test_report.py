"""The report: its sections, CSV files that agree with its tables, and the warnings that it must contain."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, recall_score

from emostream.training.evaluation.aggregate import summarise, to_fit_results
from emostream.training.evaluation.bootstrap import paired_gain, paired_gain_by_session
from emostream.training.evaluation.predictions import FoldPredictions
from emostream.training.experiments.environment import RunMetadata
from emostream.training.experiments.reference_results import IEMOCAP_4, IEMOCAP_NOT_RUN, reference_results_for
from emostream.training.experiments.report import write_report
from tests.support.fake_predictions import row_of_fits

ABOUT = RunMetadata(
    command="python -m emostream.training table papers --corpus label-matched --data DIR",
    corpus="label-matched",
    protocol="corpus folds",
    validation="two speakers of the training folds",
    device="cpu",
    date="2026-11-21",
    machine="a machine",
    commit="0123456789ab",
    notes=("text: gold",),
)


@pytest.fixture(scope="module")
def papers() -> list[FoldPredictions]:
    """Alpha 0.1 validates best, though 0.9 tests best."""
    accuracies = {
        "baseline": 0.5,
        "continued (alpha = 0)": 0.52,
        "bce alpha=0.1": 0.6,
        "bce alpha=0.9": 0.8,
        "infonce alpha=0.1": 0.55,
        "late fusion": 0.5,
        "word": 0.5,
        "text only": 0.4,
    }
    fits = []
    for row, accuracy in accuracies.items():
        validation = 0.9 if row == "bce alpha=0.1" else 0.4
        fits += row_of_fits(row, accuracy, embeddings=True, validation_ua=validation)
    return fits[::-1]


@pytest.fixture(scope="module")
def folder(papers: list[FoldPredictions], tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("report")
    write_report(
        target, "The papers' table", papers, about=ABOUT, inflated=True, missing_corpora=[IEMOCAP_NOT_RUN]
    )
    return target


def section(markdown: str, title: str) -> str:
    found = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", markdown, re.MULTILINE | re.DOTALL)
    assert found, f"no section {title}"
    return found[1]


def cells(text: str) -> list[list[str]]:
    """The rows of the table in a section, without its rule."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if "---" not in line]


def read_csv(file: Path) -> list[dict[str, str]]:
    with file.open(newline="", encoding="utf-8") as lines:
        return list(csv.DictReader(lines))


def test_the_head_describes_the_experiment(folder: Path) -> None:
    markdown = (folder / "table.md").read_text(encoding="utf-8")
    assert markdown.startswith("# The papers' table\n")
    head = dict(cells(markdown.split("\n## ")[0])[1:])
    assert head["command"] == f"`{ABOUT.command}`"
    assert head["corpus"] == "label-matched: 108 test utterances, 9 speakers"
    assert head["protocol"] == "corpus folds; 3 folds"
    assert head["seeds"] == "0, 1"
    assert head["validation"] == ABOUT.validation
    assert head["fits"] == "48, 48 minutes of training"
    assert (head["machine"], head["commit"], head["date"]) == ("a machine; cpu", ABOUT.commit, ABOUT.date)
    assert "- text: gold" in markdown


def test_rows_are_grouped_and_in_the_order_of_the_papers(folder: Path) -> None:
    lines = cells(section((folder / "table.md").read_text(encoding="utf-8"), "Results"))
    assert [line[0] for line in lines] == [
        "row",
        "**baseline**",
        "baseline",
        "continued (alpha = 0)",
        "**contrastive regularization**",
        "bce alpha=0.1",
        "bce alpha=0.9",
        "bce, alpha by validation",
        "infonce alpha=0.1",
        "objective and alpha by validation",
        "**fusion**",
        "late fusion",
        "**granularities of early fusion**",
        "word",
        "**single modality**",
        "text only",
    ]


def test_a_row_of_the_table_against_scikit_learn(folder: Path, papers: list[FoldPredictions]) -> None:
    fits = [fit for fit in papers if fit.row == "late fusion"]
    was = [100 * accuracy_score(fit.truth, fit.predicted) for fit in fits]
    uas = [100 * recall_score(fit.truth, fit.predicted, average="macro") for fit in fits]
    lines = cells(section((folder / "table.md").read_text(encoding="utf-8"), "Results"))
    line = next(line for line in lines if line[0] == "late fusion")
    assert line[1] == f"{np.mean(was):.1f} ± {np.std(was, ddof=1):.1f}"
    assert line[2] == f"{np.mean(uas):.1f} ± {np.std(uas, ddof=1):.1f}"
    assert line[-1] == "6"


def test_inflated_figures_have_a_warning_above_every_table(folder: Path, tmp_path: Path) -> None:
    markdown = (folder / "table.md").read_text(encoding="utf-8")
    for title in ("Results", "Paired gains"):
        before_table = section(markdown, title).split("\n\n|")[0].split("\n\n")[-1]
        assert before_table.startswith("> **Inflated figures.**")
        assert "no evidence about the papers" in before_table.replace("\n> ", " ")
    plain = write_report(tmp_path, "Plain", row_of_fits("baseline", 0.5), about=ABOUT)
    assert "nflated" not in plain.file.read_text(encoding="utf-8")


def test_the_gain_is_paired_against_both_baselines(folder: Path, papers: list[FoldPredictions]) -> None:
    lines = cells(section((folder / "table.md").read_text(encoding="utf-8"), "Paired gains"))[1:]
    names = ["bce alpha=0.1", "bce alpha=0.9", "bce, alpha by validation", "infonce alpha=0.1"]
    names.append("objective and alpha by validation")
    pairs = [(name, other) for name in names for other in ("baseline", "continued (alpha = 0)")]
    assert [(line[0], line[1]) for line in lines] == [*pairs, ("baseline", "text only")]
    rows = {name: [fit for fit in papers if fit.row == name] for name in ("bce alpha=0.9", "baseline")}
    gain = paired_gain(rows["bce alpha=0.9"], rows["baseline"], "ua")
    shown = re.findall(r"[+-][0-9.]+", lines[2][3].replace("\N{MINUS SIGN}", "-"))
    expected = [gain.value, gain.interval.low, gain.interval.high]
    assert [float(number) for number in shown] == pytest.approx(
        [100 * value for value in expected], abs=0.005
    )
    kept = read_csv(folder / "gains.csv")
    line = next(one for one in kept if one["row"] == "bce alpha=0.9" and one["metric"] == "ua")
    assert [float(line[name]) for name in ("gain", "low", "high")] == expected
    assert (line["against"], line["unit"], line["units"]) == ("baseline", "speakers", "9")


def test_the_csv_files_contain_every_prediction(folder: Path, papers: list[FoldPredictions]) -> None:
    fits = read_csv(folder / "fits.csv")
    assert len(fits) == len(papers)
    line = next(one for one in fits if (one["row"], one["fold"], one["seed"]) == ("word", "2", "1"))
    fit = next(one for one in papers if (one.row, one.fold, one.seed) == ("word", "2", 1))
    assert float(line["wa"]) == accuracy_score(fit.truth, fit.predicted)
    assert (float(line["validation_ua"]), int(line["epochs"])) == (0.4, 7)
    predictions = [one for one in read_csv(folder / "predictions.csv") if one["row"] == "word"]
    part = [one for one in predictions if (one["fold"], one["seed"]) == ("2", "1")]
    assert [one["key"] for one in part] == list(fit.keys)
    assert [one["speaker"] for one in part] == list(fit.speakers)
    assert [fit.labels.index(one["predicted"]) for one in part] == fit.predicted.tolist()
    shares = [[float(one[label]) for label in fit.labels] for one in part]
    np.testing.assert_allclose(shares, fit.probabilities, atol=1e-6)


def test_the_csv_table_equals_the_summary(folder: Path, papers: list[FoldPredictions]) -> None:
    lines = {line["row"]: line for line in read_csv(folder / "table.csv")}
    for summary in summarise(to_fit_results(papers)):
        line = lines[summary.row]
        assert float(line["ua_mean"]) == pytest.approx(summary.ua.mean, abs=1e-12)
        assert float(line["pooled_wa_std"]) == pytest.approx(summary.pooled_wa.std, abs=1e-12)
        assert int(line["utterances"]) == summary.utterances
    assert (lines["bce alpha=0.9"]["objective"], lines["bce alpha=0.9"]["alpha"]) == ("bce", "0.9")


def test_every_linked_picture_exists(folder: Path) -> None:
    linked = re.findall(r"!\[.*?\]\((.*?)\)", (folder / "table.md").read_text(encoding="utf-8"))
    assert linked == [
        f"plots/{name}.png"
        for name in ("confusion-matrix", "reliability-diagram", "embeddings", "gain-over-alpha")
    ]
    assert all((folder / name).stat().st_size > 10_000 for name in linked)


def test_published_iemocap_figures_are_listed_as_not_run(folder: Path) -> None:
    text = section((folder / "table.md").read_text(encoding="utf-8"), "Not run: IEMOCAP, 4 classes")
    lines = cells(text)
    assert lines[1][:4] == [
        "contrastive regularization over its baseline",
        "+1.44 points",
        "+1.53 points",
        "not run",
    ]
    assert {line[3] for line in lines[1:]} == {"not run"}
    assert len(lines) == 1 + len(IEMOCAP_4)
    assert "python -m emostream.training table papers --corpus iemocap --data DIR" in text


def test_a_single_row_gets_its_folds_and_classes(tmp_path: Path) -> None:
    fits = row_of_fits("baseline", 0.6, folds=11, seeds=(3,), utterances=4)
    markdown = write_report(tmp_path, "Folds", fits, about=ABOUT).file.read_text(encoding="utf-8")
    titles = re.findall(r"^## (.*)$", markdown, re.MULTILINE)
    assert titles == ["Results", "Folds: baseline", "Recall per class", "Files"]
    folds = cells(section(markdown, "Folds: baseline"))[1:]
    assert [line[0] for line in folds] == [str(number) for number in range(1, 12)]
    assert folds[0][2] == f"{100 * accuracy_score(fits[0].truth, fits[0].predicted):.1f}"  # one seed: no ±
    assert len(cells(section(markdown, "Results"))) == 2
    truth = np.concatenate([fit.truth for fit in fits])
    predicted = np.concatenate([fit.predicted for fit in fits])
    recalls = recall_score(truth, predicted, average=None)
    assert cells(section(markdown, "Recall per class"))[1][1:] == [f"{100 * one:.1f}" for one in recalls]
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "fits.csv",
        "plots",
        "predictions.csv",
        "table.csv",
        "table.md",
    ]


def test_ravdess_is_compared_with_published_figures(tmp_path: Path) -> None:
    labels = ("angry", "calm", "disgust", "fearful", "happy", "neutral", "sad", "surprised")
    fits = row_of_fits("baseline", 0.6, labels=labels)
    about = replace(ABOUT, corpus="ravdess")
    markdown = write_report(tmp_path, "RAVDESS", fits, about=about).file.read_text(encoding="utf-8")
    line = "| audio only, frozen WavLM large | 72.2 | 72.0 |"
    assert line.replace("72.2 ", "72.22 ") in section(markdown, "Published results")
    assert reference_results_for("ravdess", labels[:4]) == ()


@pytest.fixture(scope="module")
def leaking(papers: list[FoldPredictions], tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("leaking")
    about = replace(ABOUT, corpus="iemocap", protocol_name="utterance", leaks=True)
    write_report(target, "The papers' table", papers, about=about)
    return target


def test_figures_of_a_split_that_leaks_are_marked_wherever_they_appear(leaking: Path) -> None:
    markdown = (leaking / "table.md").read_text(encoding="utf-8")
    assert markdown.startswith("# The papers' table (leaks speakers)\n")
    for title in ("Results", "The papers' claims", "Paired gains", "Folds: baseline", "Recall per class"):
        assert "> **Leaks speakers.**" in section(markdown, title)
    assert all("(leaks speakers)" in picture for picture in re.findall(r"!\[.*?\]", markdown))
    claims = cells(section(markdown, "The papers' claims"))[1:]
    assert {line[1] for line in claims} == {"utterance (leaks speakers)"}
    for name in ("table.csv", "fits.csv", "predictions.csv", "gains.csv"):
        assert {line["warning"] for line in read_csv(leaking / name)} == {"leaks speakers"}


def test_only_such_figures_are_marked(folder: Path) -> None:
    assert "eaks speakers" not in (folder / "table.md").read_text(encoding="utf-8").split("## The papers'")[0]
    assert "warning" not in read_csv(folder / "table.csv")[0]


def with_sessions(fits: Sequence[FoldPredictions]) -> list[FoldPredictions]:
    """Two speakers of three talk to each other in every fold: `speaker 2.0` and `speaker 2.1`."""
    sessions = {
        fit.name: tuple("alone" + name if name.endswith("2") else name[:-2] for name in fit.speakers)
        for fit in fits
    }
    return [replace(fit, sessions=sessions[fit.name]) for fit in fits]


def test_claims_have_the_published_gain_and_intervals_by_speaker_and_by_session(tmp_path: Path) -> None:
    fits = [
        fit
        for row, accuracy in (
            ("concatenation", 0.5),
            ("concatenation, continued (alpha = 0)", 0.5),
            ("concatenation, bce alpha=0.1", 0.7),
            ("concatenation, bce alpha=0.9", 0.6),
            ("frame", 0.5),
            ("frame + phone", 0.6),
        )
        for fit in with_sessions(row_of_fits(row, accuracy))
    ]
    report = write_report(tmp_path, "Claims", fits, about=replace(ABOUT, protocol_name="session"))
    lines = cells(section(report.file.read_text(encoding="utf-8"), "The papers' claims"))
    assert lines[0] == [
        "claim",
        "protocol",
        "published WA",
        "published UA",
        "WA",
        "UA",
        "UA, by session",
        "source",
    ]
    term, control, phone = lines[1:]
    assert term[:4] == ["contrastive term", "session", "+1.44", "+1.53"]
    assert control[:4] == ["the same, against as much training without it", "session", "", ""]
    assert phone[:4] == ["+ phone", "session", "not stated", "not stated"]
    chosen = [fit for fit in fits if fit.row == "concatenation, bce alpha=0.1"]
    base = [fit for fit in fits if fit.row == "concatenation"]
    gain = paired_gain_by_session(chosen, base, "ua")
    assert gain is not None
    assert (gain.unit_kind, gain.unit_count) == ("sessions", 6)
    shown = [float(n) for n in re.findall(r"[+-][0-9.]+", term[6].replace("\N{MINUS SIGN}", "-"))]
    expected = [gain.value, gain.interval.low, gain.interval.high]
    assert shown == pytest.approx([100 * value for value in expected], abs=0.005)
    units = {(line["unit"], line["units"]) for line in read_csv(tmp_path / "gains.csv")}
    assert units == {("speakers", "9"), ("sessions", "6")}


def test_an_alpha_that_ran_with_one_seed_is_compared_with_that_seed(tmp_path: Path) -> None:
    """A further seed of which only some folds ran this alpha counts for the choice alone."""
    base = row_of_fits("baseline", 0.5)
    swept = row_of_fits("bce alpha=0.1", 0.6, validation_ua=0.9) + row_of_fits("bce alpha=0.9", 0.7)
    kept = [fit for fit in swept if fit.seed == 0 or (fit.fold == "1") == (fit.row == "bce alpha=0.1")]
    report = write_report(tmp_path, "Sweep", [*base, *kept], about=ABOUT)
    summaries = {line["row"]: line for line in read_csv(tmp_path / "table.csv")}
    assert {name: int(line["seeds"]) for name, line in summaries.items()} == {
        "baseline": 2,
        "bce alpha=0.1": 1,
        "bce alpha=0.9": 1,
        "bce, alpha by validation": 2,
    }
    gains = {gain.row: len(gain.gains["ua"].per_seed) for gain in report.gains}
    assert gains == {"bce alpha=0.1": 1, "bce alpha=0.9": 1, "bce, alpha by validation": 2}


def test_a_report_without_results_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected results of fits to report on, got none"):
        write_report(tmp_path, "Nothing", [], about=ABOUT)
