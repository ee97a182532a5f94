from __future__ import annotations

import onnx_ir as ir

from edgecompile.core.fused import DOMAIN, NHWC
from edgecompile.lower.registry import find_op
from edgecompile.lower.table import lowered_operators


def test_every_channels_last_operator_can_be_lowered() -> None:
    """The layout pass may only choose what has a row in the table."""
    lowered_operators()
    for name in NHWC:
        for domain, op_type in (("", name), (DOMAIN, f"{name}Nhwc")):
            row = find_op(ir.node(op_type, [ir.Value(name="x")], domain=domain))
            assert row is not None or name in ("DepthToSpace", "SpaceToDepth"), f"{domain}::{op_type}"


def test_both_layouts_are_of_one_kind() -> None:
    lowered_operators()
    first = find_op(ir.node("MaxPool", [ir.Value(name="x")]))
    last = find_op(ir.node("MaxPoolNhwc", [ir.Value(name="x")], domain=DOMAIN))
    assert first is not None
    assert last is not None
    assert first.kind is last.kind
