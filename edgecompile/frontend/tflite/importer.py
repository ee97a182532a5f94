"""From a TensorFlow Lite file to a checked `Model`.

The result is an ordinary ONNX graph: int8 tensors of the file with its own scales, arithmetic between
DequantizeLinear and QuantizeLinear, inputs and outputs with the file's element types. The model's metadata
names TFLite's rounding, with which these integers can be reproduced exactly.
"""

from __future__ import annotations

import hashlib
from importlib import import_module
from pathlib import Path

import onnx
import onnx_ir as ir

from edgecompile.core.integer import ROUNDING_KEY
from edgecompile.core.model import Model, Provenance, describe_quantization
from edgecompile.core.names import fix_names
from edgecompile.errors import EdgeCompileError, InputError, Problem, UnsupportedError
from edgecompile.frontend.limits import read_model_file
from edgecompile.frontend.onnx import finish_import
from edgecompile.frontend.options import ImportOptions
from edgecompile.frontend.tflite.graph import GraphBuilder
from edgecompile.frontend.tflite.registry import TRANSLATIONS
from edgecompile.frontend.tflite.schema import Network, Tensor, read_network
from edgecompile.frontend.tflite.view import OperatorView, dynamic
from edgecompile.frontend.weights import check_weights

# How TFLite's reference kernels round: in two steps (gemmlowp); but FULLY_CONNECTED (in LiteRT 2.3) rounds
# the exact product of the sum and the scales once, which is "single" up to 2^-31 of the multiplier.
_ROUNDING = {ROUNDING_KEY: "double", f"{ROUNDING_KEY}.Gemm": "single"}
_OPSET = 24
_IR_VERSION = 10
_FAMILIES = ("convolution", "elementwise", "movement", "pool", "recurrent", "resize", "slicing")
for _family in _FAMILIES:
    import_module(f"edgecompile.frontend.tflite.{_family}")

_STATEFUL = ("VAR_HANDLE", "READ_VARIABLE", "ASSIGN_VARIABLE", "CALL_ONCE")
_STATE_FIX = "export the network with its states as inputs and outputs"


def load_tflite(path: str | Path, options: ImportOptions | None = None) -> Model:
    """Read the TensorFlow Lite file at `path`; its main graph becomes the network.

    Raises InputError (EC31xx) for what is not a valid file, UnsupportedError for valid ones that cannot be
    imported: EC4141 operator without a translation, EC4142 operand that must be constant, EC4143 shape known
    at run time only, EC4144 variant of an operator; UsageError (EC21xx) for options that do not fit.
    """
    path = Path(path)
    data = read_model_file(path, foreign=True)
    network = read_network(data, str(path))
    graph, notes = _translate(network)
    provenance = Provenance(path.name, hashlib.sha256(data).hexdigest(), _OPSET, network.description)
    notes += _check(graph)
    model = finish_import(Model(graph, provenance, notes), options or ImportOptions())
    model.graph.metadata_props.update(_ROUNDING)
    return model


def _translate(network: Network) -> tuple[ir.Model, tuple[str, ...]]:
    _check_indices(network)
    _check_operators(network)
    builder = GraphBuilder(network)
    inputs = [builder.add_input(_border(network.tensors[index])) for index in network.inputs]
    problems: list[Problem] = []
    for operator in network.operators:
        view = OperatorView(builder, operator)
        try:
            TRANSLATIONS[operator.name](view)
        except UnsupportedError as error:
            problems += error.problems
            for index in operator.outputs:  # stand-ins, so that all problems are found
                builder.values.setdefault(index, ir.Value(name=network.tensors[index].name))
        except (EdgeCompileError, MemoryError):
            raise
        except Exception as error:  # shapes and numbers that no converter writes
            raise view.malformed(f"{type(error).__name__}: {error}") from None
    if problems:
        raise UnsupportedError(*problems)
    outputs = [_output(builder, network.tensors[index]) for index in network.outputs]
    for value, index in zip((*inputs, *outputs), network.inputs + network.outputs, strict=True):
        _describe(value, network.tensors[index])
    notes = builder.notes + [
        f"dimension {axis} of input '{tensor.name}' bound to {tensor.shape[axis]}"
        for tensor in (network.tensors[index] for index in network.inputs)
        for axis in tensor.free
    ]
    graph = ir.Graph(
        inputs,
        outputs,
        nodes=builder.nodes,
        initializers=_named_apart(builder.initializers),
        opset_imports={"": _OPSET},
        name="main",
    )
    return ir.Model(graph, ir_version=_IR_VERSION), tuple(notes)


