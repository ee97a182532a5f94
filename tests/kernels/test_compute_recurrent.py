from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from tvm import te

from edgecompile.core.target import Isa, find_target
from edgecompile.kernels.compute_cells import ACTIVATIONS, GruCell, LstmCell, RnnCell, activation
from edgecompile.kernels.compute_recurrent import Cell, Operands, Products, Sequences, recurrent
from edgecompile.kernels.math import Expr
from edgecompile.lower.codegen import resolve_native
from tests.support.kernels import compute
from tests.support.operators import Array, assert_close, normal

STEPS, BATCH, FEATURES, HIDDEN = 4, 2, 3, 9
SIGMOID, TANH = activation("Sigmoid", 0, 0), activation("Tanh", 0, 0)


HOST = resolve_native(find_target("host").isa)
SCALAR = replace(HOST, vector_bits=0, l1_bytes=0)


def chosen(sequences: Sequences, cell: Cell, isa: Isa = HOST) -> Products:
    return Products.choose(sequences, cell, isa, "float32")


def packed(products: Products, weights: Array, recurrence: Array) -> tuple[Array, Array]:
    """Weights given as [D, K, columns]."""
    return products.pack(weights.swapaxes(1, 2), recurrence.swapaxes(1, 2))


def sigmoid(x: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-x)))


def slow_lstm(gates: Array, hidden: Array, cell: Array) -> tuple[Array, Array]:
    i, o, f, c = np.split(gates, 4)
    cell = sigmoid(f) * cell + sigmoid(i) * np.tanh(c)
    return sigmoid(o) * np.tanh(cell), cell


def slow_rnn(gates: Array, hidden: Array, cell: Array) -> tuple[Array, Array]:
    return np.tanh(gates), cell


@pytest.mark.parametrize(
    ("cell", "gates", "slow"),
    [
        (LstmCell(SIGMOID, TANH, TANH, None, False), 4, slow_lstm),
        (RnnCell(TANH, None), 1, slow_rnn),
    ],
)
@pytest.mark.parametrize("isa", [HOST, SCALAR], ids=["vectors", "scalar"])
@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("reverse", [False, True])
def test_states_follow_the_equations(
    cell: Cell,
    gates: int,
    slow: Callable[..., tuple[Array, Array]],
    batch_first: bool,
    reverse: bool,
    isa: Isa,
) -> None:
    data, lengths = normal(STEPS, BATCH, FEATURES), np.array([4, 2], "int32")
    weights, recurrence = (
        normal(1, FEATURES, gates * HIDDEN, seed=1),
        normal(1, HIDDEN, gates * HIDDEN, seed=2),
    )
    bias = normal(1, gates * HIDDEN, seed=3)
    y = np.zeros((STEPS, 1, BATCH, HIDDEN), "float32")
    last = np.zeros((1, BATCH, HIDDEN), "float32")
    for sample in range(BATCH):
        hidden = memory = np.zeros(HIDDEN)
        steps = range(lengths[sample])
        for t in reversed(steps) if reverse else steps:
            total = data[t, sample] @ weights[0] + hidden @ recurrence[0] + bias[0]
            hidden, memory = slow(total, hidden, memory)
            y[t, 0, sample] = hidden
        last[0, sample] = hidden
    if batch_first:
        data, y, last = data.transpose(1, 0, 2), y.transpose(2, 0, 1, 3), last.transpose(1, 0, 2)
    sequences = Sequences(STEPS, BATCH, FEATURES, HIDDEN, (reverse,), batch_first)
    products = chosen(sequences, cell, isa)

    def definition(x: te.Tensor, w: te.Tensor, r: te.Tensor, b: te.Tensor, n: te.Tensor) -> list[te.Tensor]:
        operands = Operands(x, w, r, bias=b, lengths=n)
        return recurrent(operands, sequences, [cell], products, (True, True, False))

    results = compute(definition, data, *packed(products, weights, recurrence), bias, lengths)
    assert_close(results[0], y)
    assert_close(results[1], last)


