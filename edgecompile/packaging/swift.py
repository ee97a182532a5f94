"""Swift Package Manager: the C source as a module, a Swift function around it, and a test."""

from __future__ import annotations

from edgecompile.core.artifact import Artifact
from edgecompile.packaging.formats import Format
from edgecompile.packaging.licenses import license_files
from edgecompile.packaging.manifest import Files
from edgecompile.packaging.options import PackageOptions
from edgecompile.packaging.parts import parts_of, under, without_main
from edgecompile.packaging.render import describe, render

SWIFT_TYPES = {
    "float32": "Float", "float64": "Double", "float16": "UInt16", "bool": "UInt8",
    "int8": "Int8", "int16": "Int16", "int32": "Int32", "int64": "Int64",
    "uint8": "UInt8", "uint16": "UInt16", "uint32": "UInt32", "uint64": "UInt64",
}  # fmt: skip


def render_swift(artifact: Artifact, options: PackageOptions) -> Files:
    """Package.swift, the module CNAME of C, the module NAME of Swift, and its test."""
    parts, name = parts_of(artifact, options), artifact.manifest.name
    module = f"Sources/C{name}"
    selftest = without_main(parts.selftest)
    headers = {file: data for file, data in parts.headers.items() if file.endswith(".h")}
    tested = {file: data for file, data in selftest.items() if file.endswith(".c")}
    return {
        **under(f"{module}/include", headers | {f"{name}_selftest.h": selftest[f"{name}_selftest.h"]}),
        **under(module, parts.sources | tested | {f"{name}_golden.h": selftest[f"{name}_golden.h"]}),
        **license_files(artifact, options),
        **render("swift", describe(artifact, options) | {"swift_types": SWIFT_TYPES}),
    }


FORMAT = Format("swift", "a Swift package of C source", render_swift, emit=("c",))
