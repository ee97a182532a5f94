"""UNIDIRECTIONAL_SEQUENCE_LSTM on real numbers."""

from __future__ import annotations

import numpy as np

from edgecompile.frontend.tflite.registry import translates
from edgecompile.frontend.tflite.schema import Array
from edgecompile.frontend.tflite.view import OperatorView

# Where the operator has its inputs, gates in ONNX's order: input, output, forget, cell.
_INPUT_WEIGHTS = (1, 4, 2, 3)
_RECURRENT_WEIGHTS = (5, 8, 6, 7)
_PEEPHOLES = (9, 11, 10)
_BIASES = (12, 15, 13, 14)
_PROJECTION = (16, 17)
_STATES = (18, 19)
_LAYER_NORM = (20, 21, 22, 23)
_TANH = 4


@translates("UNIDIRECTIONAL_SEQUENCE_LSTM")
def lstm(n: OperatorView) -> None:
    """One LSTM over the whole sequence; the states start at zero in every run."""
    _refuse_variants(n)
    inputs = (_gates(n, _INPUT_WEIGHTS), _gates(n, _RECURRENT_WEIGHTS))
    hidden = inputs[1].shape[-1]
    biases = np.zeros(4 * hidden, np.float32)
    if n.has(_BIASES[1]):
        biases = np.concatenate([n.constant(index) for index in _BIASES])
    operands = [
        n.number(inputs[0][None], "float32", "W"),
        n.number(inputs[1][None], "float32", "R"),
        n.number(np.concatenate([biases, np.zeros_like(biases)])[None], "float32", "B"),
    ]
    if any(n.has(index) for index in _PEEPHOLES):
        peepholes = np.concatenate([n.constant(index) for index in _PEEPHOLES])[None]
        operands += [None, None, None, n.number(peepholes, "float32", "P")]  # type: ignore[list-item]
    batch_major = not n.option("TimeMajor")
    data = n.real(0, (1, 0, 2) if batch_major else None)
    result = n.emit("LSTM", data, *operands, hidden_size=hidden)
    result = n.emit("Squeeze", result, n.number([1], "int64", "axes"), step="Squeeze")
    n.store(result, perm=(1, 0, 2) if batch_major else None)
    clip = n.option("CellClip", 0.0)
    if clip:
        n.note(f"LSTM '{n.name}': the cell state is not clipped to ±{clip:g}")
    n.note(f"LSTM '{n.name}': its states start at zero in every run")


def _refuse_variants(n: OperatorView) -> None:
    if n.input(0).quantization is not None:
        why = "its integer arithmetic is not available"
        raise n.unsupported(why, "convert the network with float activations")
    variants = {
        "it couples its input and forget gates": not n.has(_INPUT_WEIGHTS[0]),
        "it has a projection": any(n.has(index) for index in _PROJECTION),
        "it normalizes its gates": any(n.has(index) for index in _LAYER_NORM),
        "its activation function is not tanh": n.option("FusedActivationFunction") != _TANH,
        "its initial states are computed": any(n.has(i) and not n.input(i).variable for i in _STATES),
        "its input has another rank than 3": len(n.shape(0)) != 3,
    }
    for why, applies in variants.items():
        if applies:
            raise n.unsupported(why)


def _gates(n: OperatorView, indices: tuple[int, ...]) -> Array:
    """The weights of all four gates below each other, [4 · hidden, inputs], as real numbers."""
    parts = []
    for index in indices:
        values, quantization = n.constant(index).astype(np.float32), n.input(index).quantization
        if quantization is not None:
            along = [1] * values.ndim
            along[quantization.axis] = len(quantization.scale)
            scale = np.array(quantization.scale, np.float32)
            zero = np.array(quantization.zero_point, np.float32)
            values = (values - zero.reshape(along)) * scale.reshape(along)
        parts.append(values)
    return np.concatenate(parts)
