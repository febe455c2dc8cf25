"""Emotion recognition as a task: batches, losses and evaluation."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace as other
from pathlib import Path

import numpy as np
import pytest
import torch
from msgspec.structs import replace
from torch import Tensor

from emostream.models import LABELS, Clip, EmotionInput, Transcript
from emostream.models.checkpoint import save_checkpoint
from emostream.models.collate import AudioBatch, TextBatch
from emostream.models.errors import CheckpointError
from emostream.models.recognizer import EmotionRecognizer
from emostream.training.corpora.example import Example
from emostream.training.emotion.collator import Collator, EmotionBatch
from emostream.training.emotion.fit_calibration import (
    calibrate,
    calibrate_all,
    held_out_calibration_error,
)
from emostream.training.emotion.inputs import input_text
from emostream.training.emotion.model_factory import ModelFactory
from emostream.training.emotion.module import EmotionTrainingModule, forward_batch
from emostream.training.emotion.predict import ExamplePrediction, PredictionRuntime, posteriors, predict
from emostream.training.emotion.settings import ContrastiveSettings, DataSettings, ModelSettings
from emostream.training.errors import SettingsError
from emostream.training.evaluation.metrics import compute_metrics
from emostream.training.losses.contrastive import ContrastiveLossName
from emostream.training.losses.discriminator import CosineDiscriminator, DiscriminatorName, MLPDiscriminator
from emostream.training.trainer.settings import TrainerSettings
from tests.support.tiny_emotion import tiny_tokenizer
from tests.support.tiny_pretrained import publish
from tests.support.training_task import (
    GOLD,
    NOISY,
    corpus,
    emotion_task,
    fresh_accelerator,
    inputs_of,
    network,
    numbers,
    one_thread,
    run,
)

CPU = torch.device("cpu")
EXAMPLES = corpus(16)


@pytest.fixture(autouse=True)
def _one_thread_and_no_accelerator() -> Iterator[None]:
    with one_thread(), fresh_accelerator():
        yield


def batches_of(data: DataSettings, examples: Sequence[Example] = EXAMPLES) -> Collator:
    return Collator(inputs_of(examples), data, network(), numbers(examples))


def drawn(batches: Collator, examples: Sequence[Example], epoch: int = 0) -> EmotionBatch:
    return batches.training_batch(examples, [True] * len(examples), 1, epoch)


def row_of(batch: EmotionBatch, row: int) -> tuple[Tensor, ...]:
    """Samples, tokens and word positions, without padding."""
    assert isinstance(batch.audio, AudioBatch)
    assert isinstance(batch.text, TextBatch)
    spans = batch.spans["word"]
    return (
        batch.audio.samples[row][batch.audio.mask[row]],
        batch.text.ids[row][batch.text.mask[row]],
        spans.bounds[row][spans.mask[row]],
    )


def same(first: tuple[Tensor, ...], second: tuple[Tensor, ...]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


RANDOM = replace(GOLD, augment=NOISY, drop_audio=0.3, drop_text=0.3, max_seconds=0.5)


def test_augmentation_of_an_example_does_not_depend_on_its_batch() -> None:
    batches = batches_of(RANDOM)
    whole, backwards = drawn(batches, EXAMPLES), drawn(batches, EXAMPLES[::-1])
    for place, example in enumerate(EXAMPLES):
        alone = row_of(drawn(batches, [example]), 0)
        assert same(alone, row_of(whole, place)), example.key
        assert same(alone, row_of(backwards, len(EXAMPLES) - 1 - place)), example.key


def test_augmentation_differs_between_epochs() -> None:
    batches = batches_of(replace(RANDOM, augment=replace(NOISY, noise=1.0, text_noise=1.0)))
    first, second = drawn(batches, EXAMPLES), drawn(batches, EXAMPLES, epoch=1)
    changed = [not same(row_of(first, row), row_of(second, row)) for row in range(len(EXAMPLES))]
    with_sound = [example.path is not None for example in EXAMPLES]
    assert all(differs for differs, present in zip(changed, with_sound, strict=True) if present)


def test_modality_dropout_has_its_rate_and_never_drops_both() -> None:
    examples = corpus(24, complete=True)
    batches = batches_of(replace(GOLD, drop_audio=0.2, drop_text=0.3), examples)
    with_audio = torch.stack([drawn(batches, examples, epoch).audio.present for epoch in range(40)])
    read = torch.stack([drawn(batches, examples, epoch).text.present for epoch in range(40)])
    assert bool((with_audio | read).all())
    assert (~with_audio).float().mean().item() == pytest.approx(0.2, abs=0.04)
    assert (~read).float().mean().item() == pytest.approx(0.3, abs=0.05)


def test_an_example_with_one_modality_keeps_it() -> None:
    batch = drawn(batches_of(replace(GOLD, drop_audio=0.5, drop_text=0.5)), EXAMPLES)
    for row, example in enumerate(EXAMPLES):
        if example.path is None:
            assert batch.text.present[row]
        if not example.words:
            assert batch.audio.present[row]


def test_text_of_punctuation_counts_as_missing() -> None:
    example = other(EXAMPLES[0], words="... ?!")
    assert input_text(example, "gold", {}) == ""
    batch = drawn(batches_of(replace(GOLD, drop_audio=1.0), [example]), [example])
    assert batch.audio.present.all()


def test_the_input_text_by_text_source() -> None:
    spoken, paired = EXAMPLES[0], other(EXAMPLES[0], paired="a line from a film")
    german, text = other(spoken, language="de"), other(spoken, path=None)
    transcripts = {spoken.key: Transcript("i am so hippie")}
    assert input_text(spoken, "recognized", transcripts) == "i am so hippie"
    assert input_text(spoken, "gold", transcripts) == spoken.words
    assert input_text(german, "gold", transcripts) == ""
    assert input_text(text, "recognized", transcripts) == spoken.words
    assert input_text(paired, "recognized", transcripts) == paired.paired
    assert input_text(paired, "none", transcripts) == ""


def test_a_long_clip_is_cut_at_random_with_its_words() -> None:
    examples = corpus(8, complete=True)
    whole, cut = batches_of(GOLD, examples), batches_of(replace(GOLD, max_seconds=0.5), examples)
    starts = set()
    for example in examples:
        full, _, places = row_of(drawn(whole, [example]), 0)
        for epoch in range(3):
            part, _, moved = row_of(drawn(cut, [example], epoch), 0)
            assert len(part) == min(len(full), 8000)
            shift = (places - moved).flatten()
            start = int(shift[0])
            assert (shift == start).all()
            starts.add(start)
            window = full[start : start + len(part)]
            window = (window - window.mean()) / window.std(correction=0)  # each clip has unit variance
            torch.testing.assert_close(part, window, rtol=0, atol=1e-3)
    assert len(starts) > 8


# Losses


def slow_entropy(logits: Tensor, labels: Sequence[int], rows: Sequence[int], smoothing: float) -> float:
    """The mean over `rows` of -sum_c q_c log p_c."""
    terms = []
    for row in rows:
        values = logits[row].double().tolist()
        total = math.log(math.fsum(math.exp(value) for value in values))
        for number, value in enumerate(values):
            wanted = smoothing / len(values) + (1 - smoothing) * (number == labels[row])
            terms.append(-wanted * (value - total))
    return math.fsum(terms) / len(rows)


def slow_contrast(
    kind: ContrastiveLossName, scores: Tensor, rows: Sequence[int], columns: Sequence[int]
) -> float:
    """rows, columns: their labels."""
    s = scores.double().tolist()
    pairs = [(i, j) for i in range(len(rows)) for j in range(len(columns))]
    positive = [(i, j) for i, j in pairs if rows[i] == columns[j]]
    negative = [pair for pair in pairs if pair not in positive]
    if kind == "bce":
        first = math.fsum(math.log1p(math.exp(-s[i][j])) for i, j in positive) / len(positive)
        return first + math.fsum(math.log1p(math.exp(s[i][j])) for i, j in negative) / len(negative)
    if kind == "mine":
        bounded = {(i, j): 10 * math.tanh(s[i][j] / 10) for i, j in pairs}
        joint = math.fsum(bounded[pair] for pair in positive) / len(positive)
        return math.log(math.fsum(map(math.exp, bounded.values())) / len(pairs)) - joint
    directions = []
    for side in (0, 1):
        anchors = []
        for anchor in {pair[side] for pair in positive}:
            own = [pair for pair in pairs if pair[side] == anchor]
            total = math.log(math.fsum(math.exp(s[i][j]) for i, j in own))
            anchors.append(math.fsum(total - s[i][j] for i, j in own if (i, j) in positive))
            anchors[-1] /= sum(pair in positive for pair in own)
        directions.append(math.fsum(anchors) / len(anchors))
    return math.fsum(directions) / 2


@pytest.mark.parametrize("kind", ["bce", "infonce", "mine"])
def test_the_loss_equals_a_slow_reference(kind: ContrastiveLossName) -> None:
    """Some rows have no audio, some no text, and one is padding."""
    torch.manual_seed(0)
    objective = EmotionTrainingModule(network(), ContrastiveSettings(objective=kind, alpha=0.3), 0.1)
    counted = [True] * 15 + [False]
    batch = batches_of(GOLD).training_batch(EXAMPLES, counted, 1, 0)
    labels = [numbers(EXAMPLES)[example.key] for example in EXAMPLES]
    with_audio = [row for row in range(15) if EXAMPLES[row].path is not None]
    read = [row for row in range(15) if EXAMPLES[row].words]
    assert with_audio != read
    assert max(len(with_audio), len(read)) < 15
    with torch.no_grad():
        losses = objective(batch)
        output = forward_batch(objective.model, batch)
        assert objective.total.contrastive is not None
        scores = objective.total.contrastive.discriminator(
            output.audio_embedding[with_audio], output.text_embedding[read]
        )
    informed = {"early": list(range(15)), "audio": with_audio, "text": read}
    entropies = [slow_entropy(output.logits()[head], labels, rows, 0.1) for head, rows in informed.items()]
    entropy = math.fsum(entropies) / 3
    contrast = slow_contrast(kind, scores, [labels[row] for row in with_audio], [labels[row] for row in read])
    expected = {"cross_entropy": entropy, "contrastive": contrast, "loss": 0.7 * entropy + 0.3 * contrast}
    assert {name: value.item() for name, value in losses.items()} == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("fusion", ["early", "late", "both", "concat"])
def test_alpha_has_its_nominal_weight(fusion: str) -> None:
    """Whatever the number of heads: the cross entropy of a model that knows nothing is that of one head."""
    model = network(fusion=fusion)
    with torch.no_grad():
        for name, weights in model.named_parameters():
            if "head" in name:
                weights.zero_()
    objective = EmotionTrainingModule(model, ContrastiveSettings(alpha=0.3))
    losses = objective(drawn(batches_of(GOLD), EXAMPLES))
    assert losses["cross_entropy"].item() == pytest.approx(math.log(4))


def test_heads_that_do_not_decide_are_trained_without_weight_in_the_loss() -> None:
    model = network(fusion="concat")
    losses = EmotionTrainingModule(model, ContrastiveSettings())(drawn(batches_of(GOLD), EXAMPLES))
    losses["loss"].backward()
    trained = [
        weights.grad is not None
        for weights in (*model.audio_head.parameters(), *model.text_pool.parameters())
    ]
    assert all(trained)


def test_a_head_without_rows_does_not_count() -> None:
    batch = drawn(batches_of(replace(GOLD, use_audio=False)), [e for e in EXAMPLES if e.words])
    model = network(fusion="late")
    with torch.no_grad():
        output = forward_batch(model, batch)
        losses = EmotionTrainingModule(model, ContrastiveSettings())(batch)
    expected = torch.nn.functional.cross_entropy(output.text, batch.labels)
    torch.testing.assert_close(losses["cross_entropy"], expected)


@pytest.mark.parametrize(("name", "kind"), [("cosine", CosineDiscriminator), ("mlp", MLPDiscriminator)])
def test_the_discriminator_is_a_setting(name: DiscriminatorName, kind: type) -> None:
    module = EmotionTrainingModule(network(), ContrastiveSettings(alpha=0.3, discriminator=name))
    assert module.total.contrastive is not None
    assert isinstance(module.total.contrastive.discriminator, kind)


def test_without_alpha_there_is_no_discriminator() -> None:
    model = network()
    baseline = EmotionTrainingModule(model, ContrastiveSettings())
    assert {id(weights) for weights in baseline.parameters()} == {
        id(weights) for weights in model.parameters()
    }
    losses = baseline(drawn(batches_of(GOLD), EXAMPLES))
    assert set(losses) == {"loss", "cross_entropy"}
    assert losses["loss"] == losses["cross_entropy"]


def test_batches_are_mixed_and_balanced_by_setting() -> None:
    rare = [example for example in corpus(40) if example.emotion != LABELS[0] or example.speaker == "s0"]
    trainer = TrainerSettings(batch=4)
    task = emotion_task(rare, trainer, replace(GOLD, balanced=True))
    plan = task.epoch_batches(0)
    assert plan == task.epoch_batches(0)
    assert plan != task.epoch_batches(1)
    found = [rare[item].emotion for batch in plan for item in batch]
    assert {label: found.count(label) for label in LABELS} == dict.fromkeys(LABELS, 10)
    assert all(len({rare[item].emotion for item in batch}) > 1 for batch in plan)


# Evaluation


def predictions(
    data: DataSettings = GOLD, budget_s: float = 120.0, order: int = 1
) -> list[ExamplePrediction]:
    runtime = PredictionRuntime(CPU, budget_s)
    return predict(network(), batches_of(data), EXAMPLES[::order], runtime)[::order]


@pytest.mark.parametrize(("budget_s", "order"), [(0.1, 1), (2.0, 1), (120.0, -1), (4.0, -1)])
def test_predictions_do_not_depend_on_batch_size_or_order(budget_s: float, order: int) -> None:
    for expected, found in zip(predictions(), predictions(budget_s=budget_s, order=order), strict=True):
        assert (found.key, found.pattern, found.has_input) == (
            expected.key,
            expected.pattern,
            expected.has_input,
        )
        torch.testing.assert_close(found.logits, expected.logits, rtol=0, atol=1e-5)
        torch.testing.assert_close(found.embedding, expected.embedding, rtol=0, atol=1e-5)


def test_every_prediction_records_its_modalities() -> None:
    for example, one in zip(EXAMPLES, predictions(), strict=True):
        has_audio, has_text = example.path is not None, bool(example.words)
        assert (
            one.pattern
            == {(True, True): "both", (True, False): "audio", (False, True): "text"}[has_audio, has_text]
        )
        assert one.has_input
    silent = [one for one in predictions(replace(GOLD, text_source="none")) if not one.has_input]
    assert [one.key for one in silent] == [example.key for example in EXAMPLES if example.path is None]


def test_metrics_are_those_of_the_posteriors() -> None:
    task = emotion_task(EXAMPLES, TrainerSettings(batch=4))
    found = task.validate(0, 1)
    halves = [*task.validate(0, 2), *task.validate(1, 2)]
    shares = posteriors(found, task.module.model.config)
    np.testing.assert_allclose(shares.sum(1), 1.0, atol=1e-12)
    truth = np.array([task.labels[example.key] for example in task.validation])
    predicted = shares.argmax(1)
    recalls = [(predicted[truth == label] == label).mean() for label in sorted(set(truth))]
    metrics = task.metrics(found)
    assert metrics == pytest.approx(
        {
            "ua": np.mean(recalls),
            "wa": (predicted == truth).mean(),
            "cross_entropy": -np.log(shares[range(len(truth)), truth]).mean(),
        }
    )
    assert task.metrics(halves) == pytest.approx(metrics)


def nll(
    found: Sequence[ExamplePrediction], shares: np.ndarray[tuple[int, ...], np.dtype[np.float64]]
) -> float:
    truth = [numbers(EXAMPLES)[one.key] for one in found]
    return float(-np.log(shares[range(len(truth)), truth]).mean())


def test_calibration_lowers_the_validation_loss_of_every_pattern() -> None:
    model = network(seed=3)
    with torch.no_grad():  # as overconfident as an uncalibrated model
        for head in (model.audio_head, model.text_head):
            list(head.parameters())[-2].mul_(20.0)  # the last layer's weights
    found = predict(model, batches_of(GOLD), EXAMPLES, PredictionRuntime(CPU))
    before = posteriors(found, model.config)
    calibrate(model.config, found, numbers(EXAMPLES))
    after = posteriors(found, model.config)
    np.testing.assert_allclose(after.sum(1), 1.0, atol=1e-12)
    for pattern in ("both", "audio", "text"):
        rows = [row for row, one in enumerate(found) if one.pattern == pattern]
        part = [found[row] for row in rows]
        assert nll(part, after[rows]) < nll(part, before[rows])


def test_the_held_out_calibration_error_fits_each_half_of_the_speakers_on_the_other() -> None:
    """Step by step; the model's own calibration is left as it was."""
    model, labels = network(seed=3), numbers(EXAMPLES)
    speakers = {example.key: f"s{place % 4}" for place, example in enumerate(EXAMPLES)}
    found = predict(model, batches_of(GOLD), EXAMPLES, PredictionRuntime(CPU))
    before = copy.deepcopy(model.config)
    error = held_out_calibration_error(model.config, found, labels, speakers)
    assert model.config.to_dict() == before.to_dict()
    shares, truth = [], []
    for own, others in (("s0 s2", "s1 s3"), ("s1 s3", "s0 s2")):
        config = copy.deepcopy(before)
        calibrate(config, [one for one in found if speakers[one.key] in own.split()], labels)
        measured = [one for one in found if speakers[one.key] in others.split()]
        shares.append(posteriors(measured, config))
        truth += [labels[one.key] for one in measured]
    assert error == pytest.approx(compute_metrics(np.array(truth), np.concatenate(shares)).ece_equal_mass)
    assert held_out_calibration_error(before, found, labels, dict.fromkeys(labels, "alone")) is None


