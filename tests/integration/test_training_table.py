"""The papers' table on a small IEMOCAP tree, as one command; and the data that each cell may use."""

from __future__ import annotations

import csv
import gc
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace as other
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from emostream.models import LABELS, Clip, Transcript
from emostream.training.__main__ import main
from emostream.training.corpora.example import Example
from emostream.training.emotion.settings import DataSettings, ModelSettings, TextSource
from emostream.training.errors import SettingsError
from emostream.training.evaluation.predictions import FoldPredictions, read_predictions
from emostream.training.experiments.experiment import Experiment
from emostream.training.experiments.measure_cost import measure_table
from emostream.training.experiments.prepare_table import PreparedTable, TableRequest, prepare_table
from emostream.training.experiments.run import run_fold
from emostream.training.experiments.table import baseline_first, run_table
from emostream.training.experiments.table_rows import PROBE, paper_rows, parse_row
from emostream.training.trainer.callbacks import NoCallback, progress_bars
from emostream.training.trainer.runtime import make_accelerator
from emostream.training.trainer.settings import TrainerSettings
from tests.support.corpus_trees import iemocap_tree, write_sound
from tests.support.fakes import FakeTranscriber
from tests.support.tiny_emotion import SENTENCES
from tests.support.tiny_pretrained import publish_one_layer
from tests.support.training_task import fresh_accelerator, one_thread

ALPHAS, FUSED_ALPHAS = (0.1, 0.9), (0.1,)
PROTOCOLS = ("session", "speaker", "utterance")
FOLDS = {"session": 5, "speaker": 10, "utterance": 5}
ROWS = [row.name for row in paper_rows(ALPHAS, FUSED_ALPHAS)]
SESSIONS = [f"Session{number}" for number in range(1, 6)]


@pytest.fixture(scope="module", autouse=True)
def _one_thread_and_no_accelerator() -> Iterator[None]:
    with one_thread(), fresh_accelerator():
        yield
    gc.unfreeze()  # what a table prepared is frozen


# The whole table


CPU = ["--cpu", "--asr", "none"]


