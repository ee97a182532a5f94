"""Execute a graph with integer operators, bit by bit as they are specified.

Integer operators, QuantizeLinear and DequantizeLinear are computed here; every other node is a model of one
node for onnxruntime (onnx's reference evaluator where onnxruntime has no kernel).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from edgecompile.core.integer import DOMAIN
from edgecompile.core.model import Model
from edgecompile.errors import InternalError, Problem
from edgecompile.passes.edit import constant_of
from edgecompile.passes.integer.moves import is_move
from edgecompile.passes.quantize.arithmetic import Array
from edgecompile.passes.quantize.operators import OPERATORS

_IR_VERSION = 10
# Relative size of the noise that `jitter` puts on results of float operators: some units in the last place.
JITTER = 5e-7


def is_integer(model: Model) -> bool:
    """Whether the graph has nodes that only this interpreter can execute."""
    return any(node.domain == DOMAIN for node in model.graph.graph)


def moves_words(model: Model) -> bool:
    """Whether the graph moves integers of 16 bits, for which onnxruntime has few kernels."""
    return any(_is_word_move(node) for node in model.graph.graph)


def is_exact(model: Model, name: str) -> bool:
    """Whether the output `name` is computed by nothing but integer operators, moves and their borders."""
    pending = [value for value in model.graph.graph.outputs if value.name == name]
    seen = set(pending)
    while pending:
        node = pending.pop().producer()
        if node is None:
            continue
        is_real = any(value.dtype is not None and value.dtype.is_floating_point() for value in node.outputs)
        if is_real and node.op_type not in _LINEAR and not is_move(node):
            return False
        sources = {value for value in node.inputs if value is not None} - seen
        seen |= sources
        pending += sources
    return True


class Interpreter:
    """Executes one model on many inputs.

    With `jitter` (a seed), results of float operators are multiplied by 1 + noise of relative `size`, about
    their own rounding: how far two right executions of the same graph may be apart.
    """

    def __init__(self, model: Model, jitter: int | None = None, size: float = JITTER) -> None:
        self._model, self._size = model, size
        self._noise = None if jitter is None else np.random.default_rng(jitter)
        self._sessions: dict[ir.Node, Any] = {}

    def run(self, inputs: Mapping[str, Array], names: Sequence[str] | None = None) -> list[Array]:
        """The values called `names` (default: the outputs of the graph)."""
        graph = self._model.graph.graph
        wanted = [str(value.name) for value in graph.outputs] if names is None else list(names)
        values = dict(inputs)
        for name, value in graph.initializers.items():
            array = constant_of(value)
            assert array is not None
            values[name] = array
        for node in graph:
            arrays = [None if value is None else values[str(value.name)] for value in node.inputs]
            results = self._compute(node, arrays)
            written = [str(value.name) for value in node.outputs if value.name]
            values.update(zip(written, results, strict=True))
        return [values[name] for name in wanted]

    def _compute(self, node: ir.Node, arrays: list[Array | None]) -> list[Array]:
        if node.domain == DOMAIN:
            attributes = {name: attribute.value for name, attribute in node.attributes.items()}
            dtype = node.outputs[0].dtype
            assert dtype is not None
            return [OPERATORS[node.op_type](arrays, attributes, dtype.numpy())]
        if node.domain == "" and node.op_type in _LINEAR and _is_plain(node, arrays):
            return [_LINEAR[node.op_type](node, arrays)]
        results = self._run_alone(node, arrays)
        return [self._jittered(result) for result in results] if self._noise is not None else results

    def _jittered(self, result: Array) -> Array:
        if result.dtype.kind != "f" or self._noise is None:
            return result
        noise = self._noise.uniform(-self._size, self._size, result.shape)
        return np.asarray(result * (1.0 + noise), result.dtype)

    def _run_alone(self, node: ir.Node, arrays: list[Array | None]) -> list[Array]:
        if _is_word_move(node):
            # float32 holds these integers exactly.
            arrays = [a.astype(np.float32) if a is not None and a.dtype == np.int16 else a for a in arrays]
        names = ["" if array is None else f"in{i}" for i, array in enumerate(arrays)]
        feeds = {name: array for name, array in zip(names, arrays, strict=True) if array is not None}
        if node not in self._sessions:
            self._sessions[node] = _session(_one_node_model(self._model, node, feeds, names), node)
        results = self._sessions[node].run(None, feeds)
        return [np.asarray(result, np.int16 if _is_word_move(node) else None) for result in results]


def _is_word_move(node: ir.Node) -> bool:
    return node.outputs[0].dtype == ir.DataType.INT16 and is_move(node)


def _quantize(node: ir.Node, arrays: list[Array | None]) -> Array:
    """clamp(rint(x / scale) + zero point), in float32."""
    x, scale, zero = (*arrays, None)[:3]
    assert x is not None
    assert scale is not None
    dtype = node.outputs[0].dtype
    assert dtype is not None
    limits = np.iinfo(dtype.numpy())
    whole = np.rint(x / scale.reshape(())) + np.float32(0 if zero is None else zero.item())
    return np.asarray(np.clip(whole, limits.min, limits.max).astype(dtype.numpy()))


def _dequantize(node: ir.Node, arrays: list[Array | None]) -> Array:
    """(q - zero point) * scale, in float32."""
    q, scale, zero = (*arrays, None)[:3]
    assert q is not None
    assert scale is not None
    whole = q.astype(np.int64) - (0 if zero is None else int(zero.item()))
    return np.asarray(whole.astype(np.float32) * scale.reshape(()))


_LINEAR = {"QuantizeLinear": _quantize, "DequantizeLinear": _dequantize}


def _is_plain(node: ir.Node, arrays: list[Array | None]) -> bool:
    """One float32 scale for a tensor of 8 or 16 bits."""
    scale = arrays[1]
    stored = node.inputs[0] if node.op_type == "DequantizeLinear" else node.outputs[0]
    assert stored is not None
    is_narrow = stored.dtype in (ir.DataType.INT8, ir.DataType.UINT8, ir.DataType.INT16)
    return is_narrow and scale is not None and scale.size == 1 and scale.dtype == np.float32


def _one_node_model(model: Model, node: ir.Node, feeds: Mapping[str, Array], names: list[str]) -> Any:
    import onnx

    message = ir.to_proto(node)
    del message.input[:]
    message.input.extend(names)
    inputs = [
        onnx.helper.make_tensor_value_info(
            name, onnx.helper.np_dtype_to_tensor_dtype(array.dtype), array.shape
        )
        for name, array in feeds.items()
    ]
    outputs = [onnx.helper.make_empty_tensor_value_info(name) for name in message.output if name]
    imports = [
        onnx.helper.make_opsetid(domain, version)
        for domain, version in model.graph.graph.opset_imports.items()
        if domain != DOMAIN
    ]
    functions = [
        ir.to_proto(function)
        for (domain, name, _), function in model.graph.functions.items()
        if (domain, name) == (node.domain, node.op_type)
    ]
    graph = onnx.helper.make_graph([message], "node", inputs, outputs)
    return onnx.helper.make_model(graph, opset_imports=imports, ir_version=_IR_VERSION, functions=functions)


def _session(proto: Any, node: ir.Node) -> Any:
    """Something with run(None, feeds). Raises InternalError (EC1202) when nothing can execute the node."""
    import onnxruntime
    from onnx.reference import ReferenceEvaluator

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    try:
        return onnxruntime.InferenceSession(
            proto.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
    except Exception:  # onnxruntime raises a class for every status code
        try:
            return ReferenceEvaluator(proto)
        except Exception as error:
            what = f"{node.op_type} cannot be executed for comparison"
            why = str(error).splitlines()[0]
            raise InternalError(Problem("EC1202", what, node.name or "", why)) from error
