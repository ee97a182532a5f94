"""Layers as calls of the C functions declared in kernels.h."""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from tvm.script.ir_builder import tirx as T

from edgecompile.core.target import Isa
from edgecompile.kernels.compute import Tensor, shape_of
from edgecompile.kernels.cortex_m.parameters import (
    Array,
    Factors,
    Geometry,
    Output,
    Packed,
    add_words,
    gemm_words,
)
from edgecompile.kernels.loops import Buffer, nest, workspace_pointer
from edgecompile.kernels.math import Expr

_NAMES = ("conv", "depthwise", "gemm", "add")
# The module of each instruction set (`Isa.int8`), and its C source beside it.
_VARIANTS = {"smlad": "armv7em", "mve": "mve"}
INSTRUCTION_SETS = tuple(_VARIANTS)
# The C files that define a called function, by instruction set; headers come with them.
_ARMV7EM = {name: (f"armv7em_{name}.c", "armv7em_requantize.c", "armv7em.h", "kernels.h") for name in _NAMES}
_MVE_PRODUCTS = ("mve_products.c", "mve_requantize.c", "mve.h", "kernels.h")
_MVE = {
    "conv": ("mve_conv.c", *_MVE_PRODUCTS),
    "gemm": ("mve_gemm.c", *_MVE_PRODUCTS),
    "depthwise": ("mve_depthwise.c", "mve_requantize.c", "mve.h", "kernels.h"),
    "add": ("mve_add.c", "mve.h", "kernels.h"),
}
_SOURCES: Mapping[str, Mapping[str, tuple[str, ...]]] = {"smlad": _ARMV7EM, "mve": _MVE}
_FOLDER = Path(__file__).parent
# Rows of a matrix product from which on it is computed as a convolution of so many pixels.
_CONV_ROWS = 3


class Variant(Protocol):
    """How constants are packed for one instruction set; a module such as armv7em."""

    def pack_conv(self, weights: Array, groups: int, factors: Factors, output: Output) -> Packed: ...
    def pack_depthwise(self, weights: Array, factors: Factors, output: Output) -> Packed: ...
    def pack_gemm(self, weights: Array, factors: Factors, output: Output) -> Packed: ...
    def conv_workspace(self, geometry: Geometry) -> int: ...
    def depthwise_workspace(self, geometry: Geometry) -> int: ...
    def gemm_workspace(self, depth: int) -> int: ...


def find_variant(isa: Isa) -> Variant | None:
    """The kernels for `isa`, if it is one that they are written for."""
    name = _VARIANTS.get(isa.int8)
    if name is None:
        return None
    variant: Variant = importlib.import_module(f"edgecompile.kernels.cortex_m.{name}")
    return variant


def sources(symbols: Collection[str], isa: Isa) -> tuple[Path, ...]:
    """The C files, headers included, that define `symbols` (names of called functions) for `isa`."""
    by_name = _SOURCES.get(isa.int8, {})
    files = {file for name, group in by_name.items() if _symbol(name) in symbols for file in group}
    return tuple(_FOLDER / file for file in sorted(files))


def _symbol(name: str) -> str:
    return f"edgecompile_{name}_s8"


@dataclass(frozen=True)
class Layer:
    """What all layers have: the instruction set's `variant`, the result's shape, and `output`.

    `constant` turns an array into an input of the kernel, by a name.
    """

    variant: Variant
    shape: tuple[int, ...]
    output: Output
    constant: Callable[[Array, str], Tensor]


def conv(layer: Layer, x: Tensor, weights: Array, geometry: Geometry, factors: Factors) -> Tensor:
    """A convolution of int8 `x` by weights [O, KH, KW, C/groups]."""
    variant, output = layer.variant, layer.output
    if geometry.groups == geometry.x_shape[3] > 1:
        packed = variant.pack_depthwise(weights[..., 0], factors, output)
        name, workspace = "depthwise", variant.depthwise_workspace(geometry)
    else:
        packed = variant.pack_conv(weights, geometry.groups, factors, output)
        name, workspace = "conv", variant.conv_workspace(geometry)
    return _call(layer, name, x, packed, geometry.words(output, packed.fast), workspace)


def gemm(layer: Layer, x: Tensor, weights: Array, factors: Factors) -> Tensor:
    """int8 x [M, K] times weights [N, K], transposed."""
    (rows, depth), columns = shape_of(x), len(weights)
    if rows >= _CONV_ROWS:
        geometry = Geometry((1, 1, rows, depth), (1, 1, rows, columns), (1, 1))
        return conv(layer, x, weights[:, None, None, :], geometry, factors)
    packed = layer.variant.pack_gemm(weights, factors, layer.output)
    words = gemm_words(rows, depth, columns, layer.output, packed.fast)
    return _call(layer, "gemm", x, packed, words, layer.variant.gemm_workspace(depth))


def add(
    layer: Layer, a: Tensor, b: Tensor, zeros: tuple[int, int], multiplier: Array, shift: Array | None
) -> Tensor:
    """a + b of one shape; `multiplier` and `shift` have entries for a, for b and for the sum."""
    words = add_words(math.prod(layer.shape), zeros, multiplier, shift, layer.output)
    return _extern("add", [a, b, layer.constant(words, "geometry")], layer.shape, 0)


def _call(layer: Layer, name: str, x: Tensor, packed: Packed, geometry: Array, workspace: int) -> Tensor:
    """The call of a function with arguments x, w, q, g, y and workspace."""
    weights = packed.weights.reshape(-1).view(np.int8)
    constants = [(weights, "packed"), (packed.parameters, "parameters"), (geometry, "geometry")]
    inputs = [x, *(layer.constant(array, label) for array, label in constants)]
    return _extern(name, inputs, layer.shape, workspace)


def _extern(name: str, inputs: Sequence[Tensor], shape: Sequence[int], workspace: int) -> Tensor:
    def body(reads: list[Buffer], writes: list[Buffer]) -> None:
        scratch = [workspace_pointer(workspace)] if workspace else []
        T.evaluate(T.call_extern("int32", _symbol(name), *map(_address, (*reads, *writes)), *scratch))

    return nest("call", inputs, [(shape, "int8")], body)[0]


def _address(buffer: Buffer) -> Expr:
    return T.address_of(buffer[(0,) * len(buffer.shape)])
