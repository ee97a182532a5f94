"""LSTM: MIL has the gates in another order, and its states are two-dimensional."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgecompile.backends.coreml.registry import writes
from edgecompile.backends.coreml.view import NodeView
from edgecompile.passes.edit import Array

ACTIVATIONS = {"Sigmoid": "sigmoid", "Tanh": "tanh", "Relu": "relu"}
USUAL = ["Sigmoid", "Tanh", "Tanh"]


@writes("LSTM")
def lstm(view: NodeView) -> None:
    """ONNX's gates are input, output, forget, cell; MIL's input, forget, output, cell."""
    weights, recurrent = view.array(1), view.array(2)
    directions, batch, size = len(weights), view.shape(0)[1], recurrent.shape[2]
    h, c = (_state(view, index, directions, batch, size) for index in (5, 6))
    arguments = _weights(view, 0, "") | (_weights(view, 1, "_back") if directions == 2 else {})
    gate, cell, out = (ACTIVATIONS[name] for name in (view.option("activations") or USUAL)[:3])
    sequence, last_h, last_c = view.emit(
        "lstm",
        x=view.variable(0),
        initial_h=h,
        initial_c=c,
        direction=view.option("direction", "forward"),
        output_sequence=True,
        recurrent_activation=gate,
        cell_activation=cell,
        activation=out,
        **arguments,
    )
    results = [
        _sequence(view, sequence, directions, size),
        *(_last(view, s, directions, size) for s in (last_h, last_c)),
    ]
    view.finish(*results)


def _weights(view: NodeView, direction: int, suffix: str) -> dict[str, Array]:
    found = {
        f"weight_ih{suffix}": _gates(view.array(1)[direction]),
        f"weight_hh{suffix}": _gates(view.array(2)[direction]),
    }
    if view.has(3):
        first, second = np.split(view.array(3)[direction], 2)
        found[f"bias{suffix}"] = _gates(first + second)
    if view.has(7):
        i, o, f = np.split(view.array(7)[direction], 3)
        found[f"peephole{suffix}"] = np.concatenate([i, f, o]).astype(np.float16)
    return found


def _gates(rows: Array) -> Array:
    i, o, f, c = np.split(rows, 4)
    return np.concatenate([i, f, o, c]).astype(np.float16)


def _state(view: NodeView, index: int, directions: int, batch: int, size: int) -> Any:
    """[directions, batch, size] as [batch, directions * size]."""
    if not view.has(index):
        return np.zeros((batch, directions * size), np.float16)
    state = view.variable(index)
    if directions == 2:
        state = view.emit("transpose", x=state, perm=[1, 0, 2])
    return view.emit("reshape", x=state, shape=[batch, directions * size])


def _sequence(view: NodeView, x: Any, directions: int, size: int) -> Any:
    """[steps, batch, directions * size] as [steps, directions, batch, size]."""
    steps, batch = x.shape[:2]
    x = view.emit("reshape", x=x, shape=[steps, batch, directions, size])
    return view.emit("transpose", x=x, perm=[0, 2, 1, 3])


def _last(view: NodeView, x: Any, directions: int, size: int) -> Any:
    """The inverse of `_state`."""
    x = view.emit("reshape", x=x, shape=[x.shape[0], directions, size])
    return view.emit("transpose", x=x, perm=[1, 0, 2])
