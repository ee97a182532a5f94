"""Networks as functions, and what a user's own function says of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from edgecompile.core.model import Model
from edgecompile.errors import InputError, Problem
from edgecompile.passes.edit import Array
from edgecompile.passes.quantize.observe import Executor
from edgecompile.passes.quantize.sample_files import call_function, load_function


def score_of(source: str, model: Model) -> float:
    """What the function "module:name" says of `model`. Raises InputError (EC3307, EC3310)."""
    result = call_function(load_function(source), source, as_function(model))
    if not isinstance(result, int | float | np.number):
        why, fix = f"it returned a {type(result).__name__}", "return one number, such as an accuracy"
        raise InputError(Problem("EC3310", f"'{source}' gives no score", source, why, fix))
    return float(result)


def as_function(model: Model) -> Callable[..., Any]:
    """`model` as a function of whole batches: arrays (N, ...) go in, one an input, and come out.

    A leading dimension of 1 in the network's shapes is the sample axis. Computed in onnxruntime, quantized
    networks without its graph optimizations.
    """
    execute = Executor(model, exact=any(node.op_type == "QuantizeLinear" for node in model.graph.graph))
    infos = model.inputs

    def run(*batches: Array) -> Any:
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
