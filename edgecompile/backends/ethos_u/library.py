"""A command stream as a C library: one step, which hands it to the core driver.

Header, entry and packaging are those of networks for CPUs. The step's kernel is a C file around three
functions of the driver (templates/npu.c.j2); commands and constants are the weights.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import jinja2
import numpy as np

from edgecompile.backends.ethos_u.vela import Stream
from edgecompile.core.model import Model
from edgecompile.core.tensor import C_TYPES, TensorInfo
from edgecompile.lower.build import BuiltNetwork
from edgecompile.lower.entry import comment_text, generate_entry
from edgecompile.lower.program import Program, Step
from edgecompile.lower.storage import assign_storage

# What the driver demands of commands, constants, and buffers.
ALIGNMENT = 16
COMMANDS, CONSTANTS = "ethos-u/commands", "ethos-u/constants"


def build_stream(stream: Stream, model: Model, name: str, folder: Path) -> BuiltNetwork:
    """The network `name` as one call of `NAME_npu`, whose source is written into `folder`."""
    layers = tuple(str(node.name) for node in model.graph.graph if node.name)
    data = {COMMANDS: np.frombuffer(stream.commands, np.uint8)}
    if stream.constants:
        data[CONSTANTS] = np.frombuffer(stream.constants, np.uint8)
    inputs, outputs = model.inputs, model.outputs
    weights = {key: TensorInfo(key, array.shape, "uint8") for key, array in data.items()}
    step = Step(
        f"{name}_npu",
        layers,
        (*data, *(info.name for info in inputs)),
        tuple(info.name for info in outputs),
        workspace=stream.scratch_bytes,
    )
    program = Program(
        inputs,
        outputs,
        tuple(info.name for info in outputs),
        weights | {info.name: info for info in (*inputs, *outputs)},
        {},
        data,
        (step,),
    )
    storage = assign_storage(program, ALIGNMENT)
    source = folder / f"{name}_npu.c"
    source.write_text(_source(stream, step, inputs, outputs), encoding="utf-8")
    return BuiltNetwork(
        program, storage, generate_entry(name, storage, ALIGNMENT), None, ALIGNMENT, (source,)
    )


def _source(
    stream: Stream, step: Step, inputs: tuple[TensorInfo, ...], outputs: tuple[TensorInfo, ...]
) -> str:
    """The C function of the step: a base address for each memory region, and copies of what is in scratch."""
    constants, scratch, fast = stream.regions
    borders = [*zip(inputs, stream.inputs, strict=True), *zip(outputs, stream.outputs, strict=True)]
    names = [f"input_{i}" for i in range(len(inputs))] + [f"output_{i}" for i in range(len(outputs))]
    regions = {
        fast: ("fast memory", "0", stream.fast_bytes),
        scratch: ("arena", _address("scratch") if stream.scratch_bytes else "0", stream.scratch_bytes),
        constants: ("constants", _address("constants") if stream.constants else "0", len(stream.constants)),
    }
    copies = []
    count = len(inputs)
    for name, (info, border) in zip(names, borders, strict=True):
        if border.region == scratch:
            copies.append((name, border.address, border.bytes))
        else:
            regions[border.region] = (comment_text(info.name), _address(name), border.bytes)
    unused = ("nothing", "0", 0)
    ordered = [regions.get(region, unused) for region in range(max(regions) + 1)]
    parameters = ["uint8_t* commands", *(["uint8_t* constants"] if stream.constants else [])]
    parameters += [f"{C_TYPES[info.dtype]}* {name}" for name, (info, _) in zip(names, borders, strict=True)]
    values = {
        "symbol": step.symbol,
        "parameters": [*parameters, *(["uint8_t* scratch"] if stream.scratch_bytes else [])],
        "roles": [role for role, _, _ in ordered],
        "pointers": [pointer for _, pointer, _ in ordered],
        "sizes": [size for _, _, size in ordered],
        "copies_in": [copy for copy in copies if copy[0] in names[:count]],
        "copies_out": [copy for copy in copies if copy[0] in names[count:]],
        "command_bytes": len(stream.commands),
        "fast_bytes": stream.fast_bytes,
    }
    return _templates().get_template("npu.c.j2").render(values)


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
