"""Networks as functions, and what a user's own function says of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from edgecompile.core.model import Model
from edgecompile.core.tensor import TensorInfo
from edgecompile.errors import InputError, Problem
from edgecompile.passes.edit import Array
from edgecompile.passes.quantize.observe import Executor
from edgecompile.passes.quantize.sample_files import call_function, load_function


def score_of(source: str, model: Model) -> float:
    """What the function "module:name" says of `model`. Raises InputError (EC3307, EC3310)."""
    result = call_function(load_function(source), source, as_function(model))
    is_number = isinstance(result, int | float | np.number)
    if not is_number or not np.isfinite(result):
        got = str(result) if is_number else f"a {type(result).__name__}"
        fix = "return one number, such as an accuracy"
        raise InputError(Problem("EC3310", f"'{source}' gives no score", "", f"it returned {got}", fix))
    return float(result)


def as_function(model: Model) -> Callable[..., Any]:
    """`model` as a function of whole batches: arrays (N, ...) go in, one an input, and come out.

    A leading dimension of 1 in the network's shapes is the sample axis. Computed in onnxruntime, quantized
    networks without its graph optimizations.
    """
    execute = Executor(model, exact=any(node.op_type == "QuantizeLinear" for node in model.graph.graph))
    infos = model.inputs

    def run(*batches: Array) -> Any:
        _check_batches(batches, infos)
        results = []
        for sample in zip(*batches, strict=True):
            feeds = {
                info.name: np.ascontiguousarray(array, dtype=info.dtype).reshape(info.shape)
                for info, array in zip(infos, sample, strict=True)
            }
            results.append(list(execute(feeds).values()))
        columns = [np.stack(column) for column in zip(*results, strict=True)]
        merged = [column[:, 0] if column.shape[1:2] == (1,) else column for column in columns]
        return merged[0] if len(merged) == 1 else tuple(merged)

    return run


def _check_batches(batches: Sequence[Array], infos: Sequence[TensorInfo]) -> None:
    """Raise ValueError, in the user's own function, for arrays that are no samples of the inputs."""
    if len(batches) != len(infos):
        raise ValueError(f"the network has {len(infos)} inputs, it was called with {len(batches)}")
    for info, array in zip(infos, batches, strict=True):
        if math.prod(np.shape(array)[1:]) != math.prod(info.shape):
            raise ValueError(f"'{info.name}' takes (samples, *{info.shape}), the array is {np.shape(array)}")
