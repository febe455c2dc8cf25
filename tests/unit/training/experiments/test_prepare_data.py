"""Preparation of the data that all fits share: selection, transcripts, alignments, cached features."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from dataclasses import replace as other
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from msgspec.structs import replace
from transformers import WhisperConfig

from emostream.models import Alignment, Clip, Transcriber, Transcript
from emostream.models.collate import collate_text
from emostream.training.augmentation.settings import AugmentSettings
from emostream.training.corpora.example import CorpusError, Example
from emostream.training.corpora.iemocap import read_iemocap
from emostream.training.corpora.registry import corpus_alignment
from emostream.training.data.alignments import shift_alignment
from emostream.training.data.frozen_features import FrozenFeatures
from emostream.training.emotion.collator import Collator, encode_audio
from emostream.training.emotion.inputs import TrainingInputs
from emostream.training.emotion.model_factory import ModelFactory
from emostream.training.emotion.settings import DataSettings, ModelSettings, TextSource
from emostream.training.experiments.experiment import Experiment
from emostream.training.experiments.prepare_data import PreparationContext, prepare_inputs
from emostream.training.experiments.select_examples import label_indices, select_examples
from tests.support.corpus_trees import RATE_HZ, iemocap_tree, write_sound
from tests.support.fakes import FakeTranscriber
from tests.support.tiny_emotion import SENTENCES, noise, tiny_tokenizer
from tests.support.tiny_encoders import tiny_whisper_config
from tests.support.training_task import even_alignment, network

# Selection


def example(number: int, emotion: str = "sad", corpus: str = "c", **fields: Any) -> Example:
    original = fields.pop("emotion_orig", emotion)
    return Example(corpus=corpus, key=f"{corpus}/{number}", emotion=emotion, emotion_orig=original, **fields)


def keys(examples: Sequence[Example]) -> list[str]:
    return [one.key for one in examples]


MIXED = [
    example(0, "sad", "ravdess", emotion_orig="sad"),
    example(1, "neutral", "ravdess", emotion_orig="calm"),
    example(2, "happy", "nemo", emotion_orig="happiness"),
    example(3, "other", "nemo", emotion_orig="fear"),
    example(4, "sad", "nemo", emotion_orig="sadness"),
]


@pytest.mark.parametrize(
    ("experiment", "kept"),
    [
        (Experiment(labels=("sad", "happy")), "024"),
        (Experiment(labels=("sad", "happy", "other")), "0234"),
        (Experiment(labels=("sad", "happy"), corpora=("nemo",)), "24"),
        (Experiment(labels=("sad", "neutral"), corpora=("ravdess", "nemo")), "014"),
        (Experiment(labels=("sad", "calm"), label_column="emotion_orig"), "01"),
    ],
)
def test_examples_of_the_requested_corpora_and_labels_are_selected(experiment: Experiment, kept: str) -> None:
    assert "".join(key[-1] for key in keys(select_examples(MIXED, experiment))) == kept


def test_labels_are_numbered_in_the_order_of_the_experiment() -> None:
    experiment = Experiment(labels=("calm", "sad"), label_column="emotion_orig")
    chosen = select_examples(MIXED, experiment)
    assert label_indices(chosen, experiment) == {"ravdess/0": 1, "ravdess/1": 0}


@pytest.mark.parametrize(
    ("experiment", "message"),
    [
        (Experiment(corpora=("meld",)), "expected utterances of meld, got none: change corpora"),
        (
            Experiment(labels=("sad", "angry"), corpora=("nemo",)),
            "expected utterances of every label, got none of angry; the corpus has happy, other, sad in its "
            "column emotion: change labels or label",
        ),
        (
            Experiment(labels=("sad", "happy"), label_column="emotion_orig", corpora=("nemo",)),
            "got none of sad, happy; the corpus has fear, happiness, sadness in its column emotion_orig",
        ),
    ],
)
def test_a_selection_without_examples_is_rejected(experiment: Experiment, message: str) -> None:
    with pytest.raises(CorpusError) as caught:
        select_examples(MIXED, experiment)
    assert message in str(caught.value)


def examples_per_cell(per_cell: int, speakers: str = "abc") -> list[Example]:
    cells = [(speaker, emotion) for speaker in speakers for emotion in ("sad", "happy")]
    return [
        example(number, emotion, corpus=f"{speaker}-{emotion}", speaker=speaker)
        for speaker, emotion in cells
        for number in range(per_cell)
    ]


FEW = Experiment(labels=("sad", "happy"), max_per_speaker_label=3)


def test_at_most_max_per_cell_of_each_speaker_and_label() -> None:
    drawn = select_examples(examples_per_cell(9), FEW)
    cells = [(one.speaker, one.emotion) for one in drawn]
    assert {cell: cells.count(cell) for cell in cells} == {
        (speaker, emotion): 3 for speaker in "abc" for emotion in ("sad", "happy")
    }
    assert drawn == [one for one in examples_per_cell(9) if one in drawn]  # in their order
    assert drawn != [one for one in examples_per_cell(9) if int(one.key[-1]) < 3]  # not the first ones
    assert select_examples(examples_per_cell(2), FEW) == examples_per_cell(2)


def test_the_draw_of_a_cell_does_not_depend_on_other_cells() -> None:
    drawn = set(keys(select_examples(examples_per_cell(9), FEW)))
    assert set(keys(select_examples(examples_per_cell(9)[::-1], FEW))) == drawn
    with_others = set(keys(select_examples(examples_per_cell(9, speakers="dabce"), FEW)))
    assert {key for key in with_others if key[0] in "abc"} == drawn


# Transcripts


@dataclass
class EvenAligner:
    """Words of equal length. Records the texts of its requests."""

    texts: list[str]

    def align(self, clips: Sequence[Clip], transcripts: Sequence[Transcript | None]) -> list[Alignment]:
        texts = [transcript.text if transcript else "" for transcript in transcripts]
        self.texts += texts
        return [even_alignment(text, len(clip.samples)) for text, clip in zip(texts, clips, strict=True)]


@pytest.fixture
def aligner(monkeypatch: pytest.MonkeyPatch) -> EvenAligner:
    aligner = EvenAligner([])
    monkeypatch.setattr("emostream.training.data.alignments.load_aligner", lambda: aligner)
    return aligner


@pytest.fixture
def clips(tmp_path: Path) -> list[Example]:
    """Four clips with English words, the last paired with a line from elsewhere; one of Polish; a text."""
    spoken = [
        example(number, words=words, path=tmp_path / f"{number}.wav")
        for number, words in enumerate([*SENTENCES, "drzwi"])
    ]
    for number, one in enumerate(spoken):
        write_sound(one.audio_path, "sad", number)
    spoken[3] = other(spoken[3], paired="so happy")
    spoken[4] = other(spoken[4], language="pl")
    return [*spoken, example(5, words="she died")]


def no_transcriber() -> Transcriber:
    raise AssertionError("no transcriber is needed")


def context_in(folder: Path, transcriber: Callable[[], Transcriber] = no_transcriber) -> PreparationContext:
    return PreparationContext(transcriber, folder / "cache", lambda what, done, of: None)


def experiment_of(words: TextSource, *granularities: str, **data: object) -> Experiment:
    settings = replace(DataSettings(text_source=words), **data)
    return Experiment(model=ModelSettings(granularities=granularities or ("frame",)), data=settings)  # type: ignore[arg-type]


def gathered(examples: Sequence[Example], where: PreparationContext, *lines: Experiment) -> TrainingInputs:
    return prepare_inputs(examples, lines, ModelFactory(network(dropout=0.3).eval(), tiny_tokenizer()), where)


def test_every_clip_is_transcribed_once_but_for_paired_ones(clips: list[Example], tmp_path: Path) -> None:
    fake = FakeTranscriber()
    experiment, where = experiment_of("recognized"), context_in(tmp_path, lambda: fake)
    first = gathered(clips, where, experiment)
    assert sum(fake.batches) == 4
    assert {key: transcript.text for key, transcript in first.transcripts.items()} == {
        clips[number].key: "600 milliseconds" for number in (0, 1, 2, 4)
    }
    assert gathered(clips, where, experiment).transcripts == first.transcripts
    assert sum(fake.batches) == 4


@pytest.mark.parametrize("words", ["gold", "none"])
def test_without_recognized_words_no_transcriber_is_loaded(
    words: TextSource, clips: list[Example], tmp_path: Path
) -> None:
    inputs = gathered(clips, context_in(tmp_path), experiment_of(words))
    assert inputs.transcripts == {}
    assert set(inputs.audio.spans) == set(keys(clips[:5]))


def test_paired_clips_and_texts_need_no_transcriber(clips: list[Example], tmp_path: Path) -> None:
    assert (
        gathered(clips[3:4] + clips[5:], context_in(tmp_path), experiment_of("recognized")).transcripts == {}
    )


def test_one_row_with_recognized_words_is_enough_to_transcribe(clips: list[Example], tmp_path: Path) -> None:
    where = context_in(tmp_path, FakeTranscriber)
    inputs = gathered(clips, where, experiment_of("none"), experiment_of("recognized"))
    assert len(inputs.transcripts) == 4


# Alignments


def places(inputs: TrainingInputs) -> dict[str, str]:
    """By key: the words with a position."""
    return {key: " ".join(word.text for word in of.words) for key, of in inputs.alignments.items()}


def test_frames_only_need_no_alignment(clips: list[Example], tmp_path: Path, aligner: EvenAligner) -> None:
    assert gathered(clips, context_in(tmp_path), experiment_of("gold")).alignments == {}
    assert aligner.texts == []


def test_alignment_uses_the_spoken_words_whatever_the_text_source(
    clips: list[Example], tmp_path: Path, aligner: EvenAligner
) -> None:
    """The paired clip's own words, not its text; none for Polish, which the aligner does not support."""
    inputs = gathered(clips, context_in(tmp_path), experiment_of("gold", "frame", "word"))
    assert places(inputs) == {clips[number].key: SENTENCES[number] for number in range(4)}
    assert aligner.texts == SENTENCES


