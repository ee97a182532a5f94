"""Small networks for tests of quantization, as passes get them, and samples of their inputs."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnx_ir as ir

from edgecompile.core.model import Model, Provenance
from edgecompile.core.pipeline import Pipeline
from edgecompile.passes.edit import Array
from edgecompile.passes.quantize.observe import Sample
from edgecompile.passes.quantize.prepare import preparing_passes
from tests.support.networks import small_cnn
from tests.support.passes import graph


def prepared(message: onnx.ModelProto) -> Model:
    """The network after the passes that come before quantization."""
    model = Model(ir.from_proto(message), Provenance("test", "", 21))
    return Pipeline(preparing_passes()).run(model)[0]


def prepared_cnn() -> Model:
    """Conv, depthwise, residual sum, pool, dense, softmax: [1, 3, 12, 12] -> [1, 10]."""
    return prepared(small_cnn())


def noise(model: Model, count: int = 6, seed: int = 0) -> list[Sample]:
    """Samples of standard normal noise."""
    generator = np.random.default_rng(seed)
    return [
        {i.name: generator.standard_normal(i.shape).astype(np.float32) for i in model.inputs}
        for _ in range(count)
    ]


def constants(**arrays: Any) -> str:
    """Declarations of initializers with these values, for ONNX's text syntax."""
    return f"<{', '.join(_declaration(name, np.asarray(array)) for name, array in arrays.items())}>"


def _declaration(name: str, array: Array) -> str:
    kind = "int64" if array.dtype.kind == "i" else "float"
    dims = f"[{','.join(map(str, array.shape))}]" if array.ndim else ""
    numbers = ", ".join(repr(float(v)) if kind == "float" else str(v) for v in array.ravel())
    return f"{kind}{dims} {name} = {{{numbers}}}"


__all__ = ["constants", "graph", "noise", "prepared", "prepared_cnn"]
