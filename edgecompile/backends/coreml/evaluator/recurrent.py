"""LSTM."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from edgecompile.backends.coreml.evaluator.elementwise import sigmoid_hard
from edgecompile.backends.coreml.evaluator.program import Array
from edgecompile.backends.coreml.evaluator.registry import computes

_ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "tanh": np.tanh,
    "relu": lambda x: np.maximum(x, 0),
    "linear": lambda x: x,
    "hard_sigmoid": sigmoid_hard,
}


@computes("lstm")
def lstm(
    x: Array,
    initial_h: Array,
    initial_c: Array,
    weight_ih: Array,
    weight_hh: Array,
    bias: Array | None = None,
    peephole: Array | None = None,
    weight_ih_back: Array | None = None,
    weight_hh_back: Array | None = None,
    bias_back: Array | None = None,
    peephole_back: Array | None = None,
    direction: str = "forward",
    output_sequence: bool = False,
    recurrent_activation: str = "sigmoid",
    cell_activation: str = "tanh",
    activation: str = "tanh",
    clip: float | None = None,
) -> tuple[Array, Array, Array]:
    functions = recurrent_activation, cell_activation, activation
    size = weight_hh.shape[1]
    own = (weight_ih, weight_hh, bias, peephole, direction == "reverse")
    passes = [own]
    if direction == "bidirectional":
        assert weight_ih_back is not None
        assert weight_hh_back is not None
        passes.append((weight_ih_back, weight_hh_back, bias_back, peephole_back, True))
    columns = [slice(k * size, (k + 1) * size) for k in range(len(passes))]
    found = [
        _direction(x, initial_h[:, part], initial_c[:, part], *weights, functions, clip)
        for part, weights in zip(columns, passes, strict=True)
    ]
    sequence, h, c = (np.concatenate(parts, -1) for parts in zip(*found, strict=True))
    return (sequence if output_sequence else h[None]), h, c


def _direction(
    x: Array,
    h: Array,
    c: Array,
    weight_ih: Array,
    weight_hh: Array,
    bias: Array | None,
    peephole: Array | None,
    backwards: bool,
    functions: tuple[str, str, str],
    clip: float | None,
) -> tuple[Array, Array, Array]:
    """All steps of one direction. Gates lie as input, forget, output, cell."""
    gate, cell, out = (_ACTIVATIONS[name] for name in functions)
    looks = np.zeros(3 * h.shape[1], np.float32) if peephole is None else peephole
    look_i, look_f, look_o = np.split(looks, 3)
    steps = []
    for sample in x[::-1] if backwards else x:
        sums = sample @ weight_ih.T + h @ weight_hh.T + (0 if bias is None else bias)
        i, f, o, z = np.split(sums, 4, -1)
        z = cell(z if clip is None else np.clip(z, -clip, clip))
        c = gate(f + look_f * c) * c + gate(i + look_i * c) * z
        h = gate(o + look_o * c) * out(c)
        steps.append(h)
    return np.stack(steps[::-1] if backwards else steps), h, c