def test_recognized_words_are_aligned(clips: list[Example], tmp_path: Path, aligner: EvenAligner) -> None:
    where = context_in(tmp_path, FakeTranscriber)
    inputs = gathered(clips, where, experiment_of("recognized", "phone"))
    recognized = {clips[number].key: "600 milliseconds" for number in (0, 1, 2, 4)}
    assert places(inputs) == recognized | {clips[3].key: SENTENCES[3]}


def test_without_recognized_words_there_is_no_alignment(
    clips: list[Example], tmp_path: Path, aligner: EvenAligner
) -> None:
    class EmptyTranscriber(FakeTranscriber):
        def transcribe(self, clips: Sequence[Clip]) -> list[Transcript]:
            return [Transcript("") for _ in clips]

    assert (
        gathered(
            clips[:3], context_in(tmp_path, EmptyTranscriber), experiment_of("recognized", "word")
        ).alignments
        == {}
    )
    assert aligner.texts == []


@pytest.fixture
def iemocap(tmp_path: Path) -> list[Example]:
    """One utterance of each actor. The first begins with a second of silence."""
    found = read_iemocap(iemocap_tree(tmp_path / "IEMOCAP", per_speaker=1, others=0), expected=None)
    late = np.concatenate([np.zeros(RATE_HZ, np.float32), noise(RATE_HZ)])
    soundfile.write(found[0].audio_path, late, RATE_HZ, subtype="PCM_16")
    return found


