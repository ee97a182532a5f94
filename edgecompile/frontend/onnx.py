"""ONNX files: from bytes on disk to a checked `Model` with static inputs.

Everything here runs in the calling process; `edgecompile.frontend.load` puts it behind a process boundary.
The order matters: what plain Python can check is checked before onnx's native checker sees the file.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import onnx
import onnx_ir as ir
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from onnx.external_data_helper import load_external_data_for_model, uses_external_data
from onnx_ir.passes import common

from edgecompile.core.integer import ROUNDING_KEY
from edgecompile.core.model import Model, Provenance
from edgecompile.core.names import fix_names
from edgecompile.errors import EdgeCompileError, InputError, Problem, UnsupportedError
from edgecompile.frontend.bind import bind_inputs
from edgecompile.frontend.limits import read_model_file
from edgecompile.frontend.operators import check_operators, check_versions, default_opset, normalize_domains
from edgecompile.frontend.options import ImportOptions
from edgecompile.frontend.structure import all_nodes, check_structure, check_text
from edgecompile.frontend.weights import check_sizes, check_weights

_EXPORT_AGAIN = "copy or export it again"


def load_onnx(path: str | Path, options: ImportOptions | None = None) -> Model:
    """Read the ONNX file at `path`.

    The result has static input shapes, weights in memory, a name on every node; documentation strings and
    metadata are dropped, shapes of inner tensors are forgotten (they are inferred again, never trusted).

    Raises InputError (EC31xx) for anything that is not a valid model, UnsupportedError (EC41xx) for valid
    models that cannot be imported, UsageError (EC21xx) for options that do not fit the model.
    """
    path = Path(path)
    data = read_model_file(path)
    message = _parse(data, path)
    try:
        model = _check_and_convert(message, path, hashlib.sha256(data))
    except (EdgeCompileError, MemoryError):
        raise
    except Exception as error:  # what onnx and onnx_ir raise on content that no exporter writes
        raise InputError(_damaged(error, path)) from None
    return finish_import(model, options or ImportOptions())


def _check_and_convert(message: onnx.ModelProto, path: Path, digest: Any) -> Model:
    check_text(message)
    normalize_domains(message)
    check_versions(message)
    _refuse_sparse(message)
    check_sizes(message)
    for tensor in _load_external(message, path):
        digest.update(tensor.raw_data)
    notes = check_structure(message) + check_weights(message)
    check_operators(message)
    _run_checker(message)
    provenance = Provenance(path.name, digest.hexdigest(), default_opset(message) or 0, message.producer_name)
    return Model(ir.from_proto(message), provenance, notes)


def _damaged(error: BaseException, path: Path) -> Problem:
    """EC3108, with the innermost cause of `error`."""
    while error.__cause__ is not None:
        error = error.__cause__
    why = f"{type(error).__name__}: {next(iter(str(error).splitlines()), '')}"
    return Problem("EC3108", f"'{path}' holds something that onnx cannot read", "", why, _EXPORT_AGAIN)


def finish_import(model: Model, options: ImportOptions) -> Model:
    """What all frontends do last: bind the inputs, name the nodes, drop what must not be trusted or kept."""
    notes = bind_inputs(model.graph, options)
    rounding = {key: text for key, text in model.graph.metadata_props.items() if key.startswith(ROUNDING_KEY)}
    common.ClearMetadataAndDocStringPass()(model.graph)
    model.graph.metadata_props.clear()
    model.graph.metadata_props.update(rounding)
    model.graph.doc_string = None
    common.OutputFixPass()(model.graph)
    fix_names(model.graph)
    forget_shapes(model.graph)
    return model.with_notes(*notes)


def forget_shapes(model: ir.Model) -> None:
    """Drop the declared shapes of inner tensors and outputs; `FoldConstants` computes them from the inputs.

    A declared shape is not trusted: a wrong one would become a wrong buffer size.
    """
    for node in model.graph.all_nodes():
        for value in node.outputs:
            value.shape = None
            if not value.is_graph_output():
                value.type = None


def _parse(data: bytes, path: Path) -> onnx.ModelProto:
    """The message in `data`; InputError EC3105 when it is none, or holds no graph."""
    why = "it is truncated or damaged, or another kind of file"
    what = f"'{path}' is not an ONNX model"
    message = onnx.ModelProto()
    try:
        message.ParseFromString(data)
    except DecodeError:
        raise InputError(Problem("EC3105", what, "", why, _EXPORT_AGAIN)) from None
    if not message.HasField("graph") or not (message.graph.node or message.graph.output):
        raise InputError(Problem("EC3105", f"'{path}' holds no graph", "", why, _EXPORT_AGAIN))
    if not message.graph.output:
        raise InputError(Problem("EC3105", f"'{path}' has no outputs", "", "nothing would be computed"))
    return message


def _refuse_sparse(message: onnx.ModelProto) -> None:
    names = [tensor.values.name for tensor in message.graph.sparse_initializer]
    names += [
        node.name or node.output[0]
        for node in all_nodes(message.graph.node)
        if any(attribute.HasField("sparse_tensor") for attribute in node.attribute)
    ]
    if names:
        fix = "store them as dense tensors"
        raise UnsupportedError(
            Problem("EC4103", "sparse constants are not supported", ", ".join(names), "", fix)
        )


def _load_external(message: onnx.ModelProto, path: Path) -> list[onnx.TensorProto]:
    """Load weights stored beside the file and return them; InputError EC3106 names what is wrong.

    onnx itself refuses absolute paths, "..", symbolic links and lengths beyond the file's end.
    """
    tensors = [tensor for tensor in _all_tensors(message) if uses_external_data(tensor)]
    if tensors:
        try:
            load_external_data_for_model(message, str(path.parent))
        except Exception as error:  # ValidationError, OSError or ValueError, by onnx release
            why = str(error).splitlines()[0].replace(str(path.parent.resolve()) + "/", "")
            what = f"the external data of '{path}' cannot be read"
            fix = "keep the data file beside the model, under the name in the model"
            raise InputError(Problem("EC3106", what, "", why, fix)) from None
    return tensors


def _all_tensors(message: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    yield from message.graph.initializer
    for node in all_nodes(message.graph.node):
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors
            yield from attribute.g.initializer


def _run_checker(message: onnx.ModelProto) -> None:
    """onnx's own checker has the last word on attributes and operator signatures (EC3107)."""
    try:
        onnx.checker.check_model(message)
    except onnx.checker.ValidationError as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        place = next((line.removeprefix("==> Context: ") for line in lines if "Context:" in line), "")
        raise InputError(Problem("EC3107", "the model is not valid ONNX", place, lines[0])) from None
