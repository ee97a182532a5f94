"""Command streams as calls in a C library: each is a function that hands one to the core driver.

Header, entry, memory plan and packaging are those of networks for CPUs, in whose graph a call stands for each
segment of the NPU (core/calls.py). Its function is a C file around three functions of the driver
(templates/npu.c.j2); commands and constants are among the weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import jinja2
import numpy as np
import onnx_ir as ir

from edgecompile.backends.ethos_u.partition import Segment
from edgecompile.backends.ethos_u.vela import Stream
from edgecompile.core import calls
from edgecompile.core.model import Model, tensor_info
from edgecompile.core.tensor import C_TYPES, TensorInfo
from edgecompile.lower.entry import comment_text
from edgecompile.passes.edit import add_initializer


def replace_by_call(model: Model, segment: Segment, stream: Stream, symbol: str) -> None:
    """Put one node, a call of `symbol`, in the place of the segment's nodes in the graph of `model`."""
    graph = model.graph.graph
    data = {"commands": stream.commands, "constants": stream.constants}
    constants = [
        add_initializer(graph, f"{symbol}/{label}", np.frombuffer(content, np.uint8))
        for label, content in data.items()
        if content
    ]
    attributes: dict[str, Any] = {calls.LAYERS: segment.layers, calls.WORKSPACE: stream.scratch_bytes}
    call = ir.node(
        symbol,
        [*constants, *segment.inputs],
        attributes,
        domain=calls.DOMAIN,
        num_outputs=len(segment.outputs),
        name=symbol,
    )
    for new, old in zip(call.outputs, segment.outputs, strict=True):
        new.name, new.shape, new.type = old.name, old.shape, old.type
        new.metadata_props.update(old.metadata_props)
    ir.convenience.replace_nodes_and_values(
        graph, segment.nodes[-1], segment.nodes, [call], segment.outputs, call.outputs
    )


def source_of(stream: Stream, segment: Segment, symbol: str) -> str:
    """The C function of a call: a base address for each memory region, and copies of what is in scratch."""
    constants, scratch, fast = stream.regions
    inputs, outputs = (tuple(map(tensor_info, values)) for values in (segment.inputs, segment.outputs))
    borders = [*zip(inputs, stream.inputs, strict=True), *zip(outputs, stream.outputs, strict=True)]
    names = [f"input_{i}" for i in range(len(inputs))] + [f"output_{i}" for i in range(len(outputs))]
    regions = {
        fast: ("fast memory", "0", stream.fast_bytes),
        scratch: ("arena", _address("scratch") if stream.scratch_bytes else "0", stream.scratch_bytes),
        constants: ("constants", _address("constants") if stream.constants else "0", len(stream.constants)),
    }
    copies = []
    for name, (info, border) in zip(names, borders, strict=True):
        if border.region == scratch:
            copies.append((name, border.address, border.bytes))
        else:
            regions[border.region] = (comment_text(info.name), _address(name), border.bytes)
    unused = ("nothing", "0", 0)
    ordered = [regions.get(region, unused) for region in range(max(regions) + 1)]
    values = {
        "symbol": symbol,
        "parameters": _parameters(stream, names, [*inputs, *outputs]),
        "roles": [role for role, _, _ in ordered],
        "pointers": [pointer for _, pointer, _ in ordered],
        "sizes": [size for _, _, size in ordered],
        "copies_in": [copy for copy in copies if copy[0] in names[: len(inputs)]],
        "copies_out": [copy for copy in copies if copy[0] in names[len(inputs) :]],
        "command_bytes": len(stream.commands),
        "fast_bytes": stream.fast_bytes,
    }
    return _templates().get_template("npu.c.j2").render(values)


def _parameters(stream: Stream, names: Sequence[str], infos: Sequence[TensorInfo]) -> list[str]:
    """In the order of core/calls.py."""
    tensors = [f"{C_TYPES[info.dtype]}* {name}" for name, info in zip(names, infos, strict=True)]
    constants = ["uint8_t* constants"] if stream.constants else []
    scratch = ["uint8_t* scratch"] if stream.scratch_bytes else []
    return ["uint8_t* commands", *constants, *tensors, *scratch]


def _address(pointer: str) -> str:
    return f"(uint64_t)(uintptr_t){pointer}"


@cache
def _templates() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.PackageLoader("edgecompile.backends.ethos_u"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
