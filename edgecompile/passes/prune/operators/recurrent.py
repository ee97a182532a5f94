"""LSTM, GRU and RNN: a unit is a hidden one, with its rows in all gates of both directions.

A unit without weights and bias stays at the state 0 that it began with, as its activation is 0 at 0; networks
with other activations are left whole.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgecompile.passes.edit import Array, constant_of
from edgecompile.passes.prune.groups import Reader
from edgecompile.passes.prune.labels import spread
from edgecompile.passes.prune.trace import Trace, name_of, shape_of

_GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
_WEIGHTS, _RECURRENCE, _BIAS, _STATES, _PEEPHOLES = 1, 2, 3, (5, 6), 7


def recurrent(trace: Trace, node: ir.Node) -> None:
    """Input [steps, batch, size], weights [directions, gates * hidden, size]."""
    gates = _GATES[node.op_type]
    computed = any(constant_of(node.inputs[index]) is None for index in (_WEIGHTS, _RECURRENCE))
    if computed or "activations" in node.attributes or node.attributes.get_int("layout", False):
        return trace.stop(node)
    hidden = trace.labels.fresh(shape_of(node.inputs[_RECURRENCE])[2])
    trace.hidden.append(hidden)
    trace.weigh(node, _WEIGHTS, 2, "consumer", trace.labels.vector(trace.of(node.inputs[0]), 2))
    trace.readers.append(Reader(name_of(node), 0, 2))
    trace.weigh(node, _WEIGHTS, 1, "producer", np.tile(hidden, gates))
    trace.weigh(node, _RECURRENCE, 1, "producer", np.tile(hidden, gates))
    trace.weigh(node, _RECURRENCE, 2, "consumer", hidden)
    trace.weigh(node, _BIAS, 1, "producer", np.tile(hidden, 2 * gates))
    trace.weigh(node, _PEEPHOLES, 1, "carried", np.tile(hidden, 3))
    for index in _STATES:
        _state(trace, node, index, hidden)
    for value, axis in zip(node.outputs, (3, 2, 2), strict=False):
        if value.name:
            trace.set(value, spread(hidden, shape_of(value), axis))
    return None


def _state(trace: Trace, node: ir.Node, index: int, hidden: Array) -> None:
    """The state before the first step, [directions, batch, hidden]."""
    value = node.inputs[index] if index < len(node.inputs) else None
    if value is None:
        return
    if constant_of(value) is not None:
        trace.weigh(node, index, 2, "producer", hidden)
    else:
        trace.labels.tie(trace.of(value), spread(hidden, shape_of(value), 2))


RULES = dict.fromkeys(_GATES, recurrent)
