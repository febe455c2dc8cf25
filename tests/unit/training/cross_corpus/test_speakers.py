"""One corpus in folds of its speakers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from emostream.models.baseline import BaselineSettings
from emostream.models.emotion import EmotionModel
from emostream.training.cross_corpus import held_out, speakers, streams
from emostream.training.cross_corpus.choice import Choice
from emostream.training.cross_corpus.clips import NEUTRAL, NOISE, ORDINARY, SpeechClip, load_clips
from emostream.training.cross_corpus.folds import RecipeContext
from emostream.training.cross_corpus.projected import ProjectedClips
from emostream.training.cross_corpus.settings import CrossCorpusSettings
from emostream.training.cross_corpus.speakers import leave_speakers_out, speaker_folds
from emostream.training.cross_corpus.states import StateCache, Views, write_states
from emostream.training.errors import SettingsError
from emostream.training.run_log import RunLog
from tests.support.speech_collection import tiny_whisper_config, tiny_whisper_encoder, write_collection
from tests.support.tiny_emotion import tiny_model

OFFSET = 0.1


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[SpeechClip]:
    """RAVDESS's four speakers in two groups."""
    data = write_collection(tmp_path_factory.mktemp("data"), ("ravdess", "nemo"), clips=1)
    return [
        replace(clip, example=replace(clip.example, group=str(int(clip.speaker[-1]) % 2)))
        if clip.corpus == "ravdess"
        else clip
        for clip in load_clips(data)
    ]


@pytest.fixture(scope="module")
def context(clips: list[SpeechClip], tmp_path_factory: pytest.TempPathFactory) -> RecipeContext:
    folder, encoder = tmp_path_factory.mktemp("states"), tiny_whisper_encoder()
    corpora = {clip.corpus for clip in clips}
    for corpus in corpora:
        part = [clip for clip in clips if clip.corpus == corpus]
        write_states(part, encoder, folder, corpus, None, lambda done, total: None)
    views = Views(({corpus: StateCache(folder, corpus) for corpus in corpora},), (2, 3))
    return RecipeContext(
        CrossCorpusSettings(name="tiny"), clips, views, model(0), folder, RunLog(folder / "log.txt")
    )


def model(seed: int) -> EmotionModel:
    return tiny_model(
        seed=seed,
        audio_config=tiny_whisper_config(),
        audio_mix="concat",
        audio_mix_layers=[2, 3],
        baseline=BaselineSettings(4.0).fields(),
    )


def test_no_speaker_is_in_two_parts_of_a_fold(clips: list[SpeechClip]) -> None:
    folds = speaker_folds(clips, "ravdess")
    assert [fold.name for fold in folds] == ["0", "1"]
    tested = [clip.key for fold in folds for clip in fold.test]
    assert sorted(tested) == sorted(clip.key for clip in clips if clip.corpus == "ravdess")
    for fold in folds:
        parts = [{clip.speaker for clip in part} for part in (fold.train, fold.validation, fold.test)]
        assert not parts[0] & parts[1]
        assert not parts[2] & (parts[0] | parts[1])
        assert {clip.corpus for clip in fold.train} == {"ravdess", "nemo", ORDINARY}
        assert {clip.split for clip in fold.train if clip.corpus != "ravdess"} == {"train"}
        assert {(clip.corpus, clip.split) for clip in fold.validation} == {("nemo", "dev"), (ORDINARY, "dev")}


def test_the_pooled_figures_are_those_of_all_clips(
    context: RecipeContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Against mean recall, computed from the logits of each fold's model."""
    fitted: list[tuple[EmotionModel, set[str]]] = []

    def fake_fit(
        context: RecipeContext, name: str, train: Sequence[SpeechClip], validation: Sequence[SpeechClip]
    ) -> EmotionModel:
        fitted.append((model(seed=len(fitted) + 1), {clip.speaker for clip in train}))
        return fitted[-1][0]

    monkeypatch.setattr(speakers, "fit_head", fake_fit)
    monkeypatch.setattr(held_out, "STREAM_UTTERANCES", 8)
    monkeypatch.setattr(streams, "STREAM_UTTERANCES", 8)
    report = leave_speakers_out(context, "ravdess", Choice(OFFSET, BaselineSettings(5.0)))
    hits: dict[int, list[bool]] = {}
    for name, (one, trained) in zip(("0", "1"), fitted, strict=True):
        test = [c for c in context.clips if c.corpus == "ravdess" and c.example.group == name]
        assert not trained & {clip.speaker for clip in test}
        logits = ProjectedClips(one, test, context.views).logits(range(len(test)))
        logits /= one.config.temperatures["audio"]
        logits[:, NEUTRAL] -= OFFSET
        for clip, guess in zip(test, logits.argmax(1).tolist(), strict=True):
            hits.setdefault(clip.label, []).append(guess == clip.label)
    row = next(row for fold, row in report.rows if (fold, row.condition) == ("all", "cold"))
    assert row.utterances == 16
    assert row.speakers == 4
    assert row.ua == pytest.approx(np.mean([np.mean(of_label) for of_label in hits.values()]))
    assert [(name, row.condition) for name, row in report.rows] == [
        (name, condition) for name in ("0", "1", "all") for condition in ("cold", "balanced")
    ]


def test_the_report_is_a_table_and_a_file(
    context: RecipeContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(speakers, "fit_head", lambda *_: model(1))
    monkeypatch.setattr(held_out, "STREAM_UTTERANCES", 8)
    monkeypatch.setattr(streams, "STREAM_UTTERANCES", 8)
    report = leave_speakers_out(context, "ravdess", Choice(0.0, BaselineSettings(5.0)))
    path = report.write(tmp_path / "out")
    assert "| all (4) | cold | 16 |" in path.read_text(encoding="utf-8")
    lines = (tmp_path / "out" / "speakers.csv").read_text(encoding="utf-8").splitlines()
    assert lines[0].startswith("fold,corpus,condition,")
    assert len(lines) == 1 + 6


@pytest.mark.parametrize("corpus", ["nemo", NOISE, "unknown"])
def test_a_corpus_without_folds_is_one_line(clips: list[SpeechClip], corpus: str) -> None:
    with pytest.raises(SettingsError, match=f"expected a corpus with folds of its own, got {corpus}"):
        speaker_folds(clips, corpus)
