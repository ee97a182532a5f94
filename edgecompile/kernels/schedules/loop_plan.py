"""The choices of the general schedule as data, which a kernel's function carries as an attribute."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any, Literal

from tvm import tirx

_ATTRIBUTE = "edgecompile.loops"

# Which loop over tiles is the outermost: over everything but columns, over columns, or over columns within
# each line of the result.
Order = Literal["rows", "columns", "lines"]


@dataclass(frozen=True)
class LoopPlan:
    """How the general schedule cuts the loops of a kernel; what is None is left to its analytic model.

    A reduction is computed in register tiles of `rows` x `columns` outputs in this `order`, with at most
    `unroll` of its own steps written out. Elements that are computed by themselves are taken `lanes` at a
    time, and `unroll` such vectors are written out. A transposition moves its data in this `form` (see
    transpose.py) in vectors of `lanes`; a product of two matrices has its right one "packed" or reads it
    "in place".
    """

    rows: int | None = None
    columns: int | None = None
    order: Order | None = None
    unroll: int | None = None
    lanes: int | None = None
    form: str | None = None

    @property
    def knobs(self) -> dict[str, Any]:
        """The choices that are made."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    def attach(self, function: tirx.PrimFunc) -> tirx.PrimFunc:
        """`function` with this plan; as it is for the analytic one."""
        if not self.knobs:
            return function
        return (
            function.with_attr(_ATTRIBUTE, json.dumps(self.knobs, sort_keys=True)) if self.knobs else function
        )

    @staticmethod
    def of(function: tirx.PrimFunc) -> LoopPlan:
        """The plan that `function` carries, or the analytic one."""
        text = function.attrs[_ATTRIBUTE] if function.attrs and _ATTRIBUTE in function.attrs else "{}"
        return LoopPlan(**json.loads(str(text)))