SILENCE_CUT = 12_000
"""A second, but for the quarter of a second that is kept before the first sound."""


def test_gold_words_have_the_times_of_iemocap_shifted_by_the_trim(
    iemocap: list[Example], tmp_path: Path, aligner: EvenAligner
) -> None:
    inputs = gathered(iemocap, context_in(tmp_path), experiment_of("gold", "word", "phone"))
    assert aligner.texts == []
    for number, one in enumerate(iemocap):
        own = corpus_alignment(one)
        assert own is not None
        shift = 0 if number else SILENCE_CUT
        assert inputs.alignments[one.key] == shift_alignment(own, 1.0, -shift)
        assert inputs.alignments[one.key].words[0].start == 5 * 160 - shift  # 5 frames of 10 ms, by hand


def test_untrimmed_clips_keep_their_times(
    iemocap: list[Example], tmp_path: Path, aligner: EvenAligner
) -> None:
    inputs = gathered(iemocap, context_in(tmp_path), experiment_of("gold", "word", trim_silence=False))
    assert inputs.alignments[iemocap[0].key] == corpus_alignment(iemocap[0])


def test_words_that_are_not_gold_are_aligned_anew(
    iemocap: list[Example], tmp_path: Path, aligner: EvenAligner
) -> None:
    """Recognized ones, and the spoken words of a clip that is paired with another text."""
    paired = [other(iemocap[0], paired="so happy"), *iemocap[1:3]]
    gathered(paired, context_in(tmp_path / "gold"), experiment_of("gold", "word"))
    assert aligner.texts == [iemocap[0].words]
    aligner.texts.clear()
    where = context_in(tmp_path / "recognized", FakeTranscriber)
    gathered(iemocap[1:3], where, experiment_of("recognized", "word"))
    assert aligner.texts == ["600 milliseconds"] * 2