class Papers:
    """`table papers` on a tree of five sessions, whose utterances are tones that depend on the label: every
    row of every protocol.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        audio, text = publish_one_layer(root)
        iemocap_tree(root / "IEMOCAP_full_release")
        self.config = root / "tiny.toml"
        self.config.write_text(f"""
            seeds = [1]
            alphas = {list(ALPHAS)}
            fused_alphas = {list(FUSED_ALPHAS)}
            protocol = "session"
            [model]
            audio = "{audio}"
            text = "{text}"
            audio_frozen = "all"
            text_frozen = "all"
            width = 16
            heads = 2
            feed_forward = 16
            layers = 1
            [data]
            text_source = "gold"
            cache_features = true
            [trainer]
            epochs = 1
            batch = 32
            loader_workers = 0
            [continued]
            epochs = 1
            batch = 32
            loader_workers = 0
        """)

    def run(self, out: str, *protocols: str) -> Path:
        """The folder of the report, or of a folder with the report of each protocol."""
        chosen = [word for protocol in protocols for word in ("--protocol", protocol)]
        places = ["--output-dir", str(self.root / out), "--work", str(self.root / "work")]
        corpus = ["--corpus", "iemocap", "--data", str(self.root), "--part"]
        assert main(["table", "papers", *corpus, "--config", str(self.config), *places, *CPU, *chosen]) == 0
        return self.root / out

    def results(self) -> list[Path]:
        """Of the protocol `session`."""
        (folder,) = {
            file.parent
            for file in self.root.glob("work/*/predictions/*.npz")
            if read_predictions(file).fold == "Session1"
        }
        return sorted(folder.glob("*.npz"))


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Papers:
    papers = Papers(tmp_path_factory.mktemp("papers"))
    papers.run("all", *PROTOCOLS)
    (papers.root / "all" / "session").rename(papers.root / "table")
    return papers


def read_csv(file: Path) -> list[dict[str, str]]:
    with file.open(newline="") as lines:
        return list(csv.DictReader(lines))


def test_it_has_every_row_of_the_papers(papers: Papers) -> None:
    text = (papers.root / "table" / "table.md").read_text()
    metrics = text.split("## Results")[1].split("## Paired gains")[0]
    for name in [*ROWS, "concatenation, objective and alpha by validation"]:
        assert f"\n| {name} | " in metrics
    assert len(ROWS) == 23


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_every_row_of_every_protocol_is_run(papers: Papers, protocol: str) -> None:
    folder = papers.root / ("table" if protocol == "session" else f"all/{protocol}")
    fits = read_csv(folder / "fits.csv")
    assert {fit["row"] for fit in fits} == set(ROWS)
    assert {(fit["row"], fit["fold"]) for fit in fits} == {
        (row, fold) for row in ROWS for fold in {fit["fold"] for fit in fits}
    }
    assert len({fit["fold"] for fit in fits}) == FOLDS[protocol]
    marked = "Leaks speakers" in (folder / "table.md").read_text()
    assert marked == (protocol == "utterance") == ("warning" in fits[0])


def test_the_claims_of_all_protocols_stand_beside_each_other(papers: Papers) -> None:
    text = (papers.root / "all" / "claims.md").read_text()
    lines = [line.split(" | ") for line in text.splitlines() if line.startswith("| contrastive term |")]
    assert [line[1] for line in lines] == ["session", "speaker", "utterance (leaks speakers)"]
    assert all(line[2:4] == ["+1.44", "+1.53"] for line in lines)


def test_each_row_is_evaluated_on_every_session_and_utterance_once(papers: Papers) -> None:
    fits = read_csv(papers.root / "table" / "fits.csv")
    assert {(fit["row"], fit["fold"], fit["seed"]) for fit in fits} == {
        (row, session, "1") for row in ROWS for session in SESSIONS
    }
    predictions = read_csv(papers.root / "table" / "predictions.csv")
    assert len(predictions) == 23 * 40
    for row in ("baseline", "concatenation, mine alpha=0.9"):
        keys = [line["key"] for line in predictions if line["row"] == row]
        assert len(set(keys)) == len(keys) == 40


def test_metrics_equal_those_of_the_stored_predictions(papers: Papers) -> None:
    """Computed independently."""
    lines = read_csv(papers.root / "table" / "predictions.csv")
    for row in read_csv(papers.root / "table" / "table.csv"):
        part = [line for line in lines if line["row"] == row["row"]]
        if part:  # what validation chose is not listed again
            right = sum(line["truth"] == line["predicted"] for line in part) / len(part)
            assert float(row["pooled_wa_mean"]) == pytest.approx(right)


def test_contrastive_rows_are_compared_with_both_baselines(papers: Papers) -> None:
    gains = read_csv(papers.root / "table" / "gains.csv")
    compared = {(gain["row"], gain["against"]) for gain in gains}
    contrastive = [name for name in ROWS if "alpha=" in name]
    assert len(contrastive) == 9
    for name in contrastive:
        prefix = "concatenation, " if name.startswith("concatenation") else ""
        base = "concatenation" if prefix else "baseline"
        assert {(name, base), (name, f"{prefix}continued (alpha = 0)")} <= compared
    assert {gain["unit"] for gain in gains} == {"speakers", "sessions"}


def test_plots_are_written_beside_the_report(papers: Papers) -> None:
    """All that the report shows, and no others."""
    folder = papers.root / "table"
    shown = re.findall(r"!\[(.*)\]\((plots/.*\.png)\)", (folder / "table.md").read_text())
    assert {folder / file for _, file in shown} == set((folder / "plots").iterdir())
    names = " ".join(name.lower() for name, _ in shown)
    assert all(
        name in names for name in ("confusion matrix", "reliability diagram", "embeddings", "gain over alpha")
    )


def test_the_report_states_the_evaluated_corpus(papers: Papers) -> None:
    """Published figures are of the whole corpus and are not shown beside those of a part."""
    text = (papers.root / "table" / "table.md").read_text()
    assert "| corpus | part of iemocap: 40 test utterances, 10 speakers |" in text
    assert "leave one session out: all who talk to each other" in text
    assert "; 5 folds |" in text
    assert "Inflated" not in text
    assert "Not run" not in text
    assert "Published results" not in text


def test_the_same_command_trains_nothing_again(papers: Papers) -> None:
    before = {file: file.stat().st_mtime_ns for file in papers.results()}
    assert len(before) == 23 * 5
    again = papers.run("again")
    assert {file: file.stat().st_mtime_ns for file in papers.results()} == before
    for name in ("table.csv", "gains.csv", "predictions.csv", "fits.csv"):
        assert (again / name).read_text() == (papers.root / "table" / name).read_text()


def test_only_missing_fits_are_trained(papers: Papers) -> None:
    """Including the baseline's files: it gives the same results again."""
    found = {file: read_predictions(file) for file in papers.results()}
    baseline = next(file for file, result in found.items() if result.row == "baseline")
    lost = {file: found[file] for file in (baseline, *papers.results()[5::30])}
    kept = {file: file.stat().st_mtime_ns for file in found if file not in lost}
    for file in lost:
        file.unlink()
    papers.run("mended")
    assert {file: file.stat().st_mtime_ns for file in kept} == kept
    for file, before in lost.items():
        np.testing.assert_allclose(read_predictions(file).probabilities, before.probabilities, atol=1e-9)


