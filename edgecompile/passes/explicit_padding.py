"""Write the padding of convolutions and pools as numbers.

before: Conv(x, w, auto_pad="SAME_UPPER")                     after: Conv(x, w, pads=[0, 0, 1, 1])
before: ConvTranspose(x, w, output_shape=[8, 8])              after: ConvTranspose(x, w, pads=[...])

ONNX defines both from static shapes (operator Conv: pad_shape; ConvTranspose: total_padding).
"""

from __future__ import annotations

import onnx_ir as ir

from edgecompile.core.model import Model
from edgecompile.core.pipeline import PassResult
from edgecompile.passes.edit import static_shape
from edgecompile.passes.rewriting import become, rewrite_nodes

_POOLS = frozenset({"MaxPool", "AveragePool", "LpPool"})


class ExplicitPadding:
    """No auto_pad and no output_shape after this."""

    name = "explicit_padding"
    tolerance = 0.0

    def __call__(self, model: Model) -> PassResult:
        return rewrite_nodes(model, "automatic paddings written out", _windowed, _transposed)


def pads_of(node: ir.Node) -> tuple[int, ...]:
    """The pads of a convolution or pool without auto_pad: begins, then ends, an entry a spatial axis."""
    rank = len(static_shape(node.inputs[0]) or ()) - 2
    return tuple(node.attributes.get_ints("pads") or (0,) * 2 * rank)


def _windowed(node: ir.Node) -> bool:
    mode = node.attributes.get_string("auto_pad", "NOTSET")
    if node.op_type not in _POOLS | {"Conv", "ConvInteger"} or node.domain or mode == "NOTSET":
        return False
    sizes, outputs = static_shape(node.inputs[0]), static_shape(node.outputs[0])
    kernel = _kernel_of(node)
    if sizes is None or outputs is None or kernel is None:
        return False
    strides, dilations = (_steps(node, name, len(kernel)) for name in ("strides", "dilations"))
    totals = [0] * len(kernel)
    if mode != "VALID":
        reach = [(k - 1) * dilation + 1 for k, dilation in zip(kernel, dilations, strict=True)]
        axes = zip(sizes[2:], outputs[2:], strides, reach, strict=True)
        totals = [max(0, (output - 1) * stride + window - size) for size, output, stride, window in axes]
    _set_pads(node, totals, upper=mode != "SAME_LOWER")
    return True


def _transposed(node: ir.Node) -> bool:
    mode = node.attributes.get_string("auto_pad", "NOTSET")
    given = node.attributes.get_ints("output_shape")
    if node.op_type != "ConvTranspose" or node.domain or (mode == "NOTSET" and not given):
        return False
    sizes, outputs, kernel = static_shape(node.inputs[0]), static_shape(node.outputs[0]), _kernel_of(node)
    if sizes is None or outputs is None or kernel is None:
        return False
    strides, dilations = (_steps(node, name, len(kernel)) for name in ("strides", "dilations"))
    extra = tuple(node.attributes.get_ints("output_padding") or (0,) * len(kernel))
    axes = zip(sizes[2:], outputs[2:], strides, kernel, dilations, extra, strict=True)
    totals = [s * (size - 1) + e + (k - 1) * d + 1 - output for size, output, s, k, d, e in axes]
    if min(totals) < 0:
        return False
    _set_pads(node, totals, upper=mode == "SAME_UPPER")
    return True


def _kernel_of(node: ir.Node) -> tuple[int, ...] | None:
    given = node.attributes.get_ints("kernel_shape")
    if given:
        return tuple(given)
    weights = static_shape(node.inputs[1]) if len(node.inputs) > 1 else None
    return weights[2:] if weights else None


def _steps(node: ir.Node, name: str, rank: int) -> tuple[int, ...]:
    return tuple(node.attributes.get_ints(name) or (1,) * rank)


def _set_pads(node: ir.Node, totals: list[int], upper: bool) -> None:
    """Give the odd element of each total to the end when `upper`, else to the begin."""
    less, more = [total // 2 for total in totals], [total - total // 2 for total in totals]
    pads = [*less, *more] if upper else [*more, *less]
    dropped = ("auto_pad", "output_shape", "pads")
    attributes = {name: attr for name, attr in node.attributes.items() if name not in dropped}
    become(node, node.op_type, list(node.inputs), {**attributes, "pads": pads})
