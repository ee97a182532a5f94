"""What the writer of one operator sees of its node, and how it says what Core ML shall compute."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from edgecompile.backends.coreml.weights import Palette, pack_bits, palette_of
from edgecompile.core.model import tensor_info
from edgecompile.passes.edit import Array, constant_of, static_shape

# Words of the textual form of MIL, which cannot be names.
_RESERVED = frozenset(
    """
    any bool program func tensor list dict tuple true false string state const
    bf16 fp16 fp32 fp64 int8 int16 int32 int64 uint8 uint16 uint32 uint64
    """.split()
)
# What MIL calls the types that a tensor may have here.
MIL_TYPES = {"float16": "fp16", "float32": "fp32", "int32": "int32", "bool": "bool"}


def stored_type(dtype: str) -> str:
    """NumPy's name of the type in which the program holds a tensor of `dtype`: reals are float16."""
    if dtype in ("float16", "float32", "float64"):
        return "float16"
    return "int32" if dtype in ("int16", "int64", "uint16", "uint32", "uint64") else dtype


def stored(array: Array) -> Array:
    """A constant as the program holds it."""
    with np.errstate(over="ignore"):
        return array.astype(stored_type(array.dtype.name))


class ProgramWriter:
    """The program so far. `builder` is coremltools' own, in whose current function operations are added.

    `values` holds the variable of every value of the graph that was written; `small_types` are the types of
    NumPy that coremltools has for integers of a few bits, None for a system that knows none.
    """

    def __init__(self, builder: Any, small_types: Mapping[str, Any] | None) -> None:
        self._builder, self._small_types = builder, small_types
        self.values: dict[ir.Value, Any] = {}
        self._names: set[str] = set()

    def name(self, text: str) -> str:
        """An unused name for an operation or value, as near to `text` as MIL allows."""
        base = re.sub(r"\W", "_", text, flags=re.ASCII) or "_"
        base = f"_{base}" if base[0].isdigit() or base in _RESERVED else base
        name, count = base, 1
        while not self._is_free(name):
            count += 1
            name = f"{base}_{count}"
        self._names.add(name)
        return name

    def _is_free(self, name: str) -> bool:
        """Constants and results of an operation are called as it is, with something behind it."""
        behind = f"{name}_"
        return not any(
            used == name or (used.startswith(behind) and used[-1].isdigit()) for used in self._names
        )

    def emit(self, kind: str, name: str, **arguments: Any) -> Any:
        """Add an operation; what coremltools finds wrong with it is a ValueError or TypeError."""
        return self.emit_as(self.name(name), kind, **arguments)

    def emit_as(self, name: str, kind: str, **arguments: Any) -> Any:
        """`emit` under a name that is reserved already."""
        given = {key: value for key, value in arguments.items() if value is not None}
        found = getattr(self._builder, kind)(name=name, **given)
        operation = (found[0] if isinstance(found, (tuple, list)) else found).op
        self._names.update(output.name for output in operation.outputs)
        self._names.update(variable.name for variable in operation.get_flattened_inputs())
        return found

    def emit_palette(self, palette: Palette, name: str) -> Any:
        """Weights from a palette; newer systems want the indices as numbers of few bits, not in bytes."""
        kind, bits = "constexpr_lut_to_dense", len(palette.colours).bit_length() - 1
        if self._small_types is not None:
            indices = palette.indices.astype(self._small_types[f"uint{bits}"])
            colours = palette.colours.reshape(*[1] * indices.ndim, -1, 1)
            return self.emit(kind, name, indices=indices, lut=colours)
        packed, shape = pack_bits(palette.indices, bits), np.array(palette.indices.shape, np.uint32)
        return self.emit(kind, name, indices=packed, lut=palette.colours, shape=shape)

    def emit_four_bits(self, data: Array, scale: Array, name: str) -> Any:
        """Weights from int4 `data`, with a scale for each block of them."""
        assert self._small_types is not None
        integers = data.astype(self._small_types["int4"])
        return self.emit("constexpr_blockwise_shift_scale", name, data=integers, scale=scale)