def _describe(value: ir.Value, tensor: Tensor) -> None:
    """Note in the graph what the integers of an input or output stand for."""
    parameters = tensor.quantization
    if parameters is not None and len(parameters.scale) == 1:
        describe_quantization(value, parameters.scale[0], parameters.zero_point[0])


def _named_apart(values: list[ir.Value]) -> list[ir.Value]:
    """Initializers are kept by name: later ones of the same name get a number."""
    counts: dict[str, int] = {}
    for value in values:
        name = base = value.name or ""
        while name in counts:
            counts[base] += 1
            name = f"{base}#{counts[base]}"
        counts[name] = 0
        value.name = name
    return values


def _border(tensor: Tensor) -> Tensor:
    if not tensor.dtype:
        why, fix = f"it is {tensor.kind}", "convert the network with tensors of numbers as inputs"
        raise UnsupportedError(
            Problem("EC4111", f"input '{tensor.name}' is not a tensor of numbers", "", why, fix)
        )
    if -1 in tensor.shape:
        raise UnsupportedError(dynamic(tensor, "it is an input"))
    return tensor


def _output(builder: GraphBuilder, tensor: Tensor) -> ir.Value:
    """The value of an output; an input or a constant is copied, as every output must have a node."""
    value = builder.stored(tensor.index)
    if value.producer() is not None:
        return value
    copy = builder.emit("Identity", [value], {}, f"{tensor.layer}/output")[0]
    copy.name, copy.shape, copy.type = f"{tensor.name}/output", value.shape, value.type
    return copy


def _check_indices(network: Network) -> None:
    """Raise InputError (EC3164) for operators that name tensors which do not exist."""
    count = len(network.tensors)
    lists = [("the network", network.inputs + network.outputs, 0)]
    lists += [(operator.name, operator.inputs, -1) for operator in network.operators]
    lists += [(operator.name, operator.outputs, 0) for operator in network.operators]
    for what, indices, least in lists:
        for index in indices:
            if not least <= index < count:
                why = f"there are {count}"
                raise InputError(
                    Problem("EC3164", f"{what} names tensor {index}, which does not exist", "", why)
                )
    if not network.outputs:
        raise InputError(Problem("EC3164", "the network has no outputs", "", "nothing would be computed"))


def _check_operators(network: Network) -> None:
    """Raise UnsupportedError (EC4141), one problem an operator, that names every layer with it."""
    unknown: dict[str, list[str]] = {}
    for operator in network.operators:
        if operator.name not in TRANSLATIONS:
            touched = [i for i in (operator.outputs or operator.inputs) if i >= 0]
            name = network.tensors[touched[0]].layer if touched else operator.name
            unknown.setdefault(operator.name, []).append(name)
    if unknown:
        raise UnsupportedError(*(_unknown(name, layers) for name, layers in unknown.items()))


def _unknown(name: str, layers: list[str]) -> Problem:
    stateful = name in _STATEFUL
    why = "it keeps a state between runs" if stateful else "it has no translation"
    fix = _STATE_FIX if stateful else "build the network from other operators"
    places = ", ".join(layers[:8]) + (f" and {len(layers) - 8} more" if len(layers) > 8 else "")
    return Problem("EC4141", f"operator {name} cannot be imported", places, why, fix)


def _check(graph: ir.Model) -> tuple[str, ...]:
    """Is the result valid ONNX, and are the shapes in the file those that its operators compute?

    Raises InputError (EC3166) where the file contradicts itself, EC3123 for constants that hold NaN.
    """
    fix_names(graph)
    message = ir.to_proto(graph)
    notes = check_weights(message)
    try:
        onnx.checker.check_model(message)
        onnx.shape_inference.infer_shapes(message, check_type=True, strict_mode=True, data_prop=True)
    except EdgeCompileError:
        raise
    except Exception as error:  # ValidationError or InferenceError
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        why = lines[-1] if lines else type(error).__name__
        fix = "convert the network again"
        raise InputError(Problem("EC3166", "the file contradicts itself", "", why, fix)) from None
    return notes