# Cached features of frozen encoders

KEPT = {"cache_features": True}


@torch.no_grad()
def test_cached_features_equal_those_of_each_clip_alone(clips: list[Example], tmp_path: Path) -> None:
    inputs = gathered(clips, context_in(tmp_path), experiment_of("gold", **KEPT))
    model = network(dropout=0.3).eval()
    audio, text = kept(inputs)
    assert set(audio.views) == set(keys(clips[:5]))
    assert set(text.views) == {one.key for one in clips if one.language == "en"}
    for one in clips[:4]:
        sound = torch.from_numpy(inputs.audio.clip(one.key))[None]
        sound = (sound - sound.mean()) / (sound.var(correction=0) + 1e-7).sqrt()
        layers, _ = model.audio_encoder.layers(sound, torch.ones(sound.shape, dtype=torch.bool))
        states, _ = audio.view(one.key, 0)
        torch.testing.assert_close(states.float(), torch.cat(layers), atol=5e-3, rtol=2e-3)
    batch = collate_text([clips[3].paired], tiny_tokenizer(), model.config.max_tokens)
    states, _ = text.view(clips[3].key, 0)
    words = torch.cat(model.text_encoder.layers(batch.ids, batch.mask))
    torch.testing.assert_close(states.float(), words, atol=5e-3, rtol=2e-3)


def kept(inputs: TrainingInputs, source: TextSource = "gold") -> tuple[FrozenFeatures, FrozenFeatures]:
    """Cached features of audio and of text."""
    assert inputs.audio_features is not None
    assert inputs.text_features is not None
    return inputs.audio_features, inputs.text_features[source]


@pytest.mark.parametrize(
    ("words", "use_audio", "audio_cached", "text_cached"),
    [("none", True, True, []), ("gold", False, False, ["gold"]), ("gold", True, True, ["gold"])],
)
def test_only_features_that_the_model_uses_are_cached(
    words: TextSource,
    use_audio: bool,
    audio_cached: bool,
    text_cached: list[str],
    clips: list[Example],
    tmp_path: Path,
) -> None:
    inputs = gathered(clips, context_in(tmp_path), experiment_of(words, use_audio=use_audio, **KEPT))
    assert (inputs.audio_features is not None) == audio_cached
    assert list(inputs.text_features or {}) == text_cached