class NodeView:
    """One node of the graph."""

    def __init__(self, writer: ProgramWriter, node: ir.Node) -> None:
        self._writer, self.node = writer, node
        self.name = str(node.name or node.outputs[0].name)

    def has(self, index: int) -> bool:
        """Whether optional input `index` is there."""
        return index < len(self.node.inputs) and self.node.inputs[index] is not None

    def value(self, index: int) -> ir.Value:
        value = self.node.inputs[index]
        assert value is not None
        return value

    def input(self, index: int) -> Any:
        """The variable of input `index`, or the array where it is constant."""
        value = self.value(index)
        if value not in self._writer.values:
            self._writer.values[value] = stored(self.array(index))
        return self._writer.values[value]

    def variable(self, index: int) -> Any:
        """The variable of input `index`, also of a constant one."""
        found = self.input(index)
        if isinstance(found, np.ndarray):
            found = self._writer.emit("const", f"{self.name}_{index}", val=found)
        return found

    @property
    def inputs(self) -> list[Any]:
        """`variable` of all inputs."""
        return [self.variable(index) for index in range(len(self.node.inputs))]

    def array(self, index: int) -> Array:
        """Constant input `index` as the graph has it."""
        array = constant_of(self.value(index))
        assert array is not None, f"input {index} of {self.name} is not constant"
        return array

    def integers(self, index: int) -> tuple[int, ...]:
        """Constant input `index` as integers."""
        return tuple(int(number) for number in self.array(index).ravel())

    def weights(self, index: int) -> Any:
        """`input`; of a constant the variable that expands it, where it is stored in fewer bits."""
        value = self.value(index)
        if constant_of(value) is not None and value not in self._writer.values:
            self._writer.values[value] = self.compressed(self.array(index), str(value.name))
        return self.input(index)

    def compressed(self, weights: Array, name: str) -> Any:
        """Constant `weights`: an array, or the variable that expands them."""
        palette = palette_of(weights)
        return stored(weights) if palette is None else self._writer.emit_palette(palette, name)

    def emit_four_bits(self, data: Array, scale: Array) -> Any:
        """int4 `data` times `scale`, which has an entry for each block of one axis."""
        return self._writer.emit_four_bits(data, scale, self.name)

    def shape(self, index: int) -> tuple[int, ...]:
        """Of input `index`."""
        return static_shape(self.value(index)) or ()

    @property
    def rank(self) -> int:
        """Of the first input."""
        return len(self.shape(0))

    @property
    def result(self) -> tuple[int, ...]:
        """The shape of the first output."""
        return static_shape(self.node.outputs[0]) or ()

    def dtype(self, index: int = 0) -> str:
        """NumPy's name of the type in which the program holds output `index`."""
        return stored_type(tensor_info(self.node.outputs[index]).dtype)

    def option(self, name: str, default: Any = None) -> Any:
        """An attribute of the node."""
        attribute = self.node.attributes.get(name)
        return default if attribute is None else attribute.value

    def ints(self, name: str, default: Sequence[int]) -> list[int]:
        """An attribute that is a list of integers."""
        return [int(number) for number in self.option(name, None) or default]

    def axes(self, default: Sequence[int]) -> list[int]:
        """The axes of a reduction: its second input, an attribute, or `default`; none is negative."""
        given = self.integers(1) if self.has(1) else self.ints("axes", ())
        return sorted(axis % self.rank for axis in given or default)

    def number(self, value: float) -> Any:
        """A real number as the program holds it."""
        return np.float16(value)

    def emit(self, kind: str, **arguments: Any) -> Any:
        """Add an operation and return its result; arguments that are None are left out."""
        return self._writer.emit(kind, self.name, **arguments)

    def finish(self, *results: Any) -> None:
        """The results of the node, in the order of its outputs."""
        for value, result in zip(self.node.outputs, results, strict=False):
            self._writer.values[value] = result
