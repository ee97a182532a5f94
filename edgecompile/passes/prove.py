"""Proof that a pass changed nothing: both graphs run in onnxruntime on the same inputs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import onnx_ir as ir

from edgecompile.core.model import Model
from edgecompile.core.tensor import TensorInfo
from edgecompile.errors import InternalError, Problem
from edgecompile.passes.edit import Array, static_shape
from edgecompile.passes.quantize.interpreter import Interpreter, is_integer, moves_words

# Integer inputs are mostly indices and lengths. Without a known bound, stay below the smallest usual one.
_INTEGER_BOUND = 4
# An option of onnxruntime's sessions: its optimizer would round the activations of products with weights of 4
# bits to 8 bits, unless it is told to sum in float32.
FLOAT_SUMS = ("session.qdq_matmulnbits_accuracy_level", "1")


def generate_inputs(
    infos: Sequence[TensorInfo], seed: int, bounds: Mapping[str, int] | None = None
) -> dict[str, Array]:
    """Random inputs by name, the same for the same `seed`.

    Floats are standard normal; 8-bit integers take all values; wider integers lie in [0, bound), where
    `bounds` gives the bound by input name (see `index_bounds`); booleans are true or false alike.
    """
    generator = np.random.default_rng(seed)
    return {info.name: _generate(info, generator, (bounds or {}).get(info.name)) for info in infos}


def _generate(info: TensorInfo, generator: np.random.Generator, bound: int | None) -> Array:
    if info.dtype == "bool":
        return generator.integers(0, 2, info.shape).astype(np.bool_)
    if info.dtype in ("int8", "uint8") and bound is None:
        low, high = np.iinfo(info.dtype).min, np.iinfo(info.dtype).max
        return generator.integers(low, high, info.shape, endpoint=True).astype(info.dtype)
    if info.dtype.startswith(("int", "uint")):
        return generator.integers(0, bound or _INTEGER_BOUND, info.shape).astype(info.dtype)
    import ml_dtypes  # noqa: F401  (registers bfloat16 and the 8-bit floats with numpy)

    return np.asarray(generator.standard_normal(info.shape)).astype(np.dtype(info.dtype))


def index_bounds(model: Model) -> dict[str, int]:
    """For integer inputs used as indices: the smallest length of an axis that they index."""
    bounds: dict[str, int] = {}
    for value in model.graph.graph.inputs:
        found = list(_bounds_of(value, set()))
        if found:
            bounds[value.name or ""] = min(found)
    return bounds


def _bounds_of(value: ir.Value, seen: set[int]) -> Iterator[int]:
    """Axis lengths that `value`, or a reshaped or cast copy of it, indexes."""
    if id(value) in seen:
        return
    seen.add(id(value))
    for node, position in value.uses():
        shape = static_shape(node.inputs[0]) or _constant_shape(node.inputs[0])
        if node.op_type in ("Gather", "GatherElements") and position == 1 and shape:
            yield shape[node.attributes.get_int("axis", 0)]
        elif node.op_type in _COPIES and position == 0:
            yield from _bounds_of(node.outputs[0], seen)


def _constant_shape(value: ir.Value | None) -> tuple[int, ...]:
    """The shape of the tensor in a Constant node, whose output may have no type yet."""
    tensor = ir.convenience.get_const_tensor(value) if value is not None else None
    return tuple(tensor.shape.numpy()) if tensor is not None else ()


_COPIES = ("Cast", "Expand", "Flatten", "Identity", "Reshape", "Slice", "Squeeze", "Transpose", "Unsqueeze")


def run_model(model: Model, inputs: Mapping[str, Array], optimize: bool = False) -> list[Array]:
    """The outputs of `model` in onnxruntime on one thread, its graph optimizations disabled by default.

    Integer operators, and moves of 16-bit integers, are computed by our interpreter. Where onnxruntime has no
    kernel, onnx's reference evaluator computes instead. Raises InternalError (EC1201) when neither can run
    the graph.
    """
    if is_integer(model) or moves_words(model):
        return Interpreter(model).run(inputs)
    data = model.to_bytes()
    try:
        return _run_onnxruntime(data, inputs, optimize)
    except Exception as error:  # onnxruntime raises a class for every status code
        try:
            return _run_reference(data, inputs)
        except Exception:
            why = str(error).splitlines()[0]
            what = "the graph cannot be executed for comparison"
            raise InternalError(Problem("EC1201", what, model.provenance.source, why)) from error


def _run_onnxruntime(data: bytes, inputs: Mapping[str, Array], optimize: bool) -> list[Array]:
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.add_session_config_entry(*FLOAT_SUMS)
    if not optimize:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    session = ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    return [np.asarray(output) for output in session.run(None, dict(inputs))]


def _run_reference(data: bytes, inputs: Mapping[str, Array]) -> list[Array]:
    import onnx
    from onnx.reference import ReferenceEvaluator

    session = ReferenceEvaluator(onnx.load_model_from_string(data))
    return [np.asarray(output) for output in session.run(None, dict(inputs))]


def prove_in_onnxruntime(before: Model, after: Model) -> float:
    """The largest relative error of any output of `after`; a `Prover` of `edgecompile.core.pipeline`."""
    return Prover()(before, after)


class Prover:
    """Compares two models on `samples` seeded inputs."""

    def __init__(self, samples: int = 1, seed: int = 0) -> None:
        self._samples = samples
        self._seed = seed

    def __call__(self, before: Model, after: Model) -> float:
        if _output_names(before) != _output_names(after):
            return float("inf")
        worst = 0.0
        bounds = index_bounds(after)
        for seed in range(self._seed, self._seed + self._samples):
            inputs = generate_inputs(before.inputs, seed, bounds)
            expected, actual = run_model(before, inputs), run_model(after, inputs)
            errors = [relative_error(*pair) for pair in zip(expected, actual, strict=True)]
            worst = max([worst, *errors])
        return worst


def _output_names(model: Model) -> list[str | None]:
    return [value.name for value in model.graph.graph.outputs]


def relative_error(expected: Array, actual: Array) -> float:
    """max |actual - expected| / max |expected|; 0 for equal arrays, infinity when they cannot be compared.

    NaN and infinities are equal where both arrays have the same one. Against an all-zero reference the error
    is absolute.
    """
    if expected.shape != actual.shape or expected.dtype != actual.dtype:
        return float("inf")
    if expected.dtype.kind in "OSUb":
        return 0.0 if np.array_equal(expected, actual) else float("inf")
    left, right = expected.astype(np.float64), actual.astype(np.float64)
    finite = np.isfinite(left)
    if not np.array_equal(finite, np.isfinite(right)):
        return float("inf")
    if not np.array_equal(left[~finite], right[~finite], equal_nan=True):
        return float("inf")
    if not finite.any():
        return 0.0
    scale = float(np.abs(left[finite]).max())
    difference = float(np.abs(left[finite] - right[finite]).max())
    return difference / scale if scale > 0 else difference
