"""`python -m emostream.training`: its output and files, and one line for every error."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import soundfile
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator  # type: ignore[import-untyped]

from emostream.models import LABELS, Clip, Transcript, load_recognizer
from emostream.models.checkpoint import load_checkpoint
from emostream.training.__main__ import main
from emostream.training.cli.options import RUNS, disjoint_units, read_corpora
from emostream.training.data.audio_cache import read_clip
from tests.support.corpus_trees import RATE_HZ, iemocap_tree, write_lines, write_sound
from tests.support.fakes import FakeTranscriber
from tests.support.text_trees import meld_tree
from tests.support.tiny_emotion import SENTENCES, noise
from tests.support.training_task import fresh_accelerator, one_thread


@pytest.fixture(autouse=True)
def _one_thread_and_no_accelerator() -> Iterator[None]:
    with one_thread(), fresh_accelerator():
        yield


HEADER = "path,text,emotion,speaker,dialogue,split,group"


@dataclass
class Corpus:
    """A manifest of tones, and commands on it. Six speakers, two per group, with four utterances each."""

    root: Path
    hub: Path

    def __post_init__(self) -> None:
        self.rows = [
            [f"{speaker}-{emotion}.wav", words, emotion, f"s{speaker}", "", "", f"{speaker // 2}"]
            for speaker in range(6)
            for emotion, words in zip(LABELS, SENTENCES, strict=True)
        ]
        for number, (name, _, emotion, *_rest) in enumerate(self.rows):
            write_sound(self.root / name, emotion, number)
        self.write()
        self.configure()

    def write(self) -> None:
        write_lines(self.root / "manifest.csv", [HEADER, *(",".join(row) for row in self.rows)])

    def configure(
        self, top: Mapping[str, object] | None = None, text_source: str = "gold", **trainer: object
    ) -> None:
        chosen = {"epochs": 2, "batch": 8} | trainer
        sections: dict[str, dict[str, object]] = {
            "": {"seeds": [1, 2]} | dict(top or {}),
            "[model]": {
                "audio": str(self.hub / "wav2vec2"),
                "text": str(self.hub / "bert"),
                "audio_frozen": "all",
                "text_frozen": "all",
                "width": 16,
                "heads": 2,
                "feed_forward": 16,
                "layers": 1,
            },
            "[data]": {"text_source": text_source},
            "[trainer]": chosen,
            "[continued]": chosen,
        }
        lines = [
            line
            for section, fields in sections.items()
            for line in (section, *(f"{name} = {json.dumps(value)}" for name, value in fields.items()))
        ]
        write_lines(self.root / "tiny.toml", lines)

    @property
    def work(self) -> Path:
        return self.root / "work"

    def run(self, command: str, *options: str, corpus: str = "manifest", data: Path | None = None) -> int:
        """Runs a command with its required options. `options` come last and override these."""
        arguments = ["--corpus", corpus, "--data", str(data or self.root), "--work", str(self.work)]
        if command != "prepare":
            arguments += [
                "--config",
                str(self.root / "tiny.toml"),
                "--output-dir",
                str(self.root / "out"),
                "--cpu",
            ]
        return main([*command.split(), *arguments, *options])

    def fits(self) -> list[Path]:
        return [folder for folder in self.root.rglob("fits") if folder.is_dir()]


@pytest.fixture
def tones(tmp_path: Path, published: Path) -> Corpus:
    return Corpus(tmp_path, published)


def error_line(capsys: pytest.CaptureFixture[str]) -> str:
    """The one line on stderr, apart from transformers' progress bars of loaded files."""
    lines = [line for line in capsys.readouterr().err.splitlines() if "Loading weights" not in line]
    [line] = [line for line in lines if line.strip()]
    assert line.startswith("error: ")
    return line.removeprefix("error: ")


# What is wrong with a corpus


