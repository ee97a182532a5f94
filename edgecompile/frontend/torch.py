"""PyTorch networks: a callable that returns a module and example inputs, or a saved exported program.

The way is torch.export, then torch.onnx.export, in memory; from there on everything is as for an ONNX file.
torch is imported inside the functions only: nothing else may load it.
"""

from __future__ import annotations

import hashlib
import importlib
import os
import re
import sys
import sysconfig
import traceback
from pathlib import Path
from typing import Any

import onnx_ir as ir

from edgecompile.core.model import Model, Provenance
from edgecompile.errors import (
    InputError,
    MissingToolError,
    Problem,
    UnsupportedError,
    UsageError,
    did_you_mean,
)
from edgecompile.frontend.limits import read_model_file
from edgecompile.frontend.onnx import finish_import
from edgecompile.frontend.options import ImportOptions

_SOURCE_KEY = "edgecompile.source"
_FRAME = re.compile(r'File "(?P<file>[^"]+)", line (?P<line>\d+)')
_WANTED = "it must return (torch.nn.Module, example inputs), the inputs a tensor, a tuple or a dict"


def load_torch(source: str, options: ImportOptions | None = None) -> Model:
    """Import "module:function" (a callable returning (nn.Module, example_inputs)) or a .pt2 file.

    The module is exported in evaluation mode, with the shapes of the example inputs. Nodes are named after
    the submodule they come from, and carry the line of the user's code as metadata "edgecompile.source".

    Raises InputError (EC315x) when the user's code fails, UnsupportedError (EC413x) when torch cannot export
    the network, UsageError (EC2131) for a file that needs --trust-pickle, MissingToolError (EC5101).
    """
    options = options or ImportOptions()
    _require_torch()
    notes: tuple[str, ...] = ()
    if Path(source).suffix.lower() in (".pt2", ".pt", ".pth"):
        program = _load_program(Path(source), options)
        name = Path(source).name
    else:
        program, notes = _export_callable(source)
        name = source
    graph = _to_onnx(program)
    sources = {node: line for node in graph.graph.all_nodes() if (line := _source_line(node))}
    for node in graph.graph.all_nodes():
        node.name = _readable_name(node)
    provenance = Provenance(name, "", graph.opset_imports[""], "pytorch")
    model = finish_import(Model(graph, provenance, notes), options)
    for node, line in sources.items():
        node.metadata_props[_SOURCE_KEY] = line
    digest = hashlib.sha256(model.to_bytes()).hexdigest()
    return Model(model.graph, Provenance(name, digest, provenance.opset, "pytorch"), model.notes)


def _require_torch() -> None:
    try:
        import torch  # noqa: F401
    except ImportError as error:
        fix = "pip install 'edgecompile[torch]'"
        raise MissingToolError(Problem("EC5101", "PyTorch is not installed", "", str(error), fix)) from None


def _load_program(path: Path, options: ImportOptions) -> Any:
    """The exported program in a .pt2 file, whose loading may execute code from the file."""
    import torch
    import torch.ao.quantization.fx._decomposed  # defines the operators of quantized programs

    if path.suffix.lower() != ".pt2":
        why = "a checkpoint holds weights but no graph"
        fix = "give module:function, or save torch.export.export(...) as a .pt2 file"
        raise UnsupportedError(Problem("EC4133", f"'{path}' cannot be imported", "", why, fix))
    if not options.trust_pickle:
        why = "reading the file executes code that it contains (Python pickles)"
        fix = "add --trust-pickle if you trust where it comes from"
        raise UsageError(Problem("EC2131", f"'{path}' is not read without consent", "", why, fix))
    read_model_file(path, foreign=True)
    try:
        return torch.export.load(path)
    except Exception as error:
        why, fix = _first_line(error), "save it again with torch.export.save"
        raise InputError(Problem("EC3154", f"'{path}' is no exported program", "", why, fix)) from None


def _export_callable(source: str) -> tuple[Any, tuple[str, ...]]:
    import torch

    module, args, kwargs = _call(source)
    notes = (f"'{source}' was in training mode; exported in evaluation mode",) if module.training else ()
    module.eval()
    try:
        with torch.no_grad():
            return torch.export.export(module, args, kwargs), notes
    except Exception as error:
        raise UnsupportedError(export_problem(error, source)) from None


