"""`python -m emostream.training train | evaluate | export`: corpora to weights, and what comes of them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from emostream.models import CheckpointError, ModelError
from emostream.models.checkpoint import read_checkpoint
from emostream.models.encoders.onnx_graph import GRAPH_FILE, write_graph

from .corpora.example import CorpusError
from .corpora.manifest import DEFAULT_DATA
from .evaluation.checkpoint import evaluate, table
from .recipe.card import write_card
from .recipe.settings import SettingsError, read_settings
from .recipe.stages import Places, train
from .recipe.teacher import DEFAULT_WEIGHTS


def main(arguments: Sequence[str] | None = None) -> int:
    """0, or 2 and one line on stderr for bad input."""
    options = _parser().parse_args(arguments)
    try:
        if options.command == "train":
            _train(options)
        elif options.command == "export":
            _export(options.checkpoint)
        else:
            print(table(evaluate(options.checkpoint, options.manifest, options.split, options.out)))
    except (ModelError, CorpusError, SettingsError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def _train(options: argparse.Namespace) -> None:
    settings = read_settings(options.config)
    train(settings, Places(options.data, options.weights, options.work, options.out))
    _export(options.out)
    rows = evaluate(options.out, options.data / "manifest.csv", "test", options.work / "figures")
    print(table(rows))
    model = read_checkpoint(options.out).model
    encoders = {"audio": model.audio_encoder, "text": model.text_encoder}
    sizes = {name: sum(p.numel() for p in part.parameters()) / 1e6 for name, part in encoders.items()}
    write_card(options.out, model.config, sizes, rows, settings)


def _export(folder: Path) -> None:
    if find_spec("onnx") is None or find_spec("onnxscript") is None:
        raise CheckpointError(
            f"expected the packages onnx and onnxscript to write {folder / GRAPH_FILE}, found none: "
            "pip install 'emostream[train]'"
        )
    write_graph(read_checkpoint(folder).model.audio_encoder, folder / GRAPH_FILE)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m emostream.training", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("train", help="run a recipe; a stopped run goes on where it was")
    run.add_argument("--config", type=Path, required=True, help="TOML of the run")
    run.add_argument(
        "--data", type=Path, default=DEFAULT_DATA, help="folder with manifest.csv and text.csv.gz"
    )
    run.add_argument("--weights", type=Path, default=DEFAULT_WEIGHTS, help="folder of the teachers")
    run.add_argument("--work", type=Path, default=Path("run"), help="snapshots, caches and the log")
    run.add_argument("--out", type=Path, required=True, help="checkpoint folder to write")
    export = commands.add_parser(
        "export", help="write the audio encoder's ONNX graph beside its weights: faster on a CPU"
    )
    export.add_argument("--checkpoint", type=Path, required=True, help="checkpoint folder")
    judge = commands.add_parser("evaluate", help="figures of a checkpoint on a manifest")
    judge.add_argument("--checkpoint", type=Path, help="checkpoint folder; the bundled one if left out")
    judge.add_argument("--manifest", type=Path, default=DEFAULT_DATA / "manifest.csv")
    judge.add_argument("--split", default="test", choices=["train", "dev", "test"])
    judge.add_argument("--out", type=Path, required=True, help="folder for figures.json and predictions.csv")
    return parser


if __name__ == "__main__":
    sys.exit(main())