def leaking_speaker(tones: Corpus) -> str:
    for number, row in enumerate(tones.rows):
        row[5] = ("train", "dev", "test")[number // 8]
    tones.rows[0][5] = "test"
    tones.write()
    return "speaker s0 is in test and in train: expected speaker-disjoint splits, fix the manifest"


def leaking_dialogue(tones: Corpus) -> str:
    for number, row in enumerate(tones.rows):
        row[5] = ("train", "dev", "test")[number // 8]
    tones.rows[7][4] = tones.rows[8][4] = "kitchen"
    tones.write()
    return "dialogue kitchen is in train and in dev: expected dialogue-disjoint splits"


def unknown_label(tones: Corpus) -> str:
    tones.rows[5][2] = "hangry"
    tones.write()
    return f"{tones.root / 'manifest.csv'}:7: expected "


def missing_audio(tones: Corpus) -> str:
    (tones.root / tones.rows[3][0]).unlink()
    return f"expected a file for each path of {tones.root / 'manifest.csv'}"


def not_a_number(tones: Corpus) -> str:
    samples = noise(RATE_HZ)
    samples[100] = np.nan
    soundfile.write(tones.root / tones.rows[2][0], samples, RATE_HZ, subtype="FLOAT")
    return f"1 of 24 audio files cannot be used: {tones.root / tones.rows[2][0]} (holds NaN)"


FAULTS = (leaking_speaker, leaking_dialogue, unknown_label, missing_audio, not_a_number)
COMMANDS = ("prepare", "fit", "table folds", "table papers")


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_an_error_of_the_corpus_is_one_line_before_any_step(
    fault: Callable[[Corpus], str],
    command: str,
    tones: Corpus,
    capsys: pytest.CaptureFixture[str],
) -> None:
    message = fault(tones)
    assert tones.run(command) == 2
    assert error_line(capsys).startswith(message)
    assert tones.fits() == []


@pytest.mark.parametrize("command", COMMANDS)
def test_a_missing_session(command: str, tones: Corpus, capsys: pytest.CaptureFixture[str]) -> None:
    release = iemocap_tree(tones.root / "IEMOCAP", per_speaker=1, others=0)
    (release / "Session3").rename(tones.root / "elsewhere")
    assert tones.run(command, "--part", corpus="iemocap", data=release) == 2
    assert "Session3" in error_line(capsys)
    assert tones.fits() == []


def test_a_part_of_iemocap_is_refused_without_the_option(
    tones: Corpus, capsys: pytest.CaptureFixture[str]
) -> None:
    release = iemocap_tree(tones.root / "IEMOCAP", per_speaker=4, others=0)
    assert tones.run("prepare", corpus="iemocap", data=release) == 2
    assert error_line(capsys).startswith("expected angry 1,103, happy 1,636, neutral 1,708, sad 1,084 utter")
    assert tones.run("prepare", "--part", corpus="iemocap", data=release) == 0


# What is wrong with a command


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--corpus", "ravdess"], "expected as many --data as --corpus, got 1 and 2: name them in pairs"),
        (
            ["--corpus", "manifest", "--data", "{root}"],
            "expected every utterance once, got 0-angry.wav twice",
        ),
        (["--corpus", "iemo", "--data", "{root}"], "expected a corpus out of iemocap, meld, "),
        (["--config", "paper"], "expected a TOML file or one of papers, papers-acted"),
        (["--config", "{root}/none.toml"], "expected a TOML file of an experiment at {root}/none.toml"),
        (["--config", "bundled"], "{runs}/bundled.toml: Expected `int` >= 1 - at `$.data.views`"),
        (["--audio", "{root}"], "expected {root}/config.json, found none"),
        (["--fold", "7"], "expected --fold to be one of 0, 1, 2, got 7"),
        (["--output-dir", "{root}/manifest.csv"], "expected"),
    ],
)
def test_invalid_options(
    arguments: list[str], message: str, tones: Corpus, capsys: pytest.CaptureFixture[str]
) -> None:
    names = {"root": tones.root, "runs": RUNS}
    assert tones.run("fit", *(argument.format(**names) for argument in arguments)) == 2
    assert error_line(capsys).startswith(message.format(**names))
    assert tones.fits() == []


