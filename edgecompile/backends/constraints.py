"""What an accelerator can compute, as tables: operator → rules.

A rule is a small function of a node and the accelerator's own description. Its docstring says what must hold;
it is the message of the error, and an entry of the table that `edgecompile targets ops` prints. A paragraph
that begins with "Fix: " says what can be done.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

import onnx_ir as ir

from edgecompile.errors import Problem, UnsupportedError

Context = TypeVar("Context")
Rule = Callable[[ir.Node, Context], bool]

_FIX = "compile for a CPU, or leave the layer out of the network"


@dataclass(frozen=True)
class Constraints(Generic[Context]):
    """The operators of an accelerator: those of `operators`, under their rules and those of `always`.

    `key` gives the name of a node in the table; `code` is that of the errors.
    """

    operators: Mapping[str, tuple[Rule[Context], ...]]
    always: tuple[Rule[Context], ...]
    key: Callable[[ir.Node], str]
    code: str

    def problems(self, nodes: Iterable[ir.Node], context: Context, target: str) -> list[Problem]:
        """One problem for each node and rule that do not go together."""
        return [problem for node in nodes for problem in self._of_node(node, context, target)]

    def check(self, nodes: Iterable[ir.Node], context: Context, target: str) -> None:
        """Raise UnsupportedError with all `problems`, where there are any."""
        problems = self.problems(nodes, context, target)
        if problems:
            raise UnsupportedError(*problems)

    def _of_node(self, node: ir.Node, context: Context, target: str) -> list[Problem]:
        name, where = self.key(node), str(node.name or node.outputs[0].name)
        what = f"{name} cannot be computed by {target}"
        broken = [rule for rule in self.always if not rule(node, context)]
        if not broken and name not in self.operators:
            return [Problem(self.code, what, where, "it is none of its operators", _FIX)]
        broken = broken or [rule for rule in self.operators[name] if not rule(node, context)]
        return [Problem(self.code, what, where, *_texts(rule)) for rule in broken]

    def rows(self) -> list[tuple[str, str]]:
        """(operator, what must hold), sorted by operator; first what holds for all."""
        everywhere = [("all", " ".join(_texts(rule)[0] for rule in self.always))]
        return everywhere + [
            (name, " ".join(_texts(rule)[0] for rule in self.operators[name]))
            for name in sorted(self.operators)
        ]

    def markdown(self) -> str:
        """`rows` as a table in Markdown."""
        lines = ["| operator | what must hold |", "|---|---|"]
        return "\n".join([*lines, *(f"| {name} | {text} |" for name, text in self.rows())])


def _texts(rule: Callable[..., bool]) -> tuple[str, str]:
    """What must hold, and what can be done: the docstring of a rule."""
    text, _, fix = inspect.cleandoc(rule.__doc__ or rule.__name__).partition("\n\nFix: ")
    return " ".join(text.split()), " ".join(fix.split()) or _FIX