def test_calibration_covers_single_modalities() -> None:
    model, examples = network(seed=3), corpus(12, complete=True)
    calibrate_all(model, inputs_of(examples), GOLD, examples, numbers(examples), PredictionRuntime(CPU))
    assert all(temperature != 1.0 for temperature in model.config.temperatures.values())
    assert len({weights["early"] for weights in model.config.late_weights.values()}) == 3


def test_the_saved_model_has_the_evaluated_predictions(tmp_path: Path) -> None:
    trainer = TrainerSettings(epochs=2, batch=4, learning_rate=3e-3, encoder_rate=1e-3, patience=0)
    model = network(granularities=("frame",))
    task = emotion_task(EXAMPLES, trainer, model=model)
    run(task, trainer, tmp_path / "run")
    found = task.validate(0, 1)
    calibrate(model.config, found, task.labels)
    save_checkpoint(model, tiny_tokenizer(), tmp_path / "served")
    sounds = inputs_of(EXAMPLES).audio
    speeches = [
        EmotionInput(
            Clip(sounds.clip(example.key)) if example.path is not None else None,
            Transcript(example.words) if example.words else None,
        )
        for example in task.validation
    ]
    predictions = EmotionRecognizer.load(tmp_path / "served", device="cpu").recognize(speeches)
    served = np.array([prediction.probabilities for prediction in predictions])
    np.testing.assert_allclose(served, posteriors(found, model.config), atol=1e-3)