def test_features_of_gold_and_recognized_words_are_both_cached(clips: list[Example], tmp_path: Path) -> None:
    lines = [
        experiment_of("recognized", **KEPT),
        experiment_of("gold", **KEPT),
        experiment_of("none", **KEPT),
    ]
    inputs = gathered(clips, context_in(tmp_path, FakeTranscriber), *lines)
    assert set(inputs.text_features or {}) == {"gold", "recognized"}
    recognized, gold = kept(inputs, "recognized")[1], kept(inputs)[1]
    key, text = clips[0].key, clips[5].key
    assert not torch.equal(recognized.view(key, 0)[0][:, :3], gold.view(key, 0)[0][:, :3])
    assert torch.equal(recognized.view(text, 0)[0], gold.view(text, 0)[0])


def test_other_texts_or_audio_are_computed_anew(clips: list[Example], tmp_path: Path) -> None:
    """And the same ones are not: the cache is keyed by its inputs."""

    def computed() -> set[Path]:
        return set((tmp_path / "cache" / "features").iterdir())

    experiment, where = experiment_of("gold", **KEPT), context_in(tmp_path)
    gathered(clips, where, experiment)
    first = computed()
    assert len(first) == 2
    gathered(clips, where, experiment)
    assert computed() == first
    gathered([other(clips[0], words="i miss her"), *clips[1:]], where, experiment)
    assert len(computed()) == 3
    write_sound(clips[1].audio_path, "angry", 9)
    gathered(clips, where, experiment)
    assert len(computed()) == 4


def test_a_clip_is_cut_to_the_limit_of_the_encoder_with_and_without_a_cache(
    clips: list[Example], tmp_path: Path
) -> None:
    """Whisper's table of positions ends at 30 s, here at 0.4 s; the clips are of 0.6 s."""
    audio = WhisperConfig(**tiny_whisper_config().to_dict() | {"max_source_positions": 20})
    model = network(audio_config=audio, audio_unit_variance=False).eval()
    model_factory = ModelFactory(model, tiny_tokenizer())
    encoded = []
    for keep in (False, True):
        experiment = experiment_of("none", cache_features=keep)
        inputs = prepare_inputs(clips[:5], [experiment], model_factory, context_in(tmp_path))
        batch = Collator(inputs, experiment.data, model, dict.fromkeys(keys(clips), 0)).evaluation_batch(
            clips[:5]
        )
        encoded.append(encode_audio(model, batch.audio))
    assert encoded[0].mask.sum(1).tolist() == encoded[1].mask.sum(1).tolist() == [20] * 5
    torch.testing.assert_close(encoded[1].features, encoded[0].features, atol=5e-3, rtol=2e-3)


def test_the_first_view_is_the_unchanged_clip(clips: list[Example], tmp_path: Path) -> None:
    augment = AugmentSettings(noise=1.0, text_noise=1.0)
    plain = gathered(clips, context_in(tmp_path), experiment_of("gold", **KEPT))
    views = gathered(clips, context_in(tmp_path), experiment_of("gold", views=3, augment=augment, **KEPT))
    for one, varied in zip(kept(plain), kept(views), strict=True):
        (unchanged, _), *others = (varied.view(clips[0].key, view) for view in range(3))
        assert torch.equal(unchanged, one.view(clips[0].key, 0)[0])
        assert not all(
            unchanged.shape == state.shape and torch.equal(unchanged, state) for state, _ in others
        )


def test_progress_is_reported(clips: list[Example], tmp_path: Path, aligner: EvenAligner) -> None:
    reports: list[tuple[str, int, int]] = []
    where = PreparationContext(FakeTranscriber, tmp_path / "cache", lambda *report: reports.append(report))
    gathered(clips, where, experiment_of("recognized", "word", **KEPT))
    last = {what: (done, of) for what, done, of in reports}
    assert last == {
        "sounds": (5, 5),
        "transcripts": (4, 4),
        "alignments": (5, 5),
        "audio features": (5, 5),
        "text features": (6, 6),
    }
