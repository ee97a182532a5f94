"""Every operator on every NPU: the command stream that Vela makes of it gives TensorFlow Lite's integers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from edgecompile.backends.ethos_u.emulator.configuration import CONFIGURATIONS
from edgecompile.backends.ethos_u.emulator.emulator import Emulator
from edgecompile.core.integer import decompose
from edgecompile.passes.quantize.arithmetic import rescale
from tests.support.ethos_u import compile_for, needs_vela
from tests.support.tflite_cases import Case, Draw, Net
from tests.support.tflite_files import Array, needs_tflite, reference
from tests.support.tflite_operators import OPERATORS

pytestmark = [needs_vela, needs_tflite]
NAMES = st.sampled_from(list(CONFIGURATIONS))


def _outputs(name: str, case: Case) -> list[Array]:
    """What the NPU computes; an example with an operator that is not for it is dropped."""
    try:
        program = compile_for(name, case.data)
    except RuntimeError:
        reject()
    return Emulator(program).run(case.inputs)


@pytest.mark.parametrize("operator", OPERATORS)
@settings(max_examples=30)
@given(data=st.data())
def test_same_integers(operator: str, data: st.DataObject) -> None:
    name = data.draw(NAMES)
    case = OPERATORS[operator](data.draw)
    expected = reference(case.data)(*case.inputs)
    for output, array in zip(_outputs(name, case), expected, strict=True):
        np.testing.assert_array_equal(output.reshape(array.shape), array)


@settings(max_examples=30)
@given(name=NAMES, data=st.data())
def test_fully_connected_rounds_twice(name: str, data: st.DataObject) -> None:
    """LiteRT's kernel for one weight scale rounds once: its integers are others now and then, by 1."""
    net, rows, columns = _fully_connected(data.draw)
    case = net.case(["x"])
    (output,) = _outputs(name, case)
    x, w, b = _stored(net, case)
    x_zero, y_zero = (tensor.zero_point[0] for tensor in net.file.tensors if tensor.name in "xy")
    sums = (x.astype(np.int64) - x_zero) @ w.astype(np.int64).T + b
    multiplier, shift = decompose(_product_scale(net) / net.scales["y"])
    exact = rescale(sums, np.asarray(multiplier), np.asarray(shift), "double") + y_zero
    np.testing.assert_array_equal(output.reshape(rows, columns), exact.clip(-128, 127))
    (other,) = reference(case.data)(*case.inputs)
    assert np.abs(other.astype(int) - output.reshape(rows, columns)).max() <= 1


def _fully_connected(draw: Draw) -> tuple[Net, int, int]:
    net = Net(draw)
    rows, depth, columns = net.one_of(1, 1, 2, 5), net.size(1, 200), net.size(1, 60)
    net.tensor("x", [rows, depth])
    net.weights([columns, depth], None)
    net.tensor("y", [rows, columns], net.sum_scale(depth))
    net.file.op("FULLY_CONNECTED", ["x", "w", "b"], ["y"], "FullyConnectedOptions")
    return net, rows, columns


def _stored(net: Net, case: Case) -> tuple[Array, Array, Array]:
    (w,) = [tensor for tensor in net.file.tensors if tensor.name == "w"]
    (b,) = [tensor for tensor in net.file.tensors if tensor.name == "b"]
    weights = np.frombuffer(w.data, np.int8).reshape(w.shape)
    return case.inputs[0], weights, np.frombuffer(b.data, np.int32)


def _product_scale(net: Net) -> float:
    """Vela multiplies the scales of input and weights in float32."""
    (w,) = [tensor for tensor in net.file.tensors if tensor.name == "w"]
    return float(np.float32(net.scales["x"]) * np.float32(w.scale[0]))
