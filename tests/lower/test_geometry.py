from __future__ import annotations

from typing import Any

import onnx_ir as ir
import pytest
from tvm import te

from edgecompile.core.target import find_target
from edgecompile.kernels.compute import Layout, Window
from edgecompile.lower.geometry import transposed_window_of, window_of
from edgecompile.lower.registry import NodeView

LAYOUTS = (Layout(channels_last=False), Layout(channels_last=True))


def view(op_type: str, layout: Layout, extents: int, outputs: int, **attributes: Any) -> NodeView:
    """A node on [1, 3, extents] data with a result of [1, 4, outputs]."""
    node = ir.node(op_type, [ir.Value(name="x")], attributes)
    result = node.outputs[0]
    result.name, result.type = "y", ir.TensorType(ir.DataType.FLOAT)
    result.shape = ir.Shape(layout.join(1, (outputs,), 4))
    return NodeView(node, (te.placeholder(layout.join(1, (extents,), 3)),), find_target("host").isa)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(
    ("auto_pad", "pads", "ends"),
    [("SAME_UPPER", 1, 2), ("SAME_LOWER", 2, 1), ("VALID", 0, 0)],
)
def test_automatic_padding(layout: Layout, auto_pad: str, pads: int, ends: int) -> None:
    n = view("Conv", layout, 10, 10, auto_pad=auto_pad)
    assert window_of(n, layout, (4,)) == Window((4,), (1,), (1,), (pads,), (ends,))


def test_explicit_padding_and_defaults() -> None:
    layout = LAYOUTS[0]
    n = view("Conv", layout, 10, 5, pads=[1, 2], strides=[2], dilations=[3])
    assert window_of(n, layout, (3,)) == Window((3,), (2,), (3,), (1,), (2,))
    assert window_of(view("Conv", layout, 10, 8), layout, (3,)) == Window((3,), (1,), (1,), (0,), (0,))


def test_automatic_padding_is_never_negative() -> None:
    layout = LAYOUTS[0]
    n = view("MaxPool", layout, 10, 2, auto_pad="SAME_UPPER", strides=[5])
    assert window_of(n, layout, (1,)).pads == (0,)


@pytest.mark.parametrize(
    ("attributes", "outputs", "pads"),
    [
        ({"pads": [1, 1]}, 9, 1),
        ({"output_shape": [10]}, 10, 1),
        ({"output_shape": [10], "auto_pad": "SAME_UPPER"}, 10, 0),
        ({"auto_pad": "SAME_LOWER"}, 10, 1),
        ({"auto_pad": "VALID"}, 11, 0),
    ],
)
def test_padding_of_transposed_convolutions(attributes: dict[str, Any], outputs: int, pads: int) -> None:
    layout = LAYOUTS[0]
    n = view("ConvTranspose", layout, 5, outputs, strides=[2], **attributes)
    assert transposed_window_of(n, layout, (3,)).pads == (pads,)