# Cells


def speakers(root: Path) -> tuple[Example, ...]:
    """Six speakers, two per group, with four utterances each in different emotions."""
    examples = []
    for speaker in range(6):
        for number, (emotion, words) in enumerate(zip(LABELS, SENTENCES, strict=True)):
            path = root / f"{speaker}-{emotion}.wav"
            if not path.exists():
                write_sound(path, emotion, 10 * speaker + number)
            examples.append(
                Example(
                    corpus="tones",
                    key=path.name,
                    emotion=emotion,
                    emotion_orig=emotion,
                    path=path,
                    words=words,
                    speaker=f"s{speaker}",
                    group=f"{speaker // 2}",
                )
            )
    return tuple(examples)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory, published: Path) -> TableRequest:
    root = tmp_path_factory.mktemp("small")
    model = ModelSettings(
        audio=str(published / "wav2vec2"),
        text=str(published / "bert"),
        audio_frozen="all",
        text_frozen="all",
        width=16,
        heads=2,
        feed_forward=16,
        layers=1,
    )
    trainer = TrainerSettings(epochs=2, batch=8)
    experiment = Experiment(
        name="small",
        seeds=(1,),
        alphas=(),
        model=model,
        data=DataSettings(text_source="gold", cache_features=True),
        trainer=trainer,
        continued=replace(trainer, learning_rate=0.0),
    )
    return TableRequest(
        experiment=experiment,
        examples=speakers(root),
        units=("speaker", "dialogue"),
        rows=tuple(map(parse_row, ("baseline", "bce alpha=0.5"))),
        asr="none",
        work=root / "work",
        cpu=True,
    )


def prepared(request: TableRequest) -> PreparedTable:
    return prepare_table(request, make_accelerator("no", cpu=True), lambda what, done, of: None)


def run(request: TableRequest, workers: int = 1) -> list[FoldPredictions]:
    with progress_bars() as bars:
        return run_table(request, prepared(request), bars, workers)


def with_rows(request: TableRequest, *names: str, **experiment: Any) -> TableRequest:
    changed = replace(request.experiment, **experiment)
    return other(request, rows=tuple(map(parse_row, names)), experiment=changed)