# Construction of models


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return publish(tmp_path_factory.mktemp("hub"))


def settings_of(hub: Path, audio: str = "wav2vec2", **changes: object) -> ModelSettings:
    sizes = ModelSettings(audio=str(hub / audio), text=str(hub / "bert"), width=16, heads=2, feed_forward=32)
    return replace(sizes, **changes)


@pytest.mark.parametrize("audio", ["wav2vec2", "whisper"])
def test_pretrained_encoders_are_shared_and_the_rest_depends_on_the_seed(published: Path, audio: str) -> None:
    settings = settings_of(published, audio, audio_frozen="all", granularities=("frame", "word"))
    model_factory = ModelFactory.load(settings, LABELS)
    one, again, third = (model_factory.build(settings, seed).state_dict() for seed in (1, 1, 2))
    pretrained = model_factory.template.state_dict()
    for name, weights in one.items():
        assert torch.equal(weights, again[name]), name
        if "encoder." in name.split("backbone")[0] and not name.startswith("early"):
            assert torch.equal(weights, pretrained[name]), name
    assert not torch.equal(one["audio_projection.0.weight"], third["audio_projection.0.weight"])
    model = model_factory.build(settings, 1)
    assert not any(weights.requires_grad for weights in model.audio_encoder.backbone.parameters())
    assert all(weights.requires_grad for weights in model.audio_encoder.mix.parameters())


def test_models_that_cannot_be_built_are_rejected(published: Path) -> None:
    with pytest.raises(CheckpointError, match="expected"):
        ModelFactory.load(settings_of(published, "nothing"), LABELS)
    good = settings_of(published)
    with pytest.raises(SettingsError, match="model: expected a freeze depth out of none, front_end, 0 to 3"):
        ModelFactory.load(good, LABELS).build(replace(good, audio_frozen=9), 1)
    with pytest.raises((SettingsError, CheckpointError), match=r"expected .*granularities"):
        ModelFactory.load(replace(good, granularities=()), LABELS)
