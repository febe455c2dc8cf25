"""`python -m emostream.training fit`"""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from ..errors import SettingsError
from . import options
from .console import PreparationProgress, print_total

if TYPE_CHECKING:
    from ..evaluation.metrics import ClassificationMetrics
    from ..experiments.folds import Fold
    from ..trainer.callbacks import TrainingCallback


def fit(
    data: options.DataOption,
    out: Annotated[
        Path, typer.Option("--output-dir", help="Checkpoint folder to write.", show_default=False)
    ],
    config: options.OptionalConfigOption = None,
    corpus: options.OptionalCorpusOption = None,
    init: Annotated[
        str | None,
        typer.Option(
            "--init",
            metavar="bundled|FOLDER",
            help="Adapt this checkpoint to clips of your own, in minutes, from frozen encoders; --data "
            "is then a manifest or folders named by label. bundled: the one that comes with the program.",
            show_default=False,
        ),
    ] = None,
    fold: Annotated[
        str | None,
        typer.Option("--fold", help="The test fold. Default: the first.", show_default=False),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option("--seed", min=0, help="Default: the experiment's first.", show_default=False),
    ] = None,
    work: options.WorkOption = Path("run"),
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Write the curves to WORK/tensorboard.")
    ] = False,
    log_with: Annotated[
        str | None,
        typer.Option(
            "--log-with",
            metavar="TRACKER",
            help="Log the curves to a tracker of Accelerate: wandb, mlflow, comet_ml, tensorboard, ... Its "
            "package must be installed; most send them to a service.",
            show_default=False,
        ),
    ] = None,
    asr: Annotated[
        str | None,
        typer.Option(
            "--asr",
            help="The transcriber, as for `emostream live`: auto, pocketsphinx, a model. Default: auto, with "
            "--init the clips' own words alone.",
            show_default=False,
        ),
    ] = None,
    audio: options.AudioOption = None,
    text: options.TextOption = None,
    cpu: options.CpuOption = False,
    part: options.PartOption = False,
    hours: options.HoursOption = False,
) -> None:
    """Train one model and write its checkpoint, for `emostream live --checkpoint` and all other commands.

    With --init, adapt a checkpoint to a few clips of your own. The folder of the result is the last line.
    """
    if init is not None:
        from .adaptation import AdaptationOptions, fit_from, refuse_with_init

        refuse_with_init(
            {
                "--config": config,
                "--fold": fold,
                "--seed": seed is not None,
                "--tensorboard": tensorboard,
                "--log-with": log_with,
                "--audio": audio,
                "--text": text,
            }
        )
        fit_from(
            AdaptationOptions(
                init=init, corpus=corpus or (), data=data, out=out, asr=asr, work=work, part=part
            )
        )
        return
    if not corpus or config is None:
        missing = "--corpus" if not corpus else "--config"
        raise SettingsError(
            f"expected {missing}, got none: name it, or adapt a checkpoint to clips of your own with "
            "--init bundled"
        )
    from emostream.models.checkpoint import save_checkpoint

    from ..emotion.fit_calibration import calibrate_all
    from ..emotion.lora import merge_adapters
    from ..emotion.predict import posteriors, predict
    from ..evaluation.metrics import compute_metrics
    from ..experiments.measure_cost import measure_table
    from ..experiments.model_card import write_fit_card
    from ..experiments.prepare_table import CACHE, TableRequest, prepare_table
    from ..experiments.run import fit_fold, prediction_runtime
    from ..experiments.table_rows import TableRow
    from ..trainer.callbacks import CallbackList, ProgressBarCallback, TensorBoardCallback, progress_bars
    from ..trainer.runtime import make_accelerator
    from ..trainer.trackers import TrackerCallback, check_tracker

    started = time.monotonic()
    options.check_output_folder(out, "--output-dir")
    experiment = options.read_config(config, audio, text)
    row = TableRow(experiment.name, "other")
    request = TableRequest(
        experiment=experiment,
        examples=tuple(options.read_corpora(corpus, data, part=part)),
        units=options.disjoint_units(corpus),
        rows=(row,),
        asr=asr or "auto",
        work=work,
        cpu=cpu,
        fold=fold,
    )
    number = experiment.seeds[0] if seed is None else seed
    if log_with is not None:
        check_tracker(log_with)
    trainer = experiment.trainer
    accelerator = make_accelerator(
        trainer.precision, cpu=cpu, tf32=trainer.tf32, log_with=log_with, log_folder=work / "trackers"
    )
    with ExitStack() as stack:
        bars = stack.enter_context(progress_bars())
        prepared = prepare_table(request, accelerator, PreparationProgress(bars))
        if hours:
            one_seed = replace(request, experiment=msgspec.structs.replace(experiment, seeds=(number,)))
            one_fold = replace(prepared, folds=prepared.folds[:1])
            print(measure_table(one_seed, one_fold, work / CACHE).markdown())
            return
        test_fold = prepared.folds[0]
        callbacks: list[TrainingCallback] = [ProgressBarCallback(bars, experiment.name)]
        if tensorboard and accelerator.is_main_process:
            run = f"fold-{test_fold.name}-seed-{number}"
            board = TensorBoardCallback(work / "tensorboard" / prepared.context.work.name / run)
            stack.callback(board.close)
            callbacks.append(board)
        if log_with is not None and accelerator.is_main_process:
            tracker = TrackerCallback(accelerator, msgspec.to_builtins(experiment))
            stack.callback(tracker.close)
            callbacks.append(tracker)
        fitted = fit_fold(prepared.context, row, test_fold, number, CallbackList(*callbacks))
    if not accelerator.is_main_process:
        return
    context, model = prepared.context, fitted.model
    runtime = prediction_runtime(context)
    calibrate_all(model, context.inputs, experiment.data, test_fold.validation, context.labels, runtime)
    predictions = predict(model, fitted.collator, test_fold.test, runtime)
    truth = [context.labels[example.key] for example in test_fold.test]
    test_metrics = compute_metrics(truth, posteriors(predictions, model.config))
    merge_adapters(model)
    save_checkpoint(model.cpu(), prepared.context.model_factory.tokenizer, out)
    write_fit_card(out, experiment, corpus, test_fold, test_metrics)
    counts = {"training clip": len(test_fold.train), "validation clip": len(test_fold.validation)}
    print_total(bars.console, counts, time.monotonic() - started)
    print(_summary(test_metrics, test_fold))
    print(out)


def _summary(test_metrics: ClassificationMetrics, fold: Fold) -> str:
    return (
        f"test ({fold.name}, {test_metrics.count} utterances): "
        f"WA {100 * test_metrics.wa:.1f}, UA {100 * test_metrics.ua:.1f} "
        f"(chance {100 / len(test_metrics.confusion):.1f}), macro-F1 {100 * test_metrics.macro_f1:.1f}, "
        f"ECE {100 * test_metrics.ece_equal_mass:.1f}"
    )
