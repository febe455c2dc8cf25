"""The cost of a table: by hand, and what the networks multiply against the papers' own formula."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from emostream.models.pretrained import read_encoder_config
from emostream.training.emotion.settings import ModelSettings
from emostream.training.errors import SettingsError
from emostream.training.experiments.compute_cost import CorpusSize, compute_table
from emostream.training.experiments.cost import GIB, FitCost, TableCost, fits_of, kept_files
from emostream.training.experiments.count_operations import work_of
from emostream.training.experiments.experiment import Experiment
from emostream.training.experiments.gpus import gpu_named
from emostream.training.experiments.table_rows import BASELINE, paper_rows, parse_row
from emostream.training.trainer.settings import TrainerSettings
from tests.support.tiny_pretrained import publish


def fit_cost(fits: int, memory: int) -> FitCost:
    return FitCost(
        name="baseline",
        fits=fits,
        epochs=10,
        steps=100,
        step_s=0.5,
        validation_s=2.0,
        final_s=10.0,
        memory=memory,
        weights=GIB,
        snapshot=3 * GIB,
    )


def test_hours_disk_and_memory_add_up() -> None:
    cost = TableCost((fit_cost(30, 4 * GIB), fit_cost(6, 9 * GIB)), kept=5, cached=2 * GIB, source="by hand")
    assert cost.hours == pytest.approx(36 * (100 * 0.5 + 10 * 2 + 10) / 3600)
    assert cost.disk == 2 * GIB + 5 * GIB + 4 * GIB
    assert cost.memory == 9 * GIB
    last = cost.markdown().splitlines()[-1]
    assert last.startswith(
        "36 fits: at most 0.8 hours (all epochs; early stopping takes less), 11.0 GiB of disk"
    )
    assert last.endswith("9.0 GiB of memory; by hand.")


def test_a_sweep_trains_the_chosen_alphas_alone_with_further_seeds() -> None:
    experiment = replace(Experiment(), seeds=(1, 2, 3), sweep_seeds=1)
    rows = paper_rows((0.1, 0.3, 0.5, 0.7), ())
    alphas = [row for row in rows if row.group == "contrastive"]
    assert sum(fits_of(row, rows, experiment) for row in alphas) == pytest.approx(3 * (4 + 2))
    assert fits_of(parse_row(BASELINE), rows, experiment) == 3
    assert fits_of(alphas[0], rows, replace(experiment, sweep_seeds=0)) == 3
    assert [kept_files(name, 5, 3, 99) for name in ("baseline", "all", "none")] == [30, 99, 2]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Experiment:
    hub = publish(tmp_path_factory.mktemp("hub"))
    model = ModelSettings(
        audio=str(hub / "wav2vec2"), text=str(hub / "bert"), width=16, heads=2, feed_forward=32
    )
    return replace(Experiment(), model=model)


def test_operations_are_those_of_the_layers(tiny: Experiment) -> None:
    """A transformer layer on T places: 8 T d^2 for the projections, 4 T d f for the feed-forward network,
    4 T^2 d for the attention.
    """
    work = work_of(tiny, seconds=1.0, tokens=12)
    config = read_encoder_config(tiny.model.text)
    d, f, places = config.hidden_size, config.intermediate_size, 12
    layer = 8 * places * d * d + 4 * places * d * f + 4 * places * places * d
    assert work.text.forward == pytest.approx(config.num_hidden_layers * layer, rel=0.02)
    assert work.text.backward == pytest.approx(2 * work.text.forward)
    assert work.audio.front_end > 0
    assert work.audio.backward == pytest.approx(2 * (work.audio.forward - work.audio.front_end))


def test_what_is_frozen_or_cached_costs_less(tiny: Experiment) -> None:
    full = work_of(tiny, 1.0, 12)
    frozen = work_of(replace(tiny, model=replace(tiny.model, audio_frozen="all", text_frozen="all")), 1.0, 12)
    assert frozen.training < full.training
    assert (frozen.audio.trained, frozen.audio.kept) == (0, 0)
    cached = replace(
        tiny,
        model=replace(tiny.model, audio_frozen="all", text_frozen="all"),
        data=replace(tiny.data, cache_features=True),
    )
    assert work_of(cached, 1.0, 12).forward < 0.5 * frozen.forward
    checkpointed = work_of(replace(tiny, trainer=TrainerSettings(gradient_checkpointing=True)), 1.0, 12)
    assert checkpointed.training > full.training
    assert checkpointed.kept_bytes < full.kept_bytes


def test_a_faster_gpu_takes_fewer_hours_and_says_that_it_is_computed(tiny: Experiment) -> None:
    rows, size = paper_rows((0.3,), ()), CorpusSize(100, 1.0, 12, 5)
    slow, fast = (compute_table(tiny, rows, size, gpu_named(name), 0.3) for name in ("t4", "A100"))
    assert slow.hours == pytest.approx(fast.hours * 312 / 65)
    assert "computed for T4 (65 TFLOP/s in fp16, 30 % of it assumed; 16 GiB), not measured" in slow.source
    assert "computed for A100 (312 TFLOP/s in bf16" in fast.source
    trainer = replace(tiny.trainer, epochs=2 * tiny.trainer.epochs)
    assert compute_table(replace(tiny, trainer=trainer), rows, size, gpu_named("t4"), 0.3).hours > slow.hours


def test_an_unknown_gpu_is_refused() -> None:
    with pytest.raises(
        SettingsError, match=r"expected --gpu out of t4, v100, a100, l4, h100, got k80: measure"
    ):
        gpu_named("k80")
