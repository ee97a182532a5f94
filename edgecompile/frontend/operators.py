"""Which operators of a file exist at all: in ONNX at the file's opset, or as functions in the file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import onnx
from onnx import defs

from edgecompile.errors import InputError, Problem, UnsupportedError
from edgecompile.frontend.structure import all_nodes, label

OLDEST_OPSET = 7
NEWEST_OPSET = defs.onnx_opset_version()
_UPGRADE = "upgrade it with onnx.version_converter, or export it again"


def check_versions(model: onnx.ModelProto) -> None:
    """Raise for a file that is newer or older than what can be read.

    InputError EC3131 (IR version), EC3132 (opset too new or missing); UnsupportedError EC4101 (opset < 7).
    """
    if not 1 <= model.ir_version <= onnx.IR_VERSION:
        why = f"it says {model.ir_version}; onnx {onnx.__version__} reads 1 to {onnx.IR_VERSION}"
        raise InputError(Problem("EC3131", "the file's IR version is not known", "ir_version", why))
    opset = default_opset(model)
    if opset is None:
        why = "the file imports no operator set"
        raise InputError(Problem("EC3132", "the file does not say its opset", "opset_import", why))
    if opset > NEWEST_OPSET:
        why = f"opset {opset}; the newest that onnx {onnx.__version__} knows is {NEWEST_OPSET}"
        fix = f"export it with opset_version={NEWEST_OPSET} or lower"
        raise InputError(Problem("EC3132", "the file's opset is too new", "opset_import", why, fix))
    if opset < OLDEST_OPSET:
        why = f"opset {opset} is older than {OLDEST_OPSET}, which changed how shapes are broadcast"
        what = "the file's opset is too old"
        raise UnsupportedError(Problem("EC4101", what, "opset_import", why, _UPGRADE))


def default_opset(model: onnx.ModelProto) -> int | None:
    """The version of the standard operator set, None when the file does not import it."""
    versions = [int(entry.version) for entry in model.opset_import if entry.domain in ("", "ai.onnx")]
    if versions:
        return max(versions)
    return NEWEST_OPSET if model.opset_import else None


def normalize_domains(model: onnx.ModelProto) -> None:
    """Spell the standard domain in one way: "ai.onnx" becomes "" (both are the same, IR specification)."""
    holders = [model, *model.functions]
    for holder in holders:
        for entry in holder.opset_import:
            entry.domain = "" if entry.domain == "ai.onnx" else entry.domain
    for nodes in [model.graph.node, *(function.node for function in model.functions)]:
        for node in all_nodes(nodes):
            node.domain = "" if node.domain == "ai.onnx" else node.domain


def check_operators(model: onnx.ModelProto) -> None:
    """Raise UnsupportedError (EC4102), one problem an operator, that names every node with it."""
    functions = {(f.domain, f.name, f.overload) for f in model.functions}
    unknown: dict[tuple[str, str], list[str]] = {}
    reasons: dict[tuple[str, str], str] = {}
    for node, opsets in _nodes_with_opsets(model):
        if (node.domain, node.op_type, node.overload) in functions:
            continue
        reason = _why_unknown(node, opsets)
        if reason:
            unknown.setdefault((node.domain, node.op_type), []).append(label(node))
            reasons[node.domain, node.op_type] = reason
    if unknown:
        raise UnsupportedError(
            *(
                Problem(
                    "EC4102",
                    f"operator {'.'.join(filter(None, key))} is not known",
                    ", ".join(names),
                    reasons[key],
                    "export without it, or define it as a function in the model",
                )
                for key, names in unknown.items()
            )
        )


def _nodes_with_opsets(model: onnx.ModelProto) -> Iterator[tuple[onnx.NodeProto, Mapping[str, int]]]:
    opsets = {entry.domain: entry.version for entry in model.opset_import}
    for node in all_nodes(model.graph.node):
        yield node, opsets
    for function in model.functions:
        own = {entry.domain: entry.version for entry in function.opset_import}
        for node in all_nodes(function.node):
            yield node, own


def _why_unknown(node: onnx.NodeProto, opsets: Mapping[str, int]) -> str:
    """Why no definition of `node` exists; "" when there is one."""
    version = opsets.get(node.domain)
    if version is None:
        return f"the file does not import domain '{node.domain or 'ai.onnx'}'"
    if defs.has(node.op_type, version, node.domain):
        if defs.get_schema(node.op_type, version, node.domain).deprecated:
            return f"ONNX deprecates it at opset {version}"
        return ""
    if defs.has(node.op_type, node.domain):
        since = min(s.since_version for s in defs.get_all_schemas_with_history() if _same(s, node))
        return f"it came with opset {since}, the file imports opset {version}"
    return f"domain '{node.domain or 'ai.onnx'}' has no such operator"


def _same(schema: defs.OpSchema, node: onnx.NodeProto) -> bool:
    return bool(schema.name == node.op_type and schema.domain == node.domain)