def test_recognized_words_need_a_transcriber(tones: Corpus, capsys: pytest.CaptureFixture[str]) -> None:
    tones.configure(text_source="recognized")
    assert tones.run("fit", "--asr", "none") == 2
    assert error_line(capsys).startswith(
        "expected a transcriber for `text_source = recognized`, got none for --asr none"
    )
    assert tones.run("prepare", "--transcribe", "--asr", "none") == 2
    assert error_line(capsys).startswith("expected a transcriber to transcribe with, got none for --asr none")
    assert tones.fits() == []


def test_a_diverging_training_is_one_line(tones: Corpus, capsys: pytest.CaptureFixture[str]) -> None:
    """Not bad input, but a training that failed: exit code 1."""
    tones.configure(learning_rate=1e30, epochs=20, warmup=0.0, clip_norm=1e30)
    assert tones.run("fit") == 1
    assert re.match(r"expected a finite loss, got nan in epoch \d+, step \d+: lower", error_line(capsys))


# What a command does


class InterruptedTranscriber(FakeTranscriber):
    """Raises KeyboardInterrupt in its second batch."""

    batch_size = 10

    def transcribe(self, clips: Sequence[Clip]) -> list[Transcript]:
        if self.batches:
            raise KeyboardInterrupt
        return super().transcribe(clips)


class CompleteTranscriber(FakeTranscriber):
    batch_size = 10


@pytest.fixture
def transcribers(monkeypatch: pytest.MonkeyPatch) -> list[FakeTranscriber]:
    """The transcribers that are loaded, in order."""
    waiting: list[FakeTranscriber] = []
    for module in ("cli.prepare", "experiments.prepare_table"):
        monkeypatch.setattr(f"emostream.training.{module}.load_transcriber", lambda name: waiting.pop(0))
    return waiting


def test_prepare_reports_the_contents(tones: Corpus, capsys: pytest.CaptureFixture[str]) -> None:
    tones.rows[0][2] = "fear"
    tones.write()
    assert tones.run("prepare") == 0
    printed = capsys.readouterr().out
    assert printed.splitlines()[:3] == [
        "| corpus | split | utterances | speakers | dialogues | angry | happy | neutral | other | sad |",
        "|---|---|---:|---:|---:|---:|---:|---:|---:|---:|",
        "| manifest | all | 24 | 6 | 0 | 5 | 6 | 6 | 1 | 6 |",
    ]
    assert "| manifest | 24 | 0.00 | 0.60 | 0.60 | 0.60 |" in printed


def test_prepare_transcribes_once(
    tones: Corpus, transcribers: list[FakeTranscriber], capsys: pytest.CaptureFixture[str]
) -> None:
    transcribers += [first := CompleteTranscriber(), again := CompleteTranscriber()]
    assert tones.run("prepare", "--transcribe") == 0
    printed = capsys.readouterr().out
    assert "Transcripts by fake words compared with the gold words:" in printed
    assert "| manifest | all | 24 | " in printed
    assert re.search(r"\| manifest \| sad \| 6 \|( \d+\.\d % \|){4} 0\.0 % \| 0\.0 % \|", printed)
    assert "| simulated (`text_noise`) | all | |" in printed  # beside it, what training does to words
    assert first.batches == [10, 10, 4]
    assert tones.run("prepare", "--transcribe") == 0
    assert capsys.readouterr().out == printed
    assert again.batches == []


def test_an_interrupted_command_resumes(
    tones: Corpus, transcribers: list[FakeTranscriber], capsys: pytest.CaptureFixture[str]
) -> None:
    transcribers += [InterruptedTranscriber(), second := CompleteTranscriber()]
    assert tones.run("prepare", "--transcribe") == 130
    assert capsys.readouterr().err.splitlines()[-1] == "interrupted: run the same command to resume"
    assert tones.run("prepare", "--transcribe") == 0
    assert second.batches == [10, 4]


def test_fit_reads_the_transcripts_of_prepare(tones: Corpus, transcribers: list[FakeTranscriber]) -> None:
    tones.configure(text_source="recognized")
    transcribers += [CompleteTranscriber(), later := CompleteTranscriber()]
    assert tones.run("prepare", "--transcribe") == 0
    assert tones.run("fit") == 0
    assert later.batches == []