def test_two_workers_give_the_results_of_one(small: TableRequest, tmp_path: Path) -> None:
    alone, together = run(small), run(other(small, work=tmp_path), workers=2)
    assert [result.name for result in alone] == [
        f"{row}, fold {fold}, seed 1" for row in ("baseline", "bce alpha=0.5") for fold in "012"
    ]
    for one, two in zip(alone, together, strict=True):
        assert (one.name, one.keys, one.validation_ua) == (two.name, two.keys, two.validation_ua)
        np.testing.assert_allclose(one.probabilities, two.probabilities, atol=1e-9)


def test_rows_of_two_kinds_start_from_the_baselines_weights(small: TableRequest) -> None:
    """With a learning rate of 0 their predictions equal the baseline's."""
    names = ("baseline", "continued (alpha = 0)", "infonce alpha=0.3", "audio only")
    by_row = {(result.row, result.fold): result for result in run(with_rows(small, *names))}
    for fold in "012":
        baseline = by_row["baseline", fold].probabilities
        for name in names[1:3]:
            np.testing.assert_allclose(by_row[name, fold].probabilities, baseline, atol=1e-9)
        assert not np.allclose(by_row["audio only", fold].probabilities, baseline, atol=1e-3)


def test_a_row_that_equals_the_baseline_is_not_trained(small: TableRequest) -> None:
    request = with_rows(small, "baseline", "early and late fusion", seeds=(5,))
    results = run(request)
    for one, same in zip(results[:3], results[3:], strict=True):
        assert (one.row, same.row) == ("baseline", "early and late fusion")
        np.testing.assert_array_equal(one.probabilities, same.probabilities)
    fits = [folder.name for folder in small.work.glob("*/fits/*") if "seed-5" in folder.name]
    assert len(fits) == 3
    assert all(name.startswith("baseline") for name in fits)


def test_encoders_are_trained_in_three_ways(small: TableRequest, tmp_path: Path) -> None:
    """From one start: adapters and weights each go their own way, and neither stays where frozen ones do."""
    pytest.importorskip("peft", reason="LoRA needs the package peft")
    learning = replace(small.experiment.model, audio_frozen="front_end", text_frozen="none")
    names = ("baseline", "frozen encoders", "LoRA", "fine-tuned encoders")
    request = with_rows(small, *names, model=learning, data=DataSettings(text_source="gold"))
    results = run(other(request, work=tmp_path, fold="0"))
    found = {result.row: result.probabilities for result in results}
    np.testing.assert_array_equal(found["fine-tuned encoders"], found["baseline"])
    for one, two in (("LoRA", "frozen encoders"), ("LoRA", "baseline"), ("baseline", "frozen encoders")):
        assert not np.allclose(found[one], found[two], atol=1e-5)


