"""The operator table: ONNX operator -> compute definition.

A builder takes a `NodeView` and returns one `te.Tensor` an output. It says nothing about buffers, memory or
schedules. `kind` tells the fusion what may be merged around it; `static` names the inputs whose *values*
must be known at compile time because they decide shapes or code.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, TypeAlias

import numpy as np
import onnx_ir as ir
from tvm import te

from edgecompile.core.model import tensor_info
from edgecompile.core.target import Isa
from edgecompile.core.tensor import TensorInfo
from edgecompile.errors import Problem, UnsupportedError
from edgecompile.kernels.compact import store_halves, widened
from edgecompile.kernels.schedules.space import PlanChoice, UsualPlan
from edgecompile.lower.compact import Compact, compact_value

Tensor: TypeAlias = te.Tensor
Builder: TypeAlias = Callable[["NodeView"], Tensor | Sequence[Tensor]]


class Kind(Enum):
    """How a node may be fused.

    ELEMENTWISE: each output element reads each input at (at most) one place, after broadcasting.
    INJECTIVE:   as above at a computed place, and no input element is read more than once (transpose, slice).
    REDUCTION:   sums over axes; may absorb elementwise producers, and elementwise consumers.
    ANCHOR:      a heavy kernel (conv, gemm, pool, softmax): absorbs elementwise consumers only.
    OPAQUE:      a loop nest of its own (sort, recurrent, scatter): nothing is fused with it.
    ALIAS:       the same bytes under another shape; no kernel at all.
    """

    ELEMENTWISE = "elementwise"
    INJECTIVE = "injective"
    REDUCTION = "reduction"
    ANCHOR = "anchor"
    OPAQUE = "opaque"
    ALIAS = "alias"


@dataclass(frozen=True)
class OpDef:
    """One row of the table.

    For the instruction sets in `called` (`Isa.int8`) the kernel is a call of a C function, which takes in
    nothing: OPAQUE, whatever `kind` says.
    """

    kind: Kind
    build: Builder
    static: tuple[int, ...] = ()
    called: tuple[str, ...] = ()

    def kind_for(self, isa: Isa | None) -> Kind:
        """How a node may be fused in kernels for `isa`."""
        return Kind.OPAQUE if isa is not None and isa.int8 in self.called else self.kind


_TABLE: dict[tuple[str, str], OpDef] = {}


def op(
    *names: str,
    kind: Kind,
    static: tuple[int, ...] = (),
    domain: str = "",
    called: tuple[str, ...] = (),
) -> Callable[[Builder], Builder]:
    """Register a builder for operators `names` of `domain` ("" is ONNX's own)."""

    def register(build: Builder) -> Builder:
        for name in names:
            if (domain, name) in _TABLE:
                raise AssertionError(f"operator {domain}::{name} has two builders")
            _TABLE[domain, name] = OpDef(kind, build, static, called)
        return build

    return register


def find_op(node: ir.Node) -> OpDef | None:
    """The row for `node`, or None when its operator cannot be lowered."""
    domain = "" if node.domain == "ai.onnx" else node.domain
    return _TABLE.get((domain, node.op_type))


def known_operators() -> frozenset[tuple[str, str]]:
    """All (domain, operator) pairs in the table."""
    return frozenset(_TABLE)


def static_inputs(domain: str, op_type: str) -> tuple[int, ...]:
    """Indices of the inputs of an operator that must be compile-time constants."""
    row = _TABLE.get((domain, op_type))
    return row.static if row else ()


def constant_value(value: ir.Value | None) -> np.ndarray | None:
    """The compile-time value of a graph value, or None when it is computed at run time."""
    if value is None or value.const_value is None:
        return None
    array: np.ndarray = value.const_value.numpy()
    return array


@dataclass(frozen=True)
class NodeView:
    """What a builder sees of a node: symbolic inputs, constants, attributes, and output descriptions.

    `inputs[i]` is None where the node leaves an optional input out. `isa` is what the kernel is built for; it
    and `plans`, who decides how where there is a choice, say how weights are packed.
    """

    node: ir.Node
    inputs: tuple[Tensor | None, ...]
    isa: Isa
    plans: PlanChoice = field(default_factory=UsualPlan)
    new_weights: dict[str, tuple[Tensor, np.ndarray]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.node.name or self.node.op_type

    @property
    def outputs(self) -> tuple[TensorInfo, ...]:
        """Shape and dtype of every output, in order; an output left out has an empty name."""
        return tuple(
            tensor_info(value) if value.name else TensorInfo("", (), "float32") for value in self.node.outputs
        )

    def has(self, index: int) -> bool:
        return index < len(self.inputs) and self.inputs[index] is not None

    def input(self, index: int) -> Tensor:
        """Input `index`; raises UnsupportedError when the node leaves it out."""
        tensor = self.inputs[index] if index < len(self.inputs) else None
        if tensor is None:
            raise self.unsupported(f"it has no input {index}")
        return tensor

    def attr(self, name: str, default: Any = None) -> Any:
        """Attribute `name` as int, float, str, tuple or ir.Tensor; `default` when it is absent."""
        attribute = self.node.attributes.get(name)
        if attribute is None:
            return default
        value = attribute.value
        return tuple(value) if isinstance(value, list | tuple) else value

    def const(self, index: int) -> np.ndarray | None:
        """The value of input `index` when it is known at compile time."""
        return constant_value(self.node.inputs[index]) if index < len(self.node.inputs) else None

    def require_const(self, index: int) -> np.ndarray:
        """The value of input `index`; raises UnsupportedError when it is only known at run time."""
        value = self.const(index)
        if value is None:
            source = self.node.inputs[index] if index < len(self.node.inputs) else None
            raise self.unsupported(
                f"input {index} ('{source.name if source else ''}') must be known at compile time",
                "bind it with --constant NAME=VALUES, or make it an initializer",
            )
        return value

    def compact(self, index: int) -> Compact | None:
        """Input `index` as it is stored, when it is a constant in fewer bits than `const` gives it in."""
        return compact_value(self.node.inputs[index]) if index < len(self.node.inputs) else None

    def rearranged(self, index: int, array: np.ndarray, label: str) -> Tensor:
        """`array`, the elements of constant input `index` in another order, in float16 where that is."""
        compact = self.compact(index)
        if compact is None or not compact.is_half:
            return self.weight(array, label)
        halves = self.weight(store_halves(array, self.isa.widens_halves), label)
        return te.compute(halves.shape, lambda *i: widened(halves(*i)), name=label)

    def weight(self, array: np.ndarray, label: str) -> Tensor:
        """A constant of our own making (packed or precomputed weights), as an input of the kernel."""
        key = f"{self.name}:{label}"
        if key not in self.new_weights:
            tensor = te.placeholder(array.shape, array.dtype.name, name=label)
            self.new_weights[key] = (tensor, np.ascontiguousarray(array))
        return self.new_weights[key][0]

    def unsupported(self, why: str, fix: str = "") -> UnsupportedError:
        """The error to raise for what this node asks and we cannot compile."""
        what = f"{self.node.op_type} cannot be compiled"
        return UnsupportedError(Problem("EC4010", what, self.name, why, fix))