def test_text_only_needs_no_audio(tones: Corpus, capsys: pytest.CaptureFixture[str]) -> None:
    for row in tones.rows:
        row[0] = ""
    tones.write()
    assert tones.run("prepare", "--transcribe") == 0
    assert "hours" not in capsys.readouterr().out
    assert not tones.work.exists()


def served(tones: Corpus, group: str) -> tuple[float, float]:
    """Accuracy and negative log-likelihood on a group, by the recognizer that reads the checkpoint."""
    rows = [row for row in tones.rows if row[6] == group]
    clips = [Clip(read_clip(tones.root / row[0])) for row in rows]
    words = [Transcript(row[1], "en") for row in rows]
    recognizer = load_recognizer(tones.root / "out", device="cpu", dtype="float32")
    found = recognizer.fuse(recognizer.encode(clips), words, recognizer.align(clips, words))
    right = [one.label == row[2] for one, row in zip(found, rows, strict=True)]
    shares = [one.probabilities[LABELS.index(row[2])] for one, row in zip(found, rows, strict=True)]
    return float(np.mean(right)), float(-np.log(shares).mean())


def test_fit_writes_a_checkpoint_and_its_metrics(tones: Corpus, capsys: pytest.CaptureFixture[str]) -> None:
    """The metrics on its card are those of the recognizer that loads it."""
    tones.configure(epochs=6, learning_rate=0.01)
    assert tones.run("fit", "--fold", "1", "--seed", "2") == 0
    printed = capsys.readouterr().out
    card = (tones.root / "out" / "README.md").read_text()
    wa, ua, _, _, nll, _ = (float(cell) for cell in re.findall(r"\| (\d\.\d{3}) (?=\|)", card))
    assert f"test (1, 8 utterances): WA {100 * wa:.1f}, UA {100 * ua:.1f} (chance 25.0)" in printed
    assert printed.rstrip().endswith(str(tones.root / "out"))
    assert served(tones, "1") == pytest.approx((wa, nll), abs=2e-3)
    assert "# tiny\n" in card
    text = " ".join(card.split())
    assert "Trained on manifest: 12 utterances; 4 others for early stopping and calibration; 8 others" in text
    assert "(`1`) for testing, once. No speaker is in two of the three parts." in text
    assert "angry, happy, sad, neutral" in card
    assert "Inflated" not in card
    assert '"learning_rate": 0.01' in card


def test_a_card_mentions_unknown_speakers(tones: Corpus) -> None:
    for row in tones.rows:
        row[3] = ""
    tones.write()
    assert tones.run("fit") == 0
    card = (tones.root / "out" / "README.md").read_text()
    assert "**Not every speaker is known**" in card
    assert "No speaker is in two" not in card


def test_its_probabilities_are_calibrated_for_missing_modalities(tones: Corpus) -> None:
    assert tones.run("fit") == 0
    config = load_checkpoint(tones.root / "out").model.config
    assert all(temperature != 1.0 for temperature in config.temperatures.values())


def test_another_seed_is_another_model_and_the_same_one_resumes(tones: Corpus) -> None:
    weights = []
    for seed in ("1", "2", "1"):
        assert tones.run("fit", "--seed", seed) == 0
        weights.append((tones.root / "out" / "model.safetensors").read_bytes())
    assert weights[0] == weights[2] != weights[1]


def test_fit_writes_its_curves(tones: Corpus) -> None:
    assert tones.run("fit", "--tensorboard") == 0
    [board] = (tones.work / "tensorboard").rglob("events.*")
    curves = EventAccumulator(str(board.parent))
    curves.Reload()
    tags = set(curves.Tags()["scalars"])
    assert {"train/loss", "train/cross_entropy", "train/learning rate", "validation/ua"} <= tags
    assert [point.step for point in curves.Scalars("train/loss")] == [0, 1, 2, 3]  # 12 or 16 in 8s, twice
    assert [point.step for point in curves.Scalars("validation/ua")] == [1, 3]


def test_other_encoders_replace_the_configured_ones(tones: Corpus) -> None:
    options = ["--audio", str(tones.hub / "hubert"), "--text", str(tones.hub / "distilbert")]
    assert tones.run("fit", *options) == 0
    config = load_checkpoint(tones.root / "out").model.config
    assert (config.audio_config.model_type, config.text_config.model_type) == ("hubert", "distilbert")
    card = (tones.root / "out" / "README.md").read_text()
    assert f"Encoders: {tones.hub / 'hubert'}, {tones.hub / 'distilbert'}." in card