@pytest.mark.parametrize(("source", "refused"), [("recognized", True), ("gold", False)])
def test_words_of_pocketsphinx_are_refused_in_the_papers_table(
    source: TextSource, refused: bool, small: TableRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where they would be read, and nowhere else: `table folds` takes them."""

    class Sphinx(FakeTranscriber):
        name = "pocketsphinx en-us"

    monkeypatch.setattr("emostream.training.experiments.prepare_table.load_transcriber", lambda _: Sphinx())
    request = with_rows(small, "baseline", data=DataSettings(text_source=source, cache_features=True))
    prepared(other(request, work=tmp_path))
    strict = other(request, work=tmp_path / "strict", sphinx_words=False)
    if refused:
        with pytest.raises(SettingsError, match="expected a Whisper model's words for the papers' table"):
            prepared(strict)
    else:
        prepared(strict)


def test_the_linear_probe_is_that_of_the_frozen_encoder(small: TableRequest) -> None:
    """Without a network: the same with every seed, and like scikit-learn's at the penalty that was chosen."""
    request = with_rows(small, PROBE, seeds=(1, 2))
    ready = prepared(request)
    first, again = (
        run_fold(ready.context, parse_row(PROBE), ready.folds[0], n, NoCallback()) for n in (1, 2)
    )
    np.testing.assert_array_equal(first.probabilities, again.probabilities)
    features = ready.context.inputs.audio_features
    assert features is not None

    def pooled(examples: Sequence[Example]) -> np.ndarray[Any, Any]:
        states = [features.view(example.key, 0)[0].float().numpy() for example in examples]
        return np.array([np.hstack([s.mean(1), np.log(s.std(1) + 1e-3)]).ravel() for s in states])

    fold, labels = ready.folds[0], ready.context.labels
    scaler = StandardScaler().fit(pooled(fold.train))
    truth = [labels[example.key] for example in fold.train]
    agreement = []
    for strength in (0.3, 0.1, 0.03, 0.01, 0.003, 0.001):
        reference = LogisticRegression(C=1 / strength / len(truth), max_iter=500)
        reference.fit(scaler.transform(pooled(fold.train)), truth)
        predicted = reference.predict(scaler.transform(pooled(fold.test)))
        agreement.append(float(np.mean(predicted == first.predicted)))
    assert max(agreement) == 1.0


def kept(work: Path) -> list[str]:
    return sorted(file.parent.name.split("-fold")[0] for file in work.glob("*/fits/*/kept.pt"))


def test_only_the_baselines_weights_stay_on_disk(small: TableRequest, tmp_path: Path) -> None:
    """With none, not even these; a row that is added later trains the baseline again, to the same weights."""
    rows = ("baseline", "bce alpha=0.5")
    first = run(other(with_rows(small, *rows), work=tmp_path / "baseline"))
    assert len(kept(tmp_path / "baseline")) == 3
    assert all(name.startswith("baseline") for name in kept(tmp_path / "baseline"))
    run(other(with_rows(small, *rows, keep_weights="all"), work=tmp_path / "all"))
    assert len(kept(tmp_path / "all")) == 6
    alone = other(with_rows(small, "baseline", keep_weights="none"), work=tmp_path / "none")
    run(alone)
    assert kept(tmp_path / "none") == []
    added = run(other(with_rows(small, *rows, keep_weights="none"), work=tmp_path / "none"))
    assert kept(tmp_path / "none") == []
    for one, same in zip(first, added, strict=True):
        np.testing.assert_allclose(same.probabilities, one.probabilities, atol=1e-9)


def test_hours_are_measured_and_nothing_is_trained(small: TableRequest, tmp_path: Path) -> None:
    request = other(with_rows(small, "baseline", "bce alpha=0.5", "audio only"), work=tmp_path)
    cost = measure_table(request, prepared(request), tmp_path / "cache")
    assert [(kind.name, kind.fits) for kind in cost.kinds] == [
        ("baseline", 3),
        ("bce alpha=0.5", 3),
        ("audio only", 3),
    ]
    assert all(kind.step_s > 0 and kind.validation_s > 0 and kind.weights > 0 for kind in cost.kinds)
    assert cost.kinds[0].snapshot > 2 * cost.kinds[0].weights  # Adam has two numbers for each weight
    assert cost.cached > 0
    assert not [*tmp_path.glob("*/fits"), *tmp_path.glob("*/predictions")]


def test_the_baseline_is_trained_first_and_required() -> None:
    rows = [parse_row(name) for name in ("word", "mine alpha=0.1", "baseline")]
    assert [row.name for row in baseline_first(rows)] == ["baseline", "word", "mine alpha=0.1"]
    with pytest.raises(ValueError, match="expected the row baseline among the rows that start from"):
        baseline_first(rows[:2])


def test_rows_that_start_from_missing_weights_are_rejected(small: TableRequest, tmp_path: Path) -> None:
    ready = prepared(other(small, work=tmp_path))
    with pytest.raises(FileNotFoundError, match=r"expected the baseline's weights at .*: train it first"):
        run_fold(ready.context, parse_row("bce alpha=0.5"), ready.folds[0], 1, NoCallback())


def test_labels_of_the_test_speakers_have_no_influence(small: TableRequest, tmp_path: Path) -> None:
    """With other test labels: the same probabilities and validation, another truth."""
    ready = prepared(small)
    fold, row = ready.folds[0], parse_row("late fusion")
    result = run_fold(ready.context, row, fold, 1, NoCallback())
    tested = {example.key for example in fold.test}
    wrong = {key: (label + 1) % 4 if key in tested else label for key, label in ready.context.labels.items()}
    blind = run_fold(other(ready.context, labels=wrong, work=tmp_path), row, fold, 1, NoCallback())
    np.testing.assert_array_equal(blind.truth, (result.truth + 1) % 4)
    np.testing.assert_allclose(blind.probabilities, result.probabilities, atol=1e-12)
    assert blind.validation_ua == result.validation_ua


def test_codes_are_stored_for_one_seed(small: TableRequest) -> None:
    """Enough for plots: codes of audio and text, what co-attention's head and the two others read."""
    results = run(with_rows(small, "baseline", seeds=(1, 2)))
    shapes = {(one.seed, None if one.embeddings is None else one.embeddings.shape) for one in results}
    assert shapes == {(1, (8, 2 * 16 + 48 + 32)), (2, None)}


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({"seeds": (3, 4)}, True),
        ({"alphas": (0.2,)}, True),
        ({"note": "Again."}, True),
        ({"validation_share": 0.3}, False),
        ({"trainer": TrainerSettings(epochs=9)}, False),
        ({"data": DataSettings(text_source="gold", cache_features=True, label_smoothing=0.1)}, False),
        ({"labels": LABELS[::-1]}, False),
    ],
)
def test_runs_that_differ_go_to_different_folders(
    change: dict[str, Any], same: bool, small: TableRequest
) -> None:
    """More seeds and alphas continue in the same folder; settings that change results use another."""
    changed = other(small, experiment=replace(small.experiment, **change))
    assert (prepared(changed).context.work == prepared(small).context.work) == same


