"""Corpora behind models that were not trained on them, and what is chosen on which of them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emostream.models.baseline import BaselineSettings
from emostream.models.emotion import EmotionModel
from emostream.training.cross_corpus import held_out, nested, streams
from emostream.training.cross_corpus.choice import Choice
from emostream.training.cross_corpus.clips import NEUTRAL, SpeechClip, load_clips
from emostream.training.cross_corpus.folds import RecipeContext
from emostream.training.cross_corpus.held_out import HeldOut, with_offset
from emostream.training.cross_corpus.nested import Judge, nested_leave_one_out
from emostream.training.cross_corpus.projected import ProjectedClips
from emostream.training.cross_corpus.settings import ChoiceSettings, CrossCorpusSettings
from emostream.training.cross_corpus.states import StateCache, Views, write_states
from emostream.training.cross_corpus.streams import SCORED_FROM, STREAM_UTTERANCES, simulated_streams
from emostream.training.errors import SettingsError
from emostream.training.run_log import RunLog
from tests.support.speech_collection import tiny_whisper_config, tiny_whisper_encoder, write_collection
from tests.support.tiny_emotion import tiny_model

CORPORA = ("ravdess", "nemo", "banglaser")


def model(seed: int = 0) -> EmotionModel:
    return tiny_model(
        seed=seed,
        audio_config=tiny_whisper_config(),
        audio_mix="concat",
        audio_mix_layers=[2, 3],
        baseline=BaselineSettings(4.0).fields(),
    )


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[SpeechClip]:
    return load_clips(write_collection(tmp_path_factory.mktemp("data"), CORPORA, clips=1))


@pytest.fixture(scope="module")
def views(clips: list[SpeechClip], tmp_path_factory: pytest.TempPathFactory) -> Views:
    folder, encoder = tmp_path_factory.mktemp("states"), tiny_whisper_encoder()
    corpora = {clip.corpus for clip in clips}
    for corpus in corpora:
        part = [clip for clip in clips if clip.corpus == corpus]
        write_states(part, encoder, folder, corpus, None, lambda done, total: None)
    return Views(({corpus: StateCache(folder, corpus) for corpus in corpora},), (2, 3))


def of(clips: Sequence[SpeechClip], corpus: str) -> list[SpeechClip]:
    return [clip for clip in clips if clip.corpus == corpus and clip.label >= 0]


def test_an_utterance_is_judged_against_those_before_it(clips: list[SpeechClip], views: Views) -> None:
    part, settings = of(clips, "ravdess"), BaselineSettings(prior_count=3.0)
    evaluated = HeldOut.behind(model(), part, views).stream("balanced", Choice(0.0, settings), 5)
    projected = ProjectedClips(model(), part, views)
    drawn = simulated_streams(part, "ravdess", "balanced")
    chosen = [drawn[row] for row in np.linspace(0, len(drawn) - 1, 5).astype(int)]
    at = 20
    for number, stream in enumerate(chosen):
        shift = projected.voices[stream[:at]].sum(0) / (at + 3.0)
        logits = projected.logits([stream[at]], [(shift, at / (at + 3.0))])
        place = (at - SCORED_FROM + 1) * len(chosen) + number
        np.testing.assert_allclose(evaluated.probabilities[place], with_offset(logits, 0.0)[0], atol=1e-5)
        assert evaluated.history[place] == pytest.approx(at / (at + 3.0))
        assert evaluated.clips[place] == part[stream[at]]
    assert len(evaluated.clips) == 5 * (STREAM_UTTERANCES - SCORED_FROM + 1)


def test_the_offset_is_taken_from_the_log_odds_of_neutral(clips: list[SpeechClip], views: Views) -> None:
    corpus = HeldOut.behind(model(), of(clips, "nemo"), views)
    before, after = (np.log(corpus.cold(offset).probabilities) for offset in (0.0, 0.7))
    odds = [p[:, NEUTRAL] - p[:, 0] for p in (before, after)]
    np.testing.assert_allclose(odds[0] - odds[1], 0.7, atol=1e-9)


def context(clips: Sequence[SpeechClip], views: Views, folder: Path) -> RecipeContext:
    choice = ChoiceSettings(neutral_offsets=(0.0, 0.5), prior_counts=(5.0,), neutral_weights=(0.0,))
    settings = CrossCorpusSettings(name="tiny", choice=choice)
    return RecipeContext(settings, clips, views, model(), folder, RunLog(folder / "log.txt"))


def test_what_is_chosen_for_a_corpus_does_not_depend_on_it(
    clips: list[SpeechClip], views: Views, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without: list[frozenset[str]] = []
    seen: list[list[str]] = []

    def fake_fit(corpora: Collection[str]) -> Judge:
        without.append(frozenset(corpora))
        fitted = model(seed=sum(map(len, corpora)))
        return lambda part: HeldOut.behind(fitted, part, views)

    def recorded(candidates: ChoiceSettings, folds: Sequence[Any]) -> Any:
        seen.append([fold.corpus.corpus for fold in folds])
        return choose(candidates, folds)

    choose = nested._choose
    monkeypatch.setattr(nested, "_choose", recorded)
    monkeypatch.setattr(nested, "STREAMS", ("balanced",))
    monkeypatch.setattr(nested, "_COMPARED_STREAMS", 2)
    monkeypatch.setattr(held_out, "STREAM_UTTERANCES", 8)
    monkeypatch.setattr(streams, "STREAM_UTTERANCES", 8)
    results = nested_leave_one_out(context(clips, views, tmp_path), fake_fit)
    others = {
        name: [other for other in CORPORA if other != name] for name in ("ravdess", "nemo", "banglaser")
    }
    order = [fold.corpus for fold in results.folds]
    assert {name: sorted(chosen_on) for name, chosen_on in zip(order, seen, strict=False)} == {
        name: sorted(rest) for name, rest in others.items()
    }
    assert seen[-1] == order
    assert without[:3] == [frozenset({name}) for name in order]
    assert without[3:] == [frozenset({name, other}) for name in order for other in order if other != name]
    for fold in results.folds:
        assert {part.corpus for part in fold.inner} & set(CORPORA) == set(others[fold.corpus])
        assert {part.corpus for part in fold.outer} & set(CORPORA) == {fold.corpus}
        keys = [{clip.key for part in parts for clip in part.clips} for parts in (fold.inner, fold.outer)]
        assert not keys[0] & keys[1]


def test_two_corpora_are_not_enough(clips: list[SpeechClip], views: Views, tmp_path: Path) -> None:
    part = [clip for clip in clips if clip.corpus != "banglaser"]
    with pytest.raises(SettingsError, match=r"expected three or more of .* got ravdess, nemo"):
        nested_leave_one_out(context(part, views, tmp_path), lambda corpora: pytest.fail("nothing to fit"))
