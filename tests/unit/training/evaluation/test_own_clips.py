"""`evaluate PLACE`: figures, files and the page, of clips of one's own."""

from __future__ import annotations

import base64
import csv
import io
import json
import re
import wave
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, f1_score

from emostream.models import LABELS, Prediction
from emostream.training.__main__ import main
from emostream.training.corpora.example import CorpusError, Example
from emostream.training.corpora.places import read_places
from emostream.training.data.audio_cache import AudioCache
from emostream.training.evaluation.own_clips import EvaluatedClip, OwnEvaluation, evaluate_clips
from emostream.training.evaluation.own_page import write_page
from tests.support.corpus_trees import write_sound
from tests.support.tiny_emotion import write_tiny


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def clip(
    number: int, truth: str, predicted: str, confidence: float, error: float | None = None
) -> EvaluatedClip:
    rest = (1 - confidence) / 3
    shares = tuple(confidence if label == predicted else rest for label in LABELS)
    prediction = Prediction(
        label=predicted,
        confidence=confidence,
        probabilities=shares,
        audio_only=shares,
        text_only=None,
        uncertain=(),
        reliable=confidence > 0.5,
        error_probability=error,
    )
    example = Example(
        corpus="c",
        key=f"<{number}>.wav",
        emotion=truth,
        emotion_orig=truth,
        path=Path(f"{number}.wav"),
        speaker=f"s{number % 6}",
    )
    return EvaluatedClip(example, truth, prediction, "some <words>", 1.0)


def evaluation(clips: list[EvaluatedClip]) -> OwnEvaluation:
    samples = (1000 * np.sin(np.arange(1600 * len(clips)))).astype(np.int16)
    spans = {each.example.key: (1600 * n, 1600 * (n + 1)) for n, each in enumerate(clips)}
    return OwnEvaluation("tiny", LABELS, tuple(clips), AudioCache(samples, spans), 2)


SOME = [
    clip(number, LABELS[number % 4], LABELS[(number + (number % 3 == 0)) % 4], 0.4 + 0.02 * number)
    for number in range(24)
]


def test_the_figures_are_those_of_scikit_learn() -> None:
    found = evaluation(SOME)
    truth, predicted = [each.truth for each in SOME], [each.prediction.label for each in SOME]
    estimates = found.estimates()
    assert estimates["ua"].value == pytest.approx(balanced_accuracy_score(truth, predicted))
    assert estimates["macro_f1"].value == pytest.approx(f1_score(truth, predicted, average="macro"))
    assert (estimates["ua"].unit_kind, estimates["ua"].unit_count) == ("speakers", 6)


@pytest.mark.parametrize("errors", [True, False])
def test_risk_by_coverage_is_that_of_a_loop(errors: bool) -> None:
    clips = [
        clip(n, "sad", "sad" if n % 3 else "angry", 0.5 + (n % 4) / 10, 0.1 * (n % 5) if errors else None)
        for n in range(20)
    ]
    coverage, risk = evaluation(clips).risk_by_coverage()
    doubts: list[float] = []
    for each in clips:
        error = each.prediction.error_probability
        doubts.append(1 - each.prediction.confidence if error is None else error)
    expected: list[tuple[float, float]] = []
    for threshold in sorted(set(doubts)):
        answered = [each for each, doubt in zip(clips, doubts, strict=True) if doubt <= threshold]
        expected.append((len(answered) / 20, float(np.mean([each.wrong for each in answered]))))
    np.testing.assert_allclose(np.stack([coverage, risk], 1), expected)


def test_the_worst_clips_are_wrong_and_surest_first() -> None:
    worst = evaluation(SOME).worst(4)
    assert all(each.wrong for each in worst)
    assert [each.prediction.confidence for each in worst] == sorted(
        (each.prediction.confidence for each in SOME if each.wrong), reverse=True
    )[:4]


def test_the_page_is_whole_plays_the_worst_and_loads_nothing(tmp_path: Path) -> None:
    file = write_page(evaluation(SOME), tmp_path / "report.html")
    text, tags = file.read_text(encoding="utf-8"), Tags()
    tags.feed(text)
    for title in (
        "Confusion",
        "Reliability diagram",
        "Risk against coverage",
        "By label",
        "By speaker",
        "Worst clips",
    ):
        assert title in tags.text
    assert "<0>.wav" in tags.text
    assert not re.search(r"https?://|<script", text)
    sounds = [fields["src"] or "" for tag, fields in tags.found if tag == "audio"]
    assert len(sounds) == sum(each.wrong for each in SOME)
    with wave.open(io.BytesIO(base64.b64decode(sounds[0].partition(",")[2]))) as sound:
        assert (sound.getframerate(), sound.getnframes()) == (16_000, 1600)


def test_a_page_without_errors_and_without_speakers_says_so(tmp_path: Path) -> None:
    right = [clip(n, LABELS[n % 4], LABELS[n % 4], 0.9) for n in range(8)]
    nameless = [
        EvaluatedClip(
            Example(corpus="c", key=f"{n}", emotion=each.truth, emotion_orig=each.truth),
            each.truth,
            each.prediction,
            "",
            1.0,
        )
        for n, each in enumerate(right)
    ]
    tags = Tags()
    tags.feed(write_page(evaluation(nameless), tmp_path / "report.html").read_text(encoding="utf-8"))
    assert "None." in tags.text
    assert "By speaker" not in tags.text
    assert "by resampling utterances" in tags.text


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    root = tmp_path / "clips"
    for speaker in range(5):
        for number, label in enumerate(LABELS):
            write_sound(root / f"s{speaker}" / label / "1.wav", label, 10 * speaker + number)
    write_sound(root / "s0" / "disgust" / "1.wav", "sad", 7)
    return root


def test_the_command_writes_page_and_files(
    tmp_path: Path, clips: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, checkpoint = tmp_path / "out", write_tiny(tmp_path / "tiny")
    arguments = ["evaluate", str(clips), "--checkpoint", str(checkpoint), "--output-dir", str(out)]
    assert main([*arguments, "--work", str(tmp_path / "run")]) == 0
    printed = capsys.readouterr().out
    assert printed.splitlines()[-1] == str(out / "report.html")
    assert "20 clips, 0 with words, 1 of other labels left out" in printed
    with (out / "predictions.csv").open() as file:
        rows = list(csv.DictReader(file))
    wa = json.loads((out / "metrics.json").read_text())["estimates"]["wa"]["value"]
    assert wa == pytest.approx(np.mean([row["truth"] == row["predicted"] for row in rows]))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--robustness"], "expected no --robustness and no --split with PLACE"),
        (["--asr", "none"], "expected a transcriber for --asr, got none"),
    ],
)
def test_options_that_do_not_fit_are_one_line(
    tmp_path: Path, clips: Path, options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["evaluate", str(clips), "--checkpoint", str(write_tiny(tmp_path / "tiny"))]
    assert (
        main([*arguments, "--output-dir", str(tmp_path / "out"), "--work", str(tmp_path / "run"), *options])
        == 2
    )
    assert message in capsys.readouterr().err


def test_clips_of_no_known_label_are_an_error(tmp_path: Path) -> None:
    write_sound(tmp_path / "clips" / "fear" / "1.wav", "sad", 1)
    with pytest.raises(CorpusError, match="expected clips with a label out of angry"):
        evaluate_clips(
            write_tiny(tmp_path / "tiny"),
            read_places([tmp_path / "clips"]),
            None,
            tmp_path / "run",
            lambda *_: None,
        )
