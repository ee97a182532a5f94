"""Android, for Qualcomm's HTP: an AAR with the context as an asset, and headers that load and run it.

onnxruntime and Qualcomm's libraries are dependencies that the POM names; the package has nothing of either.
"""

from __future__ import annotations

from edgecompile.core.artifact import Artifact, report_json
from edgecompile.core.tensor import C_TYPES
from edgecompile.packaging.aar import aar_file
from edgecompile.packaging.manifest import Files
from edgecompile.packaging.options import PackageOptions
from edgecompile.packaging.parts import under
from edgecompile.packaging.render import describe, render
from edgecompile.packaging.selftest import golden_vectors

# The oldest Android that onnxruntime is built for, and its oldest version with the functions that are called.
_API, _ONNXRUNTIME = 24, "1.24.1"
_NOTICE = "NOTICE.txt"


def render_htp(artifact: Artifact, options: PackageOptions) -> Files:
    """NAME-VERSION.aar and its .pom; beside them how to use it, and the sources of a self-test."""
    manifest, name = artifact.manifest, artifact.manifest.name
    samples, inputs, outputs = golden_vectors(artifact)
    golden = {"samples": samples, "golden_inputs": inputs, "golden_outputs": outputs}
    values = describe(artifact, options) | golden | {
        "api": _API,
        "c_types": C_TYPES,
        "onnxruntime": _ONNXRUNTIME,
        "onnxruntime_qnn": manifest.tools["onnxruntime-qnn"],
        "sdk": report_json(artifact.path)["qnn_sdk"],
        "tolerance": manifest.tolerance,
        "kinds": (),
    }  # fmt: skip
    texts = render("android_htp", values)
    context, notice = f"{name}_htp.onnx", (artifact.path / _NOTICE).read_bytes()
    others = {
        "AndroidManifest.xml": texts.pop("AndroidManifest.xml"),
        f"assets/{context}": (artifact.path / context).read_bytes(),
        _NOTICE: notice,
    }
    # Headers alone make a module without a folder libs/.
    module = {file: texts.pop(file) for file in [*texts] if file.startswith("include/")}
    vectors = {file: data for file, data in render("selftest", values).items() if "_golden." in file}
    pom = {f"{name}-{options.version}.pom": texts.pop(f"{name}.pom")}
    aar = aar_file(artifact, options, module, (), others)
    return {**aar, **pom, **texts, **under("selftest", vectors), _NOTICE: notice}
