"""One operator by itself: compiled and executed, against what a reference says."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Literal

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from edgecompile.core.fused import DOMAIN, declare_functions
from edgecompile.core.model import Model, Provenance
from edgecompile.lower.lower import PlansOf, usual_plans
from tests.support.execute import execute

Array = np.ndarray[Any, Any]
Reference = Literal["onnxruntime", "onnx"]

_IR_VERSION = 10


def node_model(
    op_type: str,
    inputs: Sequence[Array | None],
    constants: Collection[int] = (),
    outputs: Sequence[str] = ("y0",),
    domain: str = "",
    opset: int = 22,
    **attributes: Any,
) -> onnx.ModelProto:
    """A model of one node. Input i is called "x{i}", an initializer if in `constants`; None is left out."""
    names = ["" if array is None else f"x{i}" for i, array in enumerate(inputs)]
    node = helper.make_node(op_type, names, list(outputs), name="node", domain=domain, **attributes)
    given = [(name, array) for name, array in zip(names, inputs, strict=True) if array is not None]
    fixed = {f"x{i}" for i in constants}
    graph = helper.make_graph(
        [node],
        "test",
        [_describe(name, array) for name, array in given if name not in fixed],
        [onnx.ValueInfoProto(name=name) for name in outputs if name],
        [numpy_helper.from_array(array, name) for name, array in given if name in fixed],
    )
    versions = {"": opset, **({domain: 1} if domain else {})}
    imports = [helper.make_opsetid(*item) for item in versions.items()]
    model = helper.make_model(graph, opset_imports=imports, ir_version=_IR_VERSION)
    if domain != DOMAIN:
        return model
    declared = ir.from_proto(model)
    declare_functions(declared)
    return ir.to_proto(declared)


def expect(model: onnx.ModelProto, inputs: Sequence[Array | None], reference: Reference) -> list[Array]:
    """Outputs of `model` by the reference, for its inputs by position."""
    names = [value.name for value in model.graph.input]
    feeds = {name: inputs[int(name[1:])] for name in names}
    if reference == "onnx":
        return [np.asarray(array) for array in ReferenceEvaluator(model).run(None, feeds)]
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    return [np.asarray(array) for array in session.run(None, feeds)]


def compiled(
    model: onnx.ModelProto,
    inputs: Sequence[Array | None],
    shapes: Sequence[Array],
    emit: str = "lib",
    plans: PlansOf = usual_plans,
) -> list[Array]:
    """Outputs of the compiled `model`; `shapes` are arrays of the outputs' shapes and types."""
    typed = onnx.ModelProto()
    typed.CopyFrom(model)
    for value, like in zip(typed.graph.output, shapes, strict=True):
        value.CopyFrom(_describe(value.name, like))
    network = Model(ir.from_proto(typed), Provenance("test", "", model.opset_import[0].version))
    arrays = [inputs[int(value.name[1:])] for value in typed.graph.input]
    return execute(network, [array for array in arrays if array is not None], emit=emit, plans=plans)


def check_node(
    op_type: str,
    inputs: Sequence[Array | None],
    reference: Reference = "onnxruntime",
    rtol: float = 1e-5,
    emit: str = "lib",
    plans: PlansOf = usual_plans,
    **description: Any,
) -> list[Array]:
    """Compile and execute one node, assert that it agrees with the reference, return its outputs.

    `description` goes to `node_model`. `rtol` is relative to the largest magnitude of each output.
    """
    model = node_model(op_type, inputs, **description)
    expected = expect(model, inputs, reference)
    results = compiled(model, inputs, expected, emit, plans)
    for got, want in zip(results, expected, strict=True):
        assert got.dtype == want.dtype
        assert_close(got, want, rtol)
    return results


def assert_close(got: Array, want: Array, rtol: float = 1e-5) -> None:
    """Equal shapes, and elements equal within `rtol` of the largest finite magnitude of `want`."""
    assert got.shape == want.shape
    if want.dtype.kind != "f":
        np.testing.assert_array_equal(got, want)
        return
    finite = np.abs(want[np.isfinite(want)])
    scale = float(finite.max()) if finite.size else 1.0
    np.testing.assert_allclose(got, want, rtol=rtol, atol=rtol * max(scale, 1e-30))


def normal(*shape: int, seed: int = 0, dtype: str = "float32") -> Array:
    """Standard normal numbers."""
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def _describe(name: str, array: Array) -> onnx.ValueInfoProto:
    kind = helper.np_dtype_to_tensor_dtype(array.dtype)
    return helper.make_tensor_value_info(name, kind, list(array.shape))