def other_words(small: TableRequest) -> TableRequest:
    first, *rest = small.examples
    return other(small, examples=(other(first, words="i miss her"), *rest))


def other_speaker(small: TableRequest) -> TableRequest:
    """Of the same group: the test speakers stay the same, the validation speakers do not."""
    first, *rest = small.examples
    return other(small, examples=(other(first, speaker="s1"), *rest))


def other_sound(small: TableRequest) -> TableRequest:
    first, *rest = small.examples
    path = first.audio_path.with_name("another.wav")
    write_sound(path, "other", 99)
    return other(small, examples=(other(first, path=path), *rest))


@pytest.mark.parametrize("changed", [other_words, other_speaker, other_sound])
def test_runs_on_other_examples_go_to_different_folders(
    changed: Callable[[TableRequest], TableRequest], small: TableRequest
) -> None:
    assert prepared(changed(small)).context.work != prepared(small).context.work


def test_runs_with_another_transcriber_go_to_different_folders(
    small: TableRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If its transcripts differ; the same transcripts under another name make no difference."""

    class EmptyTranscriber(FakeTranscriber):
        name = "deaf"

        def transcribe(self, clips: Sequence[Clip]) -> list[Transcript]:
            return [Transcript("what") for _ in clips]

    class Renamed(FakeTranscriber):
        name = "renamed"

    known = {"fake": FakeTranscriber(), "deaf": EmptyTranscriber(), "renamed": Renamed()}
    monkeypatch.setattr("emostream.training.experiments.prepare_table.load_transcriber", known.get)
    request = with_rows(small, "baseline", data=DataSettings(text_source="recognized", cache_features=True))
    places = {asr: prepared(other(request, asr=asr, work=tmp_path)).context.work for asr in known}
    assert places["fake"] == places["renamed"] != places["deaf"]
