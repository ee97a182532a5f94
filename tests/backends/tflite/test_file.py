"""What is written into a TensorFlow Lite file is what is read from it."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np

from edgecompile.backends.tflite.file import write_network
from edgecompile.frontend.tflite.schema import Network, Operator, Quantization, Tensor, read_network

WEIGHTS = np.arange(-9, 9, dtype=np.int8).reshape(2, 3, 3, 1)


def network() -> Network:
    """A convolution and a transpose, whose order of axes comes first in the file."""
    image = Quantization((0.5,), (-3,))
    return Network(
        (
            Tensor(0, "order", (4,), "INT32", "int32", data=np.array([0, 3, 1, 2], np.int32)),
            Tensor(1, "x", (1, 5, 5, 1), "INT8", "int8", quantization=image),
            Tensor(
                2,
                "w",
                WEIGHTS.shape,
                "INT8",
                "int8",
                data=WEIGHTS,
                quantization=Quantization((0.5, 0.25), (0, 0)),
            ),
            Tensor(3, "b", (2,), "INT32", "int32", data=np.array([7, -70000], np.int32)),
            Tensor(4, "y", (1, 3, 3, 2), "INT8", "int8", quantization=image),
            Tensor(5, "z", (1, 2, 3, 3), "INT8", "int8", quantization=image),
        ),
        (
            Operator("CONV_2D", (1, 2, 3), (4,), {"Padding": 1, "StrideH": 1, "StrideW": 1}),
            Operator("TRANSPOSE", (4, 0), (5,)),
        ),
        (1,),
        (5,),
        "a description",
    )


def test_a_network_is_read_as_it_was_written() -> None:
    before = network()
    after = read_network(write_network(before), "test")
    assert (after.inputs, after.outputs, after.description) == ((1,), (5,), "a description")
    for written, read in zip(before.tensors, after.tensors, strict=True):
        np.testing.assert_array_equal(written.data, read.data)
        assert asdict(written) | {"data": None} == asdict(read) | {"data": None}
    for operator, found in zip(before.operators, after.operators, strict=True):
        assert (operator.name, operator.inputs, operator.outputs) == (found.name, found.inputs, found.outputs)
        assert operator.options.items() <= found.options.items()


def test_equal_networks_are_equal_files() -> None:
    assert write_network(network()) == write_network(network())