def test_lengths_are_kept_within_the_sequence() -> None:
    """Lengths come from outside: they must not lead to reads beyond the input."""
    data, lengths = normal(STEPS, 2, FEATURES), np.array([-3, 1000], "int32")
    weights, recurrence = normal(1, FEATURES, HIDDEN, seed=1), normal(1, HIDDEN, HIDDEN, seed=2)
    sequences = Sequences(STEPS, 2, FEATURES, HIDDEN, (False,), False)

    cell = RnnCell(TANH, None)
    products = chosen(sequences, cell)

    def definition(x: te.Tensor, w: te.Tensor, r: te.Tensor, n: te.Tensor) -> list[te.Tensor]:
        return recurrent(Operands(x, w, r, lengths=n), sequences, [cell], products, (True, False, False))

    (y,) = compute(definition, data, *packed(products, weights, recurrence), lengths)
    np.testing.assert_array_equal(y[:, 0, 0], 0)
    assert (np.abs(y[:, 0, 1]).sum(axis=1) > 0).all()


@pytest.mark.parametrize("after", [False, True])
def test_gru_resets_before_or_after_the_product(after: bool) -> None:
    data = normal(STEPS, 1, FEATURES)
    weights, recurrence = normal(1, FEATURES, 3 * HIDDEN, seed=1), normal(1, HIDDEN, 3 * HIDDEN, seed=2)
    hidden, late = np.zeros(HIDDEN), normal(1, HIDDEN, seed=3)
    for t in range(STEPS):
        from_data = np.split(data[t, 0] @ weights[0], 3)
        z, r = (
            sigmoid(from_data[g] + hidden @ recurrence[0][:, g * HIDDEN : (g + 1) * HIDDEN]) for g in (0, 1)
        )
        last = recurrence[0][:, 2 * HIDDEN :]
        inner = r * (hidden @ last + late[0]) if after else (r * hidden) @ last
        hidden = (1 - z) * np.tanh(from_data[2] + inner) + z * hidden
    sequences, cell = (
        Sequences(STEPS, 1, FEATURES, HIDDEN, (False,), False),
        GruCell(SIGMOID, TANH, None, after),
    )
    products = chosen(sequences, cell)

    def definition(x: te.Tensor, w: te.Tensor, r: te.Tensor, b: te.Tensor) -> list[te.Tensor]:
        operands = Operands(x, w, r, recurrent_bias=b if after else None)
        return recurrent(operands, sequences, [cell], products, (False, True, False))

    (result,) = compute(
        lambda *t: definition(*t) if after else [*definition(*t)],
        data,
        *packed(products, weights, recurrence),
        late,
    )
    assert_close(result[0, 0], hidden.astype("float32"))


def test_steps_beyond_the_last_block_are_not_taken() -> None:
    """A number of steps that no block divides, and the same one sequence by small blocks and at once."""
    sequences, cell = Sequences(13, 1, FEATURES, HIDDEN, (True,), False), RnnCell(TANH, None)
    data, weights, recurrence = (
        normal(13, 1, FEATURES),
        normal(1, FEATURES, HIDDEN),
        normal(1, HIDDEN, HIDDEN),
    )

    def result(products: Products) -> Array:
        def definition(x: te.Tensor, w: te.Tensor, r: te.Tensor) -> list[te.Tensor]:
            return recurrent(Operands(x, w, r), sequences, [cell], products, (True, False, False))

        return compute(definition, data, *packed(products, weights, recurrence))[0]

    products = chosen(sequences, cell)
    assert products.block == 13
    assert_close(result(replace(products, block=5)), result(products))


SLOW: dict[str, Callable[[Array], Array]] = {
    "relu": lambda x: np.maximum(x, 0),
    "tanh": np.tanh,
    "sigmoid": sigmoid,
    "affine": lambda x: 0.3 * x + 0.6,
    "leakyrelu": lambda x: np.where(x < 0, 0.3 * x, x),
    "thresholdedrelu": lambda x: np.where(x < 0.3, 0, x),
    "scaledtanh": lambda x: 0.3 * np.tanh(0.6 * x),
    "hardsigmoid": lambda x: np.clip(0.3 * x + 0.6, 0, 1),
    "elu": lambda x: np.where(x < 0, 0.3 * np.expm1(x), x),
    "softsign": lambda x: x / (1 + np.abs(x)),
    "softplus": lambda x: np.logaddexp(0, x),
}


@pytest.mark.parametrize("name", sorted(ACTIVATIONS))
def test_activation_functions(name: str) -> None:
    data = np.linspace(-90, 90, 721, dtype="float32")
    function = activation(name.upper(), 0.3, 0.6)

    def apply(x: te.Tensor) -> te.Tensor:
        def element(i: Expr) -> Expr:
            return function(x(i))

        return te.compute(data.shape, element)

    (result,) = compute(apply, data)
    assert_close(result, SLOW[name](data.astype("float64")).astype("float32"), 1e-6)
