from __future__ import annotations

import numpy as np
import pytest

from tests.support.operators import assert_close, check_node, compiled, node_model, normal


@pytest.mark.parametrize("axis", [0, 1, -2])
@pytest.mark.parametrize("complex_input", [False, True])
@pytest.mark.parametrize("length", [None, 5, 12])
@pytest.mark.parametrize("inverse", [0, 1])
def test_dft(axis: int, complex_input: bool, length: int | None, inverse: int) -> None:
    data = normal(3, 8, 2 if complex_input else 1)
    inputs = [data, None if length is None else np.array(length, "int64"), np.array(axis, "int64")]
    fixed = [i for i in (1, 2) if inputs[i] is not None]
    check_node("DFT", inputs, "onnx", constants=fixed, opset=20, inverse=inverse)


@pytest.mark.parametrize("length", [8, 9])
def test_onesided_transforms_undo_each_other(length: int) -> None:
    signal = normal(2, length, 1)
    extent = np.array(length, "int64")
    forward = node_model("DFT", [signal, extent], constants=[1], opset=20, onesided=1)
    (spectrum,) = compiled(forward, [signal, None], [np.zeros((2, length // 2 + 1, 2), "float32")])
    back = node_model("DFT", [spectrum, extent], constants=[1], opset=20, onesided=1, inverse=1)
    (result,) = compiled(back, [spectrum, None], [signal])
    assert_close(result, signal, 1e-6)


@pytest.mark.parametrize("windowed", [False, True])
@pytest.mark.parametrize("onesided", [0, 1])
def test_stft(windowed: bool, onesided: int) -> None:
    window = np.hanning(16).astype("float32") if windowed else None
    length = None if windowed else np.array(16, "int64")
    inputs = [normal(2, 60, 1), np.array(7, "int64"), window, length]
    fixed = [i for i in (1, 3) if inputs[i] is not None]
    check_node("STFT", inputs, constants=fixed, opset=17, onesided=onesided)


@pytest.mark.parametrize("op_type", ["HannWindow", "HammingWindow", "BlackmanWindow"])
@pytest.mark.parametrize("periodic", [0, 1])
def test_windows(op_type: str, periodic: int) -> None:
    check_node(op_type, [np.array(10, "int64")], constants=[0], opset=17, periodic=periodic)


def test_mel_weight_matrix() -> None:
    numbers = [np.array(n, "int64") for n in (8, 64, 8192)]
    edges = [np.array(f, "float32") for f in (0, 4096)]
    check_node("MelWeightMatrix", [*numbers, *edges], constants=range(5), opset=17)
