"""Compute quantized operators in integers.

before: q -> DequantizeLinear -> ConvNhwcRelu(w, b) -> QuantizeLinear -> r
after:  q -> edgecompile.integer::ConvNhwc(w as int8, b as int32, multiplier, shift) -> r

What the new operators compute is specified in core/integer.py, bit by bit. An operator that cannot become one
stays between its DequantizeLinear and QuantizeLinear nodes and is computed in float; the notes say which and
why.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import onnx_ir as ir

from edgecompile.core.fused import FusedOp
from edgecompile.core.integer import DOMAIN, ROUNDING_KEY, ROUNDINGS, VERSION, Rounding
from edgecompile.core.model import Model, describe_quantization
from edgecompile.core.pipeline import PassResult
from edgecompile.errors import EdgeCompileError, Problem, UnsupportedError
from edgecompile.passes.integer import contractions, elementwise, pools, resize
from edgecompile.passes.integer.functions import FUNCTIONS
from edgecompile.passes.integer.quantized import described
from edgecompile.passes.integer.site import Site, StaysFloat
from edgecompile.passes.matching import only_reader
from edgecompile.passes.rewriting import finish

_CONVERTERS: dict[str, Callable[[Site], None]] = {
    **dict.fromkeys(FUNCTIONS, elementwise.convert_function),
    "Add": contractions.convert_sum,
    "AveragePool": pools.convert_average_pool,
    "Clip": elementwise.convert_clamp,
    "Conv": contractions.convert_conv,
    "DequantizeLinear": elementwise.convert_dequantized,
    "Gemm": contractions.convert_gemm,
    "GlobalAveragePool": pools.convert_global_average_pool,
    "MatMul": contractions.convert_matmul,
    "Mul": elementwise.convert_mul,
    "ReduceMean": pools.convert_reduce_mean,
    "Relu": elementwise.convert_clamp,
    "Resize": resize.convert_resize,
    "Softmax": elementwise.convert_softmax,
    "Sub": elementwise.convert_add,
}
_LINEAR = ("QuantizeLinear", "DequantizeLinear")
_FLOATS = (ir.DataType.FLOAT, ir.DataType.FLOAT16, ir.DataType.DOUBLE)


class ConvertToInteger:
    """Operators between DequantizeLinear and QuantizeLinear become ones of domain edgecompile.integer."""

    name = "convert_to_integer"
    # Whole networks differ from the float computation of the same graph by some steps of their scales.
    tolerance = 0.25

    def __init__(self, rounding: Rounding, uniform: bool = False) -> None:
        """`uniform`: also where the file demands another mode for some operators."""
        self.rounding, self.uniform = rounding, uniform

    def __call__(self, model: Model) -> PassResult:
        graph = model.graph.graph
        reasons: dict[str, str] = {}
        problems: list[Problem] = []
        count = 0
        for node in list(graph):
            site = self._site(node) if node.graph is graph else None
            if site is None:
                continue
            try:
                _convert(self._in_its_own_mode(site, model))
                count += 1
            except StaysFloat as reason:
                reasons[str(site.node.name)] = str(reason)
            except EdgeCompileError as error:
                problems += error.problems
        if problems:
            raise UnsupportedError(*problems)
        if not count:
            return PassResult(model, False, tuple(_islands(model, reasons)) if reasons else ())
        graph.opset_imports[DOMAIN] = VERSION
        model.graph.metadata_props[ROUNDING_KEY] = self.rounding
        result = finish(model, count, f"operators computed in integers, rounding {self.rounding}")
        return PassResult(result.model, True, (*result.notes, *_islands(model, reasons)))

    def _site(self, quantize: ir.Node) -> Site | None:
        if quantize.op_type != "QuantizeLinear" or quantize.domain or quantize.inputs[0] is None:
            return None
        source = quantize.inputs[0]
        node, result = source.producer(), described(quantize, quantize.outputs[0])
        op = FusedOp.of(node) if node is not None else None
        if node is None or op is None or result is None:
            return None
        if op.base != "DequantizeLinear" and only_reader(source) is not quantize:
            return None
        return Site(node, op, quantize, result, self.rounding)

    def _in_its_own_mode(self, site: Site, model: Model) -> Site:
        """The site in the mode that the file demands for its operator, while the rest is in its own."""
        demands = model.graph.metadata_props
        own = demands.get(f"{ROUNDING_KEY}.{site.op.base}")
        for mode in ROUNDINGS:
            if own == mode and demands.get(ROUNDING_KEY) == site.rounding and not self.uniform:
                return replace(site, rounding=mode)
        return site


def _convert(site: Site) -> None:
    convert = _CONVERTERS.get(site.op.base)
    if convert is None:
        raise StaysFloat("there is no integer operator for it")
    convert(site)
    describe_quantization(site.quantize.outputs[0], site.result.scale, site.result.zero)


def _islands(model: Model, reasons: dict[str, str]) -> list[str]:
    """One note for each node that still computes real numbers."""
    notes = []
    for node in model.graph.graph:
        if node.op_type in _LINEAR or node.domain == DOMAIN or node.outputs[0].dtype not in _FLOATS:
            continue
        why = reasons.get(str(node.name), "its result is not quantized")
        notes.append(f"{node.name or node.op_type} ({node.op_type}) is computed in float: {why}")
    return notes
