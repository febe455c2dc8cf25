"""`emostream align`: the times of words, syllables and phones as lines, as JSON and as a figure."""

from __future__ import annotations

import json
import shutil
import struct
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import soundfile

from emostream.models import SAMPLE_RATE_HZ, Alignment, Clip, Span, Transcript, Word
from emostream.models.alignment.forced import ForcedAligner
from emostream.streamer.errors import ConfigError
from emostream.streamer.optional_deps import require_matplotlib
from emostream.streamer.output.alignment_figure import alignment_figure, fit_label, write_png
from tests.support.programs import SMALL_MODEL, run
from tests.support.synthesis import Spoken, speak

SAID = "The next train leaves at nine - in the morning!"


@pytest.fixture(scope="module")
def train(tmp_path_factory: pytest.TempPathFactory) -> Spoken:
    return speak(SAID, "slt", tmp_path_factory.mktemp("train"))


@pytest.fixture
def recording(train: Spoken, tmp_path: Path) -> str:
    path = tmp_path / "train.flac"
    soundfile.write(path, train.samples, SAMPLE_RATE_HZ)
    return str(path)


def test_one_line_per_word(recording: str) -> None:
    done = run("align", recording, "--text", SAID)
    assert done.returncode == 0, done.stderr
    head, *lines = done.stdout.splitlines()
    assert head.split() == ["start", "end", "word", "syllables", "phones", "(ms)"]
    assert [line.split()[2] for line in lines] == SAID.split()
    start, end, word, syllables, *phones = lines[1].split()
    assert (word, syllables, phones[::2]) == ("next", "N-EH-K-S-T", ["N", "EH", "K", "S", "T"])
    lasting = sum(int(ms) for ms in phones[1::2])
    assert float(end) - float(start) == pytest.approx(lasting / 1000)
    assert lines[6].split()[2:] == ["-"]
    assert len({line.index(word) for line, word in zip(lines, SAID.split(), strict=True)}) == 1


def test_json_output(recording: str, train: Spoken) -> None:
    done = run("align", recording, "--text", SAID, "--format", "json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert (result["file"], result["text"], result["method"]) == (recording, SAID, "forced")
    assert [word["text"] for word in result["words"]] == SAID.split()
    assert [phone["text"] for phone in result["phones"][:3]] == ["DH", "AH", "N"]
    assert "-".join(phone["text"] for phone in result["phones"][2:7]) == result["syllables"][1]["text"]
    true_ms = next(phone.start for phone in train.phones if phone.text == "N") / 16
    assert abs(result["words"][1]["start_ms"] - true_ms) <= 60


def test_the_transcript_is_used_by_default(recording: str) -> None:
    done = run("align", recording, "--asr", "pocketsphinx", "--format", "json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert {"train", "morning"} & set(result["text"].split())
    assert [word["text"] for word in result["words"]] == result["text"].split()


def test_an_empty_transcript_is_no_error(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "silence.wav", np.zeros(16_000, np.float32), SAMPLE_RATE_HZ)
    done = run(
        "align", str(tmp_path / "silence.wav"), "--asr", "pocketsphinx", "--png", str(tmp_path / "s.png")
    )
    assert (done.returncode, done.stdout) == (0, "")
    assert "no words" in done.stderr
    assert (tmp_path / "s.png").stat().st_size > 0


def test_words_in_another_language_have_their_method(recording: str) -> None:
    done = run("align", recording, "--text", "dobry wieczór", "--language", "pl")
    assert done.returncode == 0, done.stderr
    assert [line.split()[2:] for line in done.stdout.splitlines()[1:]] == [["dobry"], ["wieczór"]]
    assert "even split" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{tmp}/long.wav", "--text", "hello"], "at most 28 s, got 29.0 s"),
        (["{tmp}/nowhere.wav", "--text", "hello"], "no such file"),
        (["{tmp}/short.wav", "--text", "  "], "--text to have words"),
        (["{tmp}/short.wav", "--asr", "none"], "--asr none"),
        (["{tmp}/short.wav", "--text", "hello", "--png", "{tmp}/short.wav"], "ends in .png"),
        (
            ["{tmp}/short.wav", "--text", "hello", "--png", "{tmp}/nowhere/a.png"],
            "No such file or directory; choose another --png",
        ),
        # Checked before the recording is opened.
        (["{tmp}/nowhere.wav", "--text", "hello", "--png", "{tmp}/folder.png"], "Is a directory"),
        (
            ["{tmp}/nowhere.wav", "--text", "hello", "--png", "/proc/a.png"],
            "expected to write to /proc/a.png",
        ),
        (["{tmp}/short.wav", "--text", "h\udcffi"], "--text in UTF-8, got 'h\ufffdi'"),
    ],
    ids=[
        "too long",
        "missing",
        "no text",
        "no transcriber",
        "not a picture",
        "no such folder",
        "a folder for a picture",
        "nowhere to write",
        "not UTF-8",
    ],
)
def test_bad_input_is_reported_in_one_line_with_exit_code_2(
    tmp_path: Path, arguments: list[str], message: str
) -> None:
    soundfile.write(tmp_path / "long.wav", np.zeros(29 * 16_000, np.float32), SAMPLE_RATE_HZ)
    soundfile.write(tmp_path / "short.wav", np.zeros(1_600, np.float32), SAMPLE_RATE_HZ)
    (tmp_path / "folder.png").mkdir()
    done = run("align", *(argument.replace("{tmp}", str(tmp_path)) for argument in arguments))
    errors = [line for line in done.stderr.splitlines() if line.startswith("emostream: ")]
    assert (done.returncode, done.stdout, len(errors)) == (2, "", 1), done.stderr
    assert message in errors[0]
    assert "expected" in errors[0]


