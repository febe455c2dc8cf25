"""ONNX Runtime sessions of the graphs, with the weights of a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnxruntime

from ..errors import one_line
from .files import Graph, read_graph, unusable

Weights = Mapping[str, npt.NDArray[np.float32]]

_WEIGHT_NORM: Final = ".parametrizations.weight.original"


def open_session(
    file: Path, graph: Graph, weights: Weights, threads: int, *, fused_operators: bool = True
) -> Any:
    """weights: of the whole network, see `folded`. fused_operators: whether to look for operators to compute
    as one, which takes a third of the time of opening.

    Raises CheckpointError where the weights do not fit the graph.
    """
    data = read_graph(file, graph)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    if not fused_operators:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    # Spinning threads would take CPU time from the transcriber.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        values = [onnxruntime.OrtValue.ortvalue_from_numpy(weights[name]) for name in graph.weights]
        options.add_external_initializers(graph.weights, values)
        return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # the library's errors have no common base class
        raise unusable(file, one_line(error)) from error


def folded(weights: Weights) -> dict[str, npt.NDArray[np.float32]]:
    """With every weight norm w = g v / |v| computed (Salimans, Kingma, arXiv 1602.07868): the graphs hold
    plain convolutions.
    """
    plain = {name: np.ascontiguousarray(values) for name, values in weights.items()}
    for name in [name for name in plain if name.endswith(f"{_WEIGHT_NORM}0")]:
        base = name.removesuffix(f"{_WEIGHT_NORM}0")
        magnitude, direction = plain.pop(name), plain.pop(f"{base}{_WEIGHT_NORM}1")
        summed = tuple(axis for axis, size in enumerate(magnitude.shape) if size == 1)
        length = np.sqrt((direction.astype(np.float64) ** 2).sum(axis=summed, keepdims=True))
        plain[f"{base}.weight"] = (magnitude * direction / length).astype(np.float32)
    return plain