def export_problem(error: Exception, source: str) -> Problem:
    """EC4131: torch.export raised `error`; names the user's line."""
    where = _user_frame(error) or source
    fix = "torch.export.export(module, inputs) must succeed; see its documentation on limits"
    return Problem("EC4131", f"torch cannot export '{source}'", where, _first_line(error), fix)


def _call(source: str) -> tuple[Any, tuple[Any, ...], dict[str, Any]]:
    """Import and call the user's function; InputError EC3151, EC3152, EC3153 name the place."""
    import torch

    module_name, _, function_name = source.partition(":")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        function: Any = importlib.import_module(module_name)
        for part in function_name.split("."):
            known = [name for name in dir(function) if not name.startswith("_")]
            if not hasattr(function, part):
                why = f"{module_name} does not define it"
                what = f"there is no '{part}' in '{source}'"
                raise InputError(Problem("EC3151", what, "", why, did_you_mean(part, known)))
            function = getattr(function, part)
        result = function()
    except InputError:
        raise
    except (Exception, SystemExit) as error:
        where = _user_frame(error) or source
        why = f"{type(error).__name__}: {_first_line(error)}"
        fix = "call it by itself; modules are looked for in this folder and on PYTHONPATH"
        raise InputError(Problem("EC3152", f"'{source}' raised an exception", where, why, fix)) from None
    if not (isinstance(result, tuple) and len(result) == 2 and isinstance(result[0], torch.nn.Module)):
        kind = f"it returned a {type(result).__name__}"
        raise InputError(Problem("EC3153", f"'{source}' does not give a network", "", kind, _WANTED))
    return (result[0], *arguments(result[1]))


def arguments(inputs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Example inputs (a tensor, a tuple or list, a dict) as arguments by position and by name."""
    if isinstance(inputs, dict):
        return (), inputs
    return (tuple(inputs) if isinstance(inputs, list | tuple) else (inputs,)), {}


def _to_onnx(program: Any) -> ir.Model:
    import torch

    try:
        exported = torch.onnx.export(program, dynamo=True, verbose=False)
    except Exception as error:
        chain: list[BaseException] = [error]
        while chain[-1].__cause__ is not None:
            chain.append(chain[-1].__cause__)
        why, fix = _first_line(chain[-1]), "replace the operation that the message names"
        where = _failing_line(program, " ".join(map(str, chain)))
        raise UnsupportedError(Problem("EC4132", "the network has no ONNX form", where, why, fix)) from None
    assert exported is not None
    model: ir.Model = exported.model
    return model


def _failing_line(program: Any, text: str) -> str:
    """The user's line behind the node that torch's message names ("translating node %sort : …"), else ""."""
    named = re.search(r"translating node %(\w+)", text)
    # The exporter decomposes operations first; the node that it names exists only afterwards.
    for node in program.run_decompositions().graph.nodes if named else ():
        if named and node.name == named[1]:
            return _innermost_user_line(node.meta.get("stack_trace") or "") or ""
    return ""


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__


def _user_frame(error: BaseException) -> str | None:
    """ "file.py:12" of the innermost frame outside installed packages and this one."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not _is_library(frame.filename)]
    return f"{os.path.basename(frames[-1].filename)}:{frames[-1].lineno}" if frames else None


def _is_library(filename: str) -> bool:
    own = str(Path(__file__).resolve().parents[1])
    return "site-packages" in filename or filename.startswith(("<", sysconfig.get_path("stdlib"), own))


def _source_line(node: ir.Node) -> str | None:
    """ "file.py:12": where the user's code called what became `node`."""
    return _innermost_user_line(node.metadata_props.get("pkg.torch.onnx.stack_trace", ""))


def _innermost_user_line(stack: str) -> str | None:
    frames = [m for m in _FRAME.finditer(stack) if not _is_library(m["file"])]
    return f"{os.path.basename(frames[-1]['file'])}:{frames[-1]['line']}" if frames else None


def _readable_name(node: ir.Node) -> str:
    """ "layers.0.conv/Conv": the path of the submodule and the operator."""
    scopes = re.findall(r"'([^']*)'", node.metadata_props.get("pkg.torch.onnx.name_scopes", ""))
    module = scopes[-2] if len(scopes) > 1 else ""
    return f"{module}/{node.op_type}" if module else node.op_type