def test_checking_the_figure_path_leaves_no_file(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    there, new = tmp_path / "there.png", tmp_path / "new.png"
    there.write_bytes(b"mine")
    for png in (there, new):
        assert run("align", str(tmp_path / "no.wav"), "--text", "hello", "--png", str(png)).returncode == 2
    assert there.read_bytes() == b"mine"
    assert not new.exists()


def test_a_name_that_is_not_utf8_is_shown_with_replacement_characters(recording: str, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    odd = odd_copy(recording)
    png = tmp_path / "odd.png"
    done = run("align", str(odd), "--text", SAID, "--format", "json", "--png", str(png))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["file"] == str(tmp_path / "tr\ufffdin.flac")
    assert png.stat().st_size > 0


@pytest.mark.parametrize("form", ["jsonl", "text"])
def test_replay_shows_a_name_that_is_not_utf8(recording: str, tmp_path: Path, form: str) -> None:
    odd, missing = odd_copy(recording), str(tmp_path / "n\udcffne.wav")
    done = run("replay", str(odd), recording, missing, *SMALL_MODEL, "--format", form)
    errors = [line for line in done.stderr.splitlines() if line.startswith("emostream: ")]
    assert (done.returncode, len(errors)) == (1, 1), done.stderr
    assert "n\ufffdne.wav, but there is no such file" in errors[0]
    shown = str(tmp_path / "tr\ufffdin.flac")
    first = done.stdout.splitlines()[0]
    assert (json.loads(first)["file"] if form == "jsonl" else first) == shown
    assert f"{shown}: 1 utterance " in done.stderr


def odd_copy(recording: str) -> Path:
    """A copy whose name is not valid UTF-8; skips if the file system rejects such names."""
    odd = Path(recording).with_name("tr\udcffin.flac")
    try:
        shutil.copy(recording, odd)
    except OSError:
        pytest.skip("needs a file system that accepts any bytes in names")
    return odd


def test_help() -> None:
    done = run("align", "--help")
    assert done.returncode == 0
    assert "Usage: emostream align" in done.stdout


def test_without_matplotlib_the_error_names_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ConfigError, match=r"expected matplotlib .* pip install 'emostream\[plot\]'"):
        require_matplotlib("--png")


def test_a_figure_of_an_utterance(recording: str, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    png = tmp_path / "train.png"
    done = run("align", recording, "--text", SAID, "--png", str(png))
    assert done.returncode == 0, done.stderr
    head = png.read_bytes()[:24]
    width, height = struct.unpack(">II", head[16:24])
    assert head.startswith(b"\x89PNG")
    assert width > 1_200
    assert height > 500


def test_every_label_fits_into_its_span(train: Spoken) -> None:
    """Measured by the renderer: no label overlaps its neighbour or its row; almost all are drawn."""
    pytest.importorskip("matplotlib")
    (alignment,) = ForcedAligner().align([Clip(train.samples)], [Transcript("strengths, " + SAID)])
    figure = alignment_figure(train.samples, alignment, "train")
    figure.draw_without_rendering()
    labels = 0
    tiers: list[Sequence[Word | Span]] = [alignment.words, alignment.syllables, alignment.phones]
    for axes, tier in zip(figure.axes[1:], tiers, strict=True):
        row = axes.get_window_extent()
        starts = {axes.transData.transform((span.start / SAMPLE_RATE_HZ, 0))[0]: span for span in tier}
        for text in axes.texts:
            box = text.get_window_extent()
            assert row.y0 <= box.y0 <= box.y1 <= row.y1
            left = max(edge for edge in starts if edge <= (box.x0 + box.x1) / 2)
            span = starts[left]
            right = axes.transData.transform((span.end / SAMPLE_RATE_HZ, 0))[0]
            assert span.text == text.get_text()
            assert left - 1 <= box.x0 <= box.x1 <= right + 1
            labels += 1
    assert labels >= 0.9 * sum(map(len, tiers))


@pytest.mark.parametrize(
    ("text", "room_pt", "rotation"),
    [("morning", 100, 0), ("DH-AH", 15, 90), ("T", 7, 0), ("DH", 6, 90)],
)
def test_narrow_labels_are_rotated(text: str, room_pt: float, rotation: int) -> None:
    fit = fit_label(text, room_pt)
    assert fit is not None
    assert fit[1] == rotation


def test_a_span_without_room_has_no_label() -> None:
    assert fit_label("DH", 1.0) is None


@pytest.mark.parametrize("samples", [0, 1, 100])
def test_odd_texts_and_very_short_audio_can_be_drawn(samples: int, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    alignment = Alignment((Word("$5_{and$6\\", 0, samples),), (Span("^", 0, samples),), ())
    write_png(np.zeros(samples, np.float32), alignment, "$x.wav", tmp_path / "odd.png")
    assert (tmp_path / "odd.png").stat().st_size > 0


def test_glyphs_missing_in_the_font_give_one_note(recording: str, tmp_path: Path) -> None:
    """Runes: few fonts have them, and the words are wide enough to be drawn."""
    pytest.importorskip("matplotlib")
    runes = "\U00016a0a\U00016a0b"
    text = f"{runes} {SAID}"
    done = run("align", recording, "--text", text, "--language", "de", "--png", str(tmp_path / "a.png"))
    assert done.returncode == 0, done.stderr
    notes = [line for line in done.stderr.splitlines() if "glyphs" in line]
    assert notes == [f"the plot's font has no glyphs for: {runes}"]
    assert "Warning" not in done.stderr


def test_other_warnings_of_matplotlib_are_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    figure = pytest.importorskip("matplotlib.figure")

    def warn(*_: object, **__: object) -> None:
        warnings.warn("of another kind", UserWarning, stacklevel=1)

    monkeypatch.setattr(figure.Figure, "savefig", warn)
    with pytest.warns(UserWarning, match="of another kind"):
        assert write_png(np.zeros(100, np.float32), Alignment(), "title", tmp_path / "a.png") == ""
