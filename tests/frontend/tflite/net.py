"""A small network with random inputs: the frame of the operator tests."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tests.support.tflite_files import KINDS, Array, TFLiteFile

Shape = Sequence[int]
ACTIVATIONS = {"none": 0, "relu": 1, "relu_n1_to_1": 2, "relu6": 3}
SAME, VALID = 0, 1
# Scale and zero point of quantized inputs and outputs: real numbers of about -6 to 6.
IN, OUT = (0.05, -4), (0.06, 7)


@dataclass(frozen=True)
class Case:
    """A file and what to feed it; `tolerance` in steps of the output where that is an integer."""

    name: str
    data: bytes
    inputs: tuple[tuple[str, Shape], ...]  # numpy dtype, shape
    kinds: tuple[str, ...] = ()
    tolerance: int = 1

    def arrays(self, seed: int) -> list[Array]:
        """Random inputs, positive enough for Log and Sqrt where they are floats named so."""
        generator = np.random.default_rng([seed, zlib.crc32(self.name.encode())])
        return [_random(generator, dtype, shape, self.name) for dtype, shape in self.inputs]


def _random(generator: np.random.Generator, dtype: str, shape: Shape, name: str) -> Array:
    if dtype == "float32":
        values = generator.uniform(-4, 4, shape).astype(np.float32)
        return (
            np.abs(values) + np.float32(0.1) if name.startswith(("log-", "sqrt", "rsqrt", "pow")) else values
        )
    if dtype == "bool":
        return generator.integers(0, 2, shape).astype(np.bool_)
    if dtype in ("int8", "uint8"):
        info = np.iinfo(dtype)
        return generator.integers(info.min, info.max, shape, dtype, endpoint=True)
    return generator.integers(1, 4, shape).astype(dtype)


class Net(TFLiteFile):
    """A file with activations of one dtype: quantized ones get their parameters by themselves."""

    def __init__(self, dtype: str) -> None:
        super().__init__()
        self.dtype = dtype
        self.fed: list[tuple[str, Shape]] = []
        self.fed_names: list[str] = []
        self.given: list[str] = []

    def activation(self, name: str, shape: Shape, parameters: tuple[float, int], dtype: str = "") -> str:
        """A tensor of real numbers, in `dtype` (the net's)."""
        kind = dtype or self.dtype
        offset = 128 if kind == "uint8" else 0
        if kind in ("int8", "uint8"):
            return self.tensor(name, shape, KINDS[kind], parameters[0], parameters[1] + offset)
        return self.tensor(name, shape, KINDS[kind])

    def feed(self, shape: Shape, dtype: str = "", parameters: tuple[float, int] = IN) -> str:
        """The next input."""
        name = self.activation(f"x{len(self.fed)}", shape, parameters, dtype)
        self.fed.append((dtype or self.dtype, shape))
        self.fed_names.append(name)
        return name

    def give(self, shape: Shape, dtype: str = "", parameters: tuple[float, int] = OUT) -> str:
        """The next output."""
        self.given.append(self.activation(f"y{len(self.given)}", shape, parameters, dtype))
        return self.given[-1]

    def weights(self, name: str, shape: Shape, axis: int, seed: int = 0) -> str:
        """Weights: float32, or int8 with a scale for each index along `axis`."""
        values = np.random.default_rng(seed).integers(-127, 128, shape)
        if self.dtype == "float32":
            return self.constant(name, values / 256, "float32")
        scales = (0.001 + 0.002 * np.random.default_rng(seed + 1).random(shape[axis])).tolist()
        return self.constant(name, values, "int8", scales, axis)

    def bias(self, name: str, weights: str) -> str:
        """A bias for the weights of that name."""
        tensor = next(tensor for tensor in self.tensors if tensor.name == weights)
        count = len(tensor.scale) or tensor.shape[tensor.axis]
        values = np.random.default_rng(9).integers(-2000, 2000, count)
        if self.dtype == "float32":
            return self.constant(name, values / 1000, "float32")
        return self.constant(name, values, "int32", [IN[0] * scale for scale in tensor.scale])

    def case(self, name: str, tolerance: int = 1) -> Case:
        """The finished case."""
        data = self.build(self.fed_names, self.given)
        kinds = tuple(operator.kind for operator in self.operators)
        return Case(f"{name}-{self.dtype}", data, tuple(self.fed), kinds, tolerance)
