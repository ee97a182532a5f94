"""Swift Package Manager: the C source as a module, or a Core ML model as a resource, and Swift around it."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np

from edgecompile.core.artifact import Artifact, report_json
from edgecompile.packaging.formats import Format
from edgecompile.packaging.licenses import license_files
from edgecompile.packaging.manifest import Files
from edgecompile.packaging.options import PackageOptions
from edgecompile.packaging.parts import parts_of, under, without_main
from edgecompile.packaging.render import describe, render
from edgecompile.packaging.selftest import golden_vectors

SWIFT_TYPES = {
    "float32": "Float", "float64": "Double", "float16": "UInt16", "bool": "UInt8",
    "int8": "Int8", "int16": "Int16", "int32": "Int32", "int64": "Int64",
    "uint8": "UInt8", "uint16": "UInt16", "uint32": "UInt32", "uint64": "UInt64",
}  # fmt: skip
# The systems that run a model made for each version of iOS, as a package says that.
_PLATFORMS = {"iOS17": ".iOS(.v17), .macOS(.v14)", "iOS18": ".iOS(.v18), .macOS(.v15)"}


def render_swift(artifact: Artifact, options: PackageOptions) -> Files:
    """Package.swift, and the sources of the modules and of a test."""
    if artifact.manifest.emit == "mlpackage":
        return _coreml(artifact, options)
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


def _coreml(artifact: Artifact, options: PackageOptions) -> Files:
    """The model as it is, compiled on the device when it is loaded; its golden vectors are a JSON file."""
    name, model = artifact.manifest.name, report_json(artifact.path)["coreml"]
    package = artifact.path / f"{name}.mlpackage"
    module = f"Sources/{name}/{name}.mlpackage"
    values = describe(artifact, options) | {
        "platforms": _PLATFORMS[model["deployment"]],
        "compute_units": model["compute_units"],
        "inputs": [_feature(feature) for feature in model["inputs"]],
        "outputs": [_feature(feature) for feature in model["outputs"]],
    }
    return {
        **{
            f"{module}/{path.relative_to(package).as_posix()}": path.read_bytes()
            for path in sorted(package.rglob("*"))
            if path.is_file()
        },
        f"Tests/{name}Tests/golden.json": _golden(artifact),
        **license_files(artifact, options),
        **render("swift_coreml", values),
    }


def _feature(feature: dict[str, Any]) -> dict[str, Any]:
    """An input or output of the model: its name there, Swift's type, the shape and how many elements."""
    shape = [int(size) for size in feature["shape"]]
    return {
        "feature": feature["name"],
        "type": SWIFT_TYPES[feature["dtype"]],
        "shape": shape,
        "elements": math.prod(shape),
    }


def _golden(artifact: Artifact) -> bytes:
    samples, inputs, outputs = golden_vectors(artifact)
    columns = {
        side: [np.frombuffer(vector.data, vector.dtype).reshape(samples, -1) for vector in vectors]
        for side, vectors in (("inputs", inputs), ("outputs", outputs))
    }
    rows = [
        {side: [array[k].tolist() for array in arrays] for side, arrays in columns.items()}
        for k in range(samples)
    ]
    record = {"allowed": [float(vector.allowed) for vector in outputs], "samples": rows}
    return (json.dumps(record) + "\n").encode()


FORMAT = Format(
    "swift", "a Swift package of C source or a Core ML model", render_swift, emit=("c", "mlpackage")
)
