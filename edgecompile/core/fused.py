"""Fused operators: ONNX model-local functions whose name says what they are made of.

`ConvNhwcRelu` is a Conv on channels-last data followed by a Relu. The function's body is its meaning in
plain ONNX, so a graph with fused operators is executed by onnxruntime and opens in Netron. Everybody else
(lowering, quantization, exporters) takes the name apart with `FusedOp` and never reads the body.

Conventions of a fused node:
- inputs are those of the base operator; an optional one may be left out;
- attributes of the base keep their names and their ONNX meaning (pads, strides: height, then width);
- attributes of the activation are prefixed: `activation_alpha`; Clip has `activation_min`, `activation_max`;
- in layout "nhwc" input 0 and the output are N,H,W,C; all other inputs (weights, bias, scales) are as in
  ONNX, because each kernel packs its weights at compile time anyway.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import onnx_ir as ir

DOMAIN = "edgecompile"

# Activations with one data input that a base operator may apply to its result.
ACTIVATIONS: tuple[str, ...] = (
    "Relu",
    "Clip",
    "LeakyRelu",
    "Sigmoid",
    "Tanh",
    "HardSigmoid",
    "HardSwish",
    "Swish",
    "Gelu",
    "Elu",
    "Selu",
    "Celu",
    "Softplus",
    "Softsign",
    "Mish",
    "ThresholdedRelu",
)

# Base operators that take an activation.
FUSIBLE: tuple[str, ...] = (
    "Conv",
    "ConvTranspose",
    "Gemm",
    "MatMul",
    "Add",
    "MaxPool",
    "AveragePool",
    "GlobalAveragePool",
    "GlobalMaxPool",
)

# Base operators that exist on channels-last data of rank 4.
NHWC: tuple[str, ...] = (
    "Conv",
    "ConvInteger",
    "ConvTranspose",
    "MaxPool",
    "AveragePool",
    "LpPool",
    "GlobalAveragePool",
    "GlobalMaxPool",
    "GlobalLpPool",
    "Resize",
    "InstanceNormalization",
    "GroupNormalization",
    "LRN",
)

TO_NHWC = (0, 2, 3, 1)
TO_NCHW = (0, 3, 1, 2)

Layout = Literal["nchw", "nhwc"]


@dataclass(frozen=True)
class FusedOp:
    """The parts of a fused operator. `base` and `activation` are ONNX operators; "" means no activation.

    >>> FusedOp("Conv", "Relu", "nhwc").name
    'ConvNhwcRelu'
    >>> FusedOp.parse("ConvTransposeClip")
    FusedOp(base='ConvTranspose', activation='Clip', layout='nchw')
    """

    base: str
    activation: str = ""
    layout: Layout = "nchw"

    @property
    def name(self) -> str:
        return self.base + ("Nhwc" if self.layout == "nhwc" else "") + self.activation

    @staticmethod
    def parse(name: str) -> FusedOp:
        """The parts of `name`; raises KeyError when it is no fused operator's name."""
        match = _name_pattern().fullmatch(name)
        if match is None:
            raise KeyError(name)
        base, nhwc, activation = match.groups(default="")
        return FusedOp(base, activation, "nhwc" if nhwc else "nchw")

    @staticmethod
    def of(node: ir.Node) -> FusedOp | None:
        """The parts of any node: an ONNX operator is its own base; None for an operator of another domain."""
        if node.domain in ("", "ai.onnx"):
            return FusedOp(node.op_type)
        return FusedOp.parse(node.op_type) if node.domain == DOMAIN else None


def base_attributes(node: ir.Node) -> dict[str, ir.Attr]:
    """The attributes that belong to the base operator of a node."""
    return {name: attr for name, attr in node.attributes.items() if not name.startswith(_PREFIX)}


def activation_attributes(node: ir.Node) -> dict[str, Any]:
    """The values of the attributes that belong to the activation of a fused node, without their prefix."""
    return {
        name.removeprefix(_PREFIX): attr.value
        for name, attr in node.attributes.items()
        if name.startswith(_PREFIX)
    }


