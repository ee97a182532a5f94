"""What the function of an operator gets: one node's inputs and attributes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import onnx_ir as ir
from torch import Tensor

from edgecompile.errors import Problem, UnsupportedError


@dataclass(frozen=True)
class Call:
    """One execution of `node`; an input that is left out is None."""

    node: ir.Node
    inputs: tuple[Tensor | None, ...]

    def __getitem__(self, index: int) -> Tensor:
        """Input `index`, which the operator cannot do without."""
        given = self.optional(index)
        assert given is not None, f"{self.node.name} has no input {index}"
        return given

    def optional(self, index: int) -> Tensor | None:
        """Input `index`, or None."""
        return self.inputs[index] if index < len(self.inputs) else None

    def present(self) -> list[Tensor]:
        """All inputs that are given, for operators of any number of them."""
        return [tensor for tensor in self.inputs if tensor is not None]

    def numbers(self, index: int) -> list[int] | None:
        """Input `index` as whole numbers: axes, a shape, sizes."""
        given = self.optional(index)
        return None if given is None else [int(number) for number in given.reshape(-1).tolist()]

    def get_int(self, name: str, default: int) -> int:
        """The attribute `name`."""
        return self.node.attributes.get_int(name, default)

    def get_float(self, name: str, default: float) -> float:
        """The attribute `name`."""
        return self.node.attributes.get_float(name, default)

    def get_ints(self, name: str) -> list[int] | None:
        """The attribute `name`, None when it is left out."""
        found = self.node.attributes.get_ints(name, None)
        return None if found is None else [*found]

    def get_string(self, name: str, default: str) -> str:
        """The attribute `name`."""
        return self.node.attributes.get_string(name, default)

    def require(self, holds: bool, what: str) -> None:
        """Raise UnsupportedError (EC4392) unless `holds`; `what` names the feature that is not there."""
        if not holds:
            why = "this form of the operator is not written down in PyTorch"
            problem = Problem("EC4392", f"{self.node.op_type} with {what}", str(self.node.name), why)
            raise UnsupportedError(problem)


# An operator: one tensor, or several for a node of several outputs.
Function = Callable[[Call], "Tensor | tuple[Tensor, ...]"]