def test_the_name_of_a_run_is_not_a_folder_of_that_name(
    tones: Corpus, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tones.root / "papers").mkdir()
    monkeypatch.chdir(tones.root)
    assert tones.run("fit", "--config", "papers", "--asr", "none", "--audio", str(tones.root)) == 2
    # The run was read: its validation is by dialogues, which this corpus does not have.
    assert "validation by dialogues" in error_line(capsys)


def test_table_folds_is_one_experiment_over_its_folds_and_seeds(
    tones: Corpus, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tones.run("table folds") == 0
    printed = capsys.readouterr().out
    assert printed.startswith("# tiny on manifest\n")
    assert "| seeds | 1, 2 |" in printed
    assert "left out in turn; 3 folds |" in printed
    assert re.search(r"\| tiny \|.*\| 6 \|", printed)
    assert printed.rstrip().endswith(str(tones.root / "out" / "table.md"))


def write_texts(root: Path) -> None:
    """What `label-matched` reads beside the clips: lines of every label, each in a dialogue of its own."""
    lines = ["corpus,split,text,emotion,emotion_orig,dialogue_id,in_meld_devtest"]
    for number in range(40):
        label = LABELS[number % 4]
        lines.append(f"meld,train,line {number} of a film,{label},{label},{number},0")
    (root / "text.csv.gz").write_bytes(gzip.compress("\n".join(lines).encode()))


def split_by_speaker(tones: Corpus) -> None:
    """Two each for train, dev and test: a single fold, so that a whole table is quick."""
    for row in tones.rows:
        row[5] = ("train", "dev", "test")[int(row[6])]
    tones.write()


ONE_FOLD = {"protocol": "split", "seeds": [1], "alphas": [0.5]}


def test_a_table_of_pairs_warns_and_names_what_was_not_run(tones: Corpus) -> None:
    split_by_speaker(tones)
    write_texts(tones.root)
    tones.configure(ONE_FOLD)
    assert tones.run("table papers", corpus="label-matched") == 0
    table = (tones.root / "out" / "table.md").read_text()
    assert table.count("**Inflated figures.** The texts are label-matched pairs") == 4  # beside all figures
    assert "the corpus's own train, dev and test; 1 fold |" in table
    not_run = table.split("## Not run: IEMOCAP, 4 classes")[1]
    assert "| +1.44 points | +1.53 points | not run | Qian and Han, arXiv 2211.10885 |" in not_run
    assert "--corpus iemocap --data DIR" in not_run
    assert "gold transcripts" not in table
    assert tones.run("fit", corpus="label-matched") == 0
    assert "**Inflated**" in (tones.root / "out" / "README.md").read_text()


def test_recognized_words_are_compared_with_gold_ones(
    tones: Corpus, transcribers: list[FakeTranscriber]
) -> None:
    split_by_speaker(tones)
    tones.configure(ONE_FOLD, text_source="recognized")
    transcribers.append(CompleteTranscriber())
    assert tones.run("table papers") == 0
    table = (tones.root / "out" / "table.md").read_text()
    assert re.search(r"\| gold transcripts \| baseline \| [+\N{MINUS SIGN}]", table)


def test_recurring_characters_are_split_by_dialogues(tones: Corpus) -> None:
    """If alone; with other corpora, whose speakers count, they have no names."""
    meld_tree(tones.root / "MELD")
    assert disjoint_units(["meld", "emorynlp"]) == ("dialogue",)
    [*friends] = read_corpora(["meld"], [tones.root / "MELD"], part=False)
    assert "" not in {example.speaker for example in friends}
    assert disjoint_units(["manifest", "meld"]) == ("speaker", "dialogue")
    mixed = read_corpora(["manifest", "meld"], [tones.root, tones.root / "MELD"], part=False)
    assert len(mixed) == 24 + len(friends)
    assert {example.speaker for example in mixed if example.corpus == "meld"} == {""}
