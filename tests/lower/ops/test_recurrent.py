from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from edgecompile.errors import UnsupportedError
from tests.support.operators import Array, assert_close, check_node, compiled, expect, node_model, normal

GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
STEPS, BATCH, FEATURES, HIDDEN = 5, 3, 7, 11


def operands(
    op_type: str,
    direction: str = "forward",
    *,
    bias: bool = True,
    lengths: bool = False,
    states: bool = False,
    peepholes: bool = False,
) -> list[Array | None]:
    """Inputs of a recurrent node, in ONNX's order."""
    directions, gates = (2 if direction == "bidirectional" else 1), GATES[op_type]
    state = (directions, BATCH, HIDDEN)
    inputs: list[Array | None] = [
        normal(STEPS, BATCH, FEATURES),
        normal(directions, gates * HIDDEN, FEATURES, seed=1) * 0.5,
        normal(directions, gates * HIDDEN, HIDDEN, seed=2) * 0.5,
        normal(directions, 2 * gates * HIDDEN, seed=3) if bias else None,
        np.array([5, 2, 4], "int32") if lengths else None,
        normal(*state, seed=4) if states else None,
    ]
    if op_type == "LSTM":
        inputs.append(normal(*state, seed=5) if states else None)
        inputs.append(normal(directions, 3 * HIDDEN, seed=6) if peepholes else None)
    return inputs


def constants_of(inputs: list[Array | None]) -> list[int]:
    return [i for i in (1, 2, 3, 7) if i < len(inputs) and inputs[i] is not None]


def check(op_type: str, inputs: list[Array | None], emit: str = "lib", **attributes: Any) -> None:
    outputs = ["y0", "y1", "y2"][: 3 if op_type == "LSTM" else 2]
    attributes |= {"hidden_size": HIDDEN, "outputs": outputs, "constants": constants_of(inputs)}
    check_node(op_type, inputs, emit=emit, rtol=5e-6, **attributes)


@pytest.mark.parametrize("op_type", ["LSTM", "GRU", "RNN"])
@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize("lengths", [False, True])
def test_directions_and_lengths(op_type: str, direction: str, lengths: bool) -> None:
    check(op_type, operands(op_type, direction, lengths=lengths, states=True), direction=direction)


@pytest.mark.parametrize("op_type", ["LSTM", "GRU", "RNN"])
@pytest.mark.parametrize("emit", ["lib", "c"])
def test_without_bias_and_clipped(op_type: str, emit: str) -> None:
    check(op_type, operands(op_type, bias=False), emit, clip=0.4)


@pytest.mark.parametrize("direction", ["forward", "bidirectional"])
@pytest.mark.parametrize("input_forget", [0, 1])
def test_lstm_peepholes(direction: str, input_forget: int) -> None:
    inputs = operands("LSTM", direction, peepholes=True)
    check("LSTM", inputs, direction=direction, input_forget=input_forget, clip=0.5)


@pytest.mark.parametrize("direction", ["forward", "bidirectional"])
def test_gru_that_resets_after_the_product(direction: str) -> None:
    check("GRU", operands("GRU", direction), direction=direction, linear_before_reset=1)


@pytest.mark.parametrize(
    ("op_type", "attributes"),
    [
        ("RNN", {"activations": ["Relu"]}),
        ("RNN", {"activations": ["Affine"], "activation_alpha": [0.7], "activation_beta": [0.1]}),
        (
            "LSTM",
            {
                "activations": ["HardSigmoid", "ScaledTanh", "Softsign"],
                "activation_alpha": [0.3, 0.7],
                "activation_beta": [0.4, 0.6],
            },
        ),
        ("LSTM", {"activations": ["Sigmoid", "Elu", "Softplus"], "activation_alpha": [0.3]}),
        ("GRU", {"activations": ["HardSigmoid", "LeakyRelu"], "activation_alpha": [0.25, 0.1]}),
        ("GRU", {"activations": ["Sigmoid", "ThresholdedRelu"], "activation_alpha": [0.1]}),
    ],
)
def test_activations_take_their_parameters_in_order(op_type: str, attributes: dict[str, Any]) -> None:
    check(op_type, operands(op_type), **attributes)


@pytest.mark.parametrize("op_type", ["LSTM", "GRU", "RNN"])
def test_batch_first_is_a_transposition(op_type: str) -> None:
    inputs = operands(op_type, "bidirectional", states=True)
    names = ["y0", "y1", "y2"][: 3 if op_type == "LSTM" else 2]
    description: dict[str, Any] = {"hidden_size": HIDDEN, "outputs": names, "direction": "bidirectional"}
    model = node_model(op_type, inputs, constants=constants_of(inputs), **description)
    expected = expect(model, inputs, "onnxruntime")
    order = {0: (1, 0, 2), 5: (1, 0, 2), 6: (1, 0, 2)}
    moved = [a.transpose(order[i]) if a is not None and i in order else a for i, a in enumerate(inputs)]
    want = [expected[0].transpose(2, 0, 1, 3), *[e.transpose(1, 0, 2) for e in expected[1:]]]
    first = node_model(op_type, moved, constants=constants_of(inputs), layout=1, **description)
    for got, array in zip(compiled(first, moved, want), want, strict=True):
        assert_close(got, array, 5e-6)


@pytest.mark.parametrize("wanted", [["", "y0"], ["", "", "y0"], ["y0"]])
def test_results_that_nobody_names_are_not_computed(wanted: list[str]) -> None:
    inputs = operands("LSTM")
    fixed = constants_of(inputs)
    check_node("LSTM", inputs, constants=fixed, outputs=wanted, hidden_size=HIDDEN, rtol=5e-6)


def test_agrees_with_torch() -> None:
    """ONNX and torch order the gates differently: iofc and ifgo."""
    torch.manual_seed(0)
    layer = torch.nn.LSTM(FEATURES, HIDDEN)
    parameters = [p.detach().numpy() for p in layer.parameters()]
    order = np.concatenate([np.arange(HIDDEN) + HIDDEN * gate for gate in (0, 3, 1, 2)])
    weights, recurrence, first, second = (p[order] for p in parameters)
    data = normal(STEPS, BATCH, FEATURES)
    inputs = [data, weights[None], recurrence[None], np.concatenate([first, second])[None]]
    with torch.no_grad():
        y, (hidden, cell) = layer(torch.from_numpy(data))
    want = [y.numpy()[:, None], hidden.numpy(), cell.numpy()]
    model = node_model("LSTM", inputs, constants=(1, 2, 3), outputs=["y0", "y1", "y2"], hidden_size=HIDDEN)
    for got, array in zip(compiled(model, inputs, want), want, strict=True):
        assert_close(got, array, 5e-6)


def test_weights_must_be_constants() -> None:
    inputs = operands("RNN")
    model = node_model("RNN", inputs, outputs=["y0"], hidden_size=HIDDEN)
    with pytest.raises(UnsupportedError, match=r"input 1 \('x1'\) must be known at compile time.*--constant"):
        compiled(model, inputs, [np.zeros((STEPS, 1, BATCH, HIDDEN), "float32")])


def test_an_unknown_activation_is_refused() -> None:
    inputs = operands("RNN")
    fixed = constants_of(inputs)
    model = node_model("RNN", inputs, constants=fixed, hidden_size=HIDDEN, activations=["Cube"])
    with pytest.raises(UnsupportedError, match="activation Cube is not known"):
        compiled(model, inputs, [np.zeros((STEPS, 1, BATCH, HIDDEN), "float32")])
