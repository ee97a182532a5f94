"""LSTM, GRU and RNN. Weights, biases and peepholes must be constants: they are repacked at compile time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from edgecompile.kernels.compute import accumulator, shape_of
from edgecompile.kernels.compute_cells import ACTIVATIONS, Activation, GruCell, LstmCell, RnnCell, activation
from edgecompile.kernels.compute_recurrent import Cell, Operands, Products, Sequences, recurrent
from edgecompile.kernels.gpu.machine import Gpu
from edgecompile.kernels.gpu.recurrent import GpuLayer, fits_a_block
from edgecompile.lower.registry import Kind, NodeView, Tensor, op


@op("LSTM", kind=Kind.OPAQUE, static=(1, 2, 3, 7))
def lstm(n: NodeView) -> list[Tensor]:
    """Y, Y_h, Y_c; gates in the order input, output, forget, cell."""
    forget = bool(n.attr("input_forget", 0))
    functions = _activations(n, ("Sigmoid", "Tanh", "Tanh"))
    cells = [LstmCell(f, g, h, _clip(n), forget) for f, g, h in functions]
    return _run(n, cells, bias=_summed_bias(n), lengths=4, hidden=5, cell=6, peepholes=n.const(7))


@op("GRU", kind=Kind.OPAQUE, static=(1, 2, 3))
def gru(n: NodeView) -> list[Tensor]:
    """Y, Y_h; gates in the order update, reset, hidden."""
    after = bool(n.attr("linear_before_reset", 0))
    cells = [GruCell(f, g, _clip(n), after) for f, g in _activations(n, ("Sigmoid", "Tanh"))]
    bias, recurrent_bias = _summed_bias(n), None
    both = n.const(3)
    if after and both is not None and bias is not None:
        width = bias.shape[1] // 3
        recurrent_bias = both[:, -width:]
        bias[:, -width:] = both[:, 2 * width : 3 * width]
    return _run(n, cells, bias=bias, recurrent_bias=recurrent_bias, lengths=4, hidden=5)


@op("RNN", kind=Kind.OPAQUE, static=(1, 2, 3))
def rnn(n: NodeView) -> list[Tensor]:
    """Y, Y_h."""
    cells = [RnnCell(f, _clip(n)) for (f,) in _activations(n, ("Tanh",))]
    return _run(n, cells, bias=_summed_bias(n), lengths=4, hidden=5)


def _run(
    n: NodeView,
    cells: Sequence[Cell],
    *,
    bias: np.ndarray | None,
    recurrent_bias: np.ndarray | None = None,
    peepholes: np.ndarray | None = None,
    lengths: int,
    hidden: int,
    cell: int | None = None,
) -> list[Tensor]:
    """Emit the layer; results are aligned with the node's outputs."""
    weights, recurrence = (n.require_const(index) for index in (1, 2))
    sequences = _sequences(n, hidden_size=recurrence.shape[-1])
    dtype = accumulator(n.outputs[0].dtype if n.outputs[0].name else str(n.input(0).dtype))
    gpu = Gpu(n.isa.multiprocessors) if n.isa.multiprocessors else None
    shared = gpu is not None and fits_a_block(cells[0], sequences.hidden, dtype, gpu)
    # What does not fit is one thread's, as on a CPU.
    isa = n.isa if shared else replace(n.isa, multiprocessors=0)
    products = Products.choose(sequences, cells[0], isa, dtype)
    inputs, states = products.pack(weights, recurrence)

    def packed(array: np.ndarray | None, label: str) -> Tensor | None:
        return None if array is None else n.weight(np.ascontiguousarray(array, dtype), label)

    operands = Operands(
        n.input(0),
        n.weight(inputs.astype(dtype), "weights"),
        n.weight(states.astype(dtype), "recurrence"),
        packed(bias, "bias"),
        packed(recurrent_bias, "recurrent_bias"),
        packed(peepholes, "peepholes"),
        n.input(lengths) if n.has(lengths) else None,
        n.input(hidden) if n.has(hidden) else None,
        n.input(cell) if cell is not None and n.has(cell) else None,
    )
    wanted = tuple(_is_read(n, index) for index in range(3))
    emit = partial(GpuLayer, isa=isa) if shared else None
    results = iter(recurrent(operands, sequences, cells, products, wanted, emit))
    built = [next(results) if want else None for want in wanted]
    # A result that nobody reads needs a tensor in its place, not a computation.
    return [tensor if tensor is not None else n.input(0) for tensor in built[: len(n.outputs)]]


def _is_read(n: NodeView, index: int) -> bool:
    if index >= len(n.node.outputs) or not n.node.outputs[index].name:
        return False
    value = n.node.outputs[index]
    return value.is_graph_output() or bool(value.consumers())


def _sequences(n: NodeView, hidden_size: int) -> Sequences:
    direction = n.attr("direction", "forward")
    reverse = {"forward": (False,), "reverse": (True,), "bidirectional": (False, True)}
    batch_first = bool(n.attr("layout", 0))
    first, second, features = shape_of(n.input(0))
    steps, batch = (second, first) if batch_first else (first, second)
    return Sequences(steps, batch, features, hidden_size, reverse[direction], batch_first)


def _summed_bias(n: NodeView) -> np.ndarray | None:
    """The sum of the input and recurrent biases, [D, G*H]."""
    bias = n.const(3)
    if bias is None:
        return None
    half = bias.shape[1] // 2
    total: np.ndarray = bias[:, :half] + bias[:, half:]
    return total


def _clip(n: NodeView) -> float | None:
    clip = n.attr("clip")
    return None if clip is None else float(clip)


def _activations(n: NodeView, defaults: tuple[str, ...]) -> list[tuple[Activation, ...]]:
    """One tuple of functions a direction; alpha and beta lists are consumed by those that have them."""
    directions = 2 if n.attr("direction", "forward") == "bidirectional" else 1
    names = n.attr("activations") or defaults * directions
    alphas, betas = list(n.attr("activation_alpha") or ()), list(n.attr("activation_beta") or ())
    functions = []
    for name in names:
        kind = ACTIVATIONS.get(name.lower())
        if kind is None:
            raise n.unsupported(f"activation {name} is not known", "use one that ONNX defines")
        alpha = _next(alphas, kind.alpha)
        functions.append(activation(name, alpha, _next(betas, kind.beta)))
    width = len(defaults)
    return [tuple(functions[start : start + width]) for start in range(0, len(functions), width)]


def _next(given: list[float], default: float | None) -> float:
    """The function's parameter: from the list if it takes one, else its default."""
    if default is None:
        return 0.0
    return float(given.pop(0)) if given else default