def declare_functions(model: ir.Model) -> None:
    """Give `model` a definition of exactly the fused operators that its graph uses."""
    used = {node.op_type for node in model.graph.all_nodes() if node.domain == DOMAIN}
    for identifier in [key for key in model.functions if key[0] == DOMAIN and key[1] not in used]:
        del model.functions[identifier]
    for name in sorted(used):
        key = (DOMAIN, name, "")
        if key not in model.functions:
            model.functions[key] = function_of(FusedOp.parse(name), model.graph.opset_imports[""])
    if used:
        model.graph.opset_imports[DOMAIN] = 1
    else:
        model.graph.opset_imports.pop(DOMAIN, None)


def function_of(op: FusedOp, opset: int) -> ir.Function:
    """The model-local function that defines `op` by operators of ONNX `opset`."""
    import onnx_ir as ir

    body = _Body(opset)
    result = body.base(op)
    if op.activation:
        result = body.activation(op.activation, result)
    if op.layout == "nhwc":
        result = body.node("Transpose", [result], perm=TO_NHWC)
    graph = ir.Graph(body.inputs, [result], nodes=body.nodes, opset_imports={"": opset}, name=op.name)
    return ir.Function(DOMAIN, op.name, graph=graph, attributes=body.parameters)


_PREFIX = "activation_"


@cache
def _name_pattern() -> re.Pattern[str]:
    bases = sorted({*FUSIBLE, *NHWC, "Swish"}, key=len, reverse=True)
    return re.compile(f"({'|'.join(bases)})(Nhwc)?({'|'.join(ACTIVATIONS)})?")


class _Body:
    """Collects the nodes, inputs and attribute parameters of one function."""

    def __init__(self, opset: int) -> None:
        self.opset = opset
        self.inputs: list[ir.Value] = []
        self.nodes: list[ir.Node] = []
        self.parameters: list[ir.Attr] = []

    def base(self, op: FusedOp) -> ir.Value:
        """The base operator on (channels-first) inputs; Swish is spelled out, few runtimes have it."""
        import onnx
        import onnx_ir as ir

        if op.base == "Swish":
            self.inputs = [ir.Value(name="X")]
            return self.activation("Swish", self.inputs[0])
        schema = onnx.defs.get_schema(op.base, self.opset)
        self.inputs = [ir.Value(name=formal.name) for formal in schema.inputs]
        operands = list(self.inputs)
        if op.layout == "nhwc":
            operands[0] = self.node("Transpose", [operands[0]], perm=TO_NCHW)
        return self.node(op.base, operands, references=self._parameters_of(op.base))

    def activation(self, op_type: str, data: ir.Value) -> ir.Value:
        if op_type == "Swish":
            return self.node("Mul", [data, self.node("Sigmoid", [data])])
        if op_type == "Clip":
            return self.node("Clip", [data, self._bound("min", data), self._bound("max", data)])
        return self.node(op_type, [data], references=self._parameters_of(op_type, _PREFIX))

    def node(
        self, op_type: str, inputs: list[ir.Value], references: tuple[ir.Attr, ...] = (), **attributes: Any
    ) -> ir.Value:
        import onnx_ir as ir

        given = ir.convenience.convert_attributes(attributes)
        node = ir.Node("", op_type, inputs, [*given, *references], name=f"{op_type}_{len(self.nodes)}")
        node.outputs[0].name = f"value_{len(self.nodes)}"
        self.nodes.append(node)
        return node.outputs[0]

    def _bound(self, name: str, data: ir.Value) -> ir.Value:
        """A bound of Clip: a float attribute of the function as a scalar of the data's type."""
        import onnx_ir as ir

        reference = self._parameter("value_float", _PREFIX + name, ir.AttributeType.FLOAT)
        return self.node("CastLike", [self.node("Constant", [], references=(reference,)), data])

    def _parameters_of(self, op_type: str, prefix: str = "") -> tuple[ir.Attr, ...]:
        import onnx
        import onnx_ir as ir

        schema = onnx.defs.get_schema(op_type, self.opset)
        kinds = {
            name: ir.AttributeType[attr.type.name]  # type: ignore[attr-defined]
            for name, attr in schema.attributes.items()
        }
        return tuple(self._parameter(name, prefix + name, kinds[name]) for name in sorted(kinds))

    def _parameter(self, name: str, parameter: str, kind: ir.AttributeType) -> ir.Attr:
        """Declare a parameter of the function; an attribute called `name` that refers to it."""
        import onnx_ir as ir

        self.parameters.append(ir.Attr(parameter, ir.AttributeType.UNDEFINED, None))
        return ir.RefAttr(name, parameter, kind)
