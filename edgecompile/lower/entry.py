"""The generated C: public headers, and the entry point that calls the kernels in order.

No malloc, no globals written, re-entrant: everything a call needs comes in by its arguments. Compiled with
EDGECOMPILE_TRACE the entry hands every step's results to a function of the caller, which is how a run on a
device is compared layer by layer. The text itself is in `templates/`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import jinja2

from edgecompile.core.tensor import C_TYPES, TensorInfo
from edgecompile.lower.identifier import c_identifier
from edgecompile.lower.program import Program, Step
from edgecompile.lower.storage import Location, Storage

_RUN_PARAMETERS = "const void* const inputs[], void* const outputs[], void* arena, size_t arena_bytes"


@dataclass(frozen=True)
class EntrySources:
    """Text of `include/NAME.h`, `include/NAME.hpp` and `src/NAME.c`.

    A network for several threads also has `include/NAME_threads.h` and `src/NAME_threads.c`, else "".
    """

    header: str
    cpp_header: str
    source: str
    threads_header: str = ""
    threads_source: str = ""


def generate_entry(name: str, storage: Storage, align: int, threads: int = 1) -> EntrySources:
    """C sources for a placed program; `name` is a C identifier and prefixes every symbol.

    With `threads` more than 1 the network can run on several, up to that many.
    """
    program = storage.program
    inputs = _identifiers(program.inputs, {"arena", "inputs", "outputs"})
    outputs = _identifiers(program.outputs, {"arena", "inputs", "outputs", *inputs})
    call = "c->" if threads > 1 else ""
    values = {
        "name": name,
        "upper": name.upper(),
        "align": align,
        "arena_bytes": storage.plan.arena_bytes,
        "weight_bytes": len(storage.weights),
        "inputs": program.inputs,
        "outputs": program.outputs,
        "run_parameters": _RUN_PARAMETERS,
        "typed_inputs": inputs,
        "typed_outputs": outputs,
        "typed_parameters": ", ".join(
            [f"const {C_TYPES[t.dtype]}* {n}" for n, t in zip(inputs, program.inputs, strict=True)]
            + [f"{C_TYPES[t.dtype]}* {n}" for n, t in zip(outputs, program.outputs, strict=True)]
        ),
        "kernels": _kernels(program),
        "threads": threads,
        "steps": [_step(i, step, storage, call) for i, step in enumerate(program.steps)],
    }
    files = ["network.h.j2", "network.hpp.j2", "network.c.j2"]
    files += ["threads.h.j2", "threads.c.j2"] if threads > 1 else []
    return EntrySources(*(templates().get_template(file).render(values) for file in files))


@cache
def templates() -> jinja2.Environment:
    """The templates of generated C."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("edgecompile.lower"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
    environment.filters |= {"c_string": c_string, "describe": _describe}
    return environment


def comment_text(text: str) -> str:
    """`text` so that it can stand in a C comment."""
    plain = "".join(c if 32 <= ord(c) < 127 else "?" for c in text)
    return plain.replace("*/", "* /").replace("/*", "/ *").replace("??/", "?? /")


def c_string(text: str) -> str:
    """`text` (UTF-8) as a C string literal."""
    octal = (chr(b) if 32 <= b < 127 and chr(b) not in '"\\?' else f"\\{b:03o}" for b in text.encode())
    return f'"{"".join(octal)}"'


def _describe(tensor: TensorInfo) -> str:
    return f"{comment_text(tensor.name)}: {tensor.dtype} [{', '.join(map(str, tensor.shape))}]"


def _identifiers(tensors: Sequence[TensorInfo], reserved: set[str]) -> list[str]:
    """Unique C names for tensors; none ends with an underscore, so the templates' own names cannot clash."""
    names: list[str] = []
    for index, tensor in enumerate(tensors):
        word = c_identifier(tensor.name)
        names.append(word if word not in reserved | set(names) else f"{word}_{index}")
    return names


def _kernels(program: Program) -> list[dict[str, Any]]:
    """Symbol and parameter types of every kernel."""
    kernels = {}
    for step in program.steps:
        types = [f"{C_TYPES[program.values[n].dtype]}*" for n in (*step.reads, *step.writes)]
        types += ["int32_t", "int32_t"] if step.tasks else []
        kernels[step.symbol] = types + (["uint8_t*"] if step.workspace else [])
    kernels.pop("", None)
    return [{"symbol": symbol, "types": types} for symbol, types in sorted(kernels.items())]


def _step(index: int, step: Step, storage: Storage, call: str) -> dict[str, Any]:
    """What the template needs to call a kernel: argument expressions and the sizes of its results.

    `call` is what stands in C before the names of the call's buffers. A step in parts is for the function
    `part(c, tasks, index)`, that gives the first task of a part, and the `index` of one.
    """
    values = storage.program.values
    reads = [_pointer(storage.locate(name), call) for name in step.reads]
    writes = [_pointer(storage.locate(name), call) for name in step.writes]
    types = [C_TYPES[values[name].dtype] for name in (*step.reads, *step.writes)]
    arguments = [f"({kind}*){pointer}" for kind, pointer in zip(types, reads + writes, strict=True)]
    if step.tasks:
        bounds = [f"part(c, {step.tasks}, index)", f"part(c, {step.tasks}, index + 1)"]
        arguments += bounds if step.parts > 1 else ["0", str(step.tasks)]
    if step.workspace:
        stride = f" + (size_t)index * {step.workspace}" if step.parts > 1 else ""
        arguments.append(_pointer(storage.locate_workspace(index), call) + stride)
    return {
        "symbol": step.symbol,
        "index": index,
        "parts": step.parts,
        "layers": comment_text(" + ".join(step.layers)),
        "arguments": arguments,
        "reads": reads,
        "writes": writes,
        "bytes": [values[name].nbytes for name in step.writes],
    }


def _pointer(location: Location, call: str) -> str:
    """A C expression of type `unsigned char*` in parentheses."""
    if location.region == "input":
        return f"((unsigned char*)(uintptr_t){call}inputs[{location.index}] + {location.offset})"
    if location.region == "output":
        return f"((unsigned char*){call}outputs[{location.index}] + {location.offset})"
    return f"({call}{'w' if location.region == 'weights' else 'a'} + {location.offset})"
