"""Android: an AAR with the library for native code (prefab), and the JNI source for Java and Kotlin."""

from __future__ import annotations

from edgecompile.core.artifact import Artifact
from edgecompile.packaging.aar import aar_file, json_bytes
from edgecompile.packaging.android_htp import render_htp
from edgecompile.packaging.formats import Format
from edgecompile.packaging.manifest import Files
from edgecompile.packaging.options import PackageOptions
from edgecompile.packaging.parts import parts_of, under
from edgecompile.packaging.render import describe, render

_ABIS = {"aarch64": "arm64-v8a", "x86_64": "x86_64", "arm": "armeabi-v7a", "armv7a": "armeabi-v7a"}
# The oldest Android that its build tools still support, and the NDK whose prefab knows static libraries.
_API, _NDK = 21, 25

# Kinds of Java arrays, and the functions of JNI that read and write them.
JAVA_TYPES = {
    "float32": "float", "float64": "double", "float16": "short", "bool": "byte",
    "int8": "byte", "int16": "short", "int32": "int", "int64": "long",
    "uint8": "byte", "uint16": "short", "uint32": "int", "uint64": "long",
}  # fmt: skip


def render_android(artifact: Artifact, options: PackageOptions) -> Files:
    """NAME-VERSION.aar; beside it java/ and jni/, for an application. Of an HTP: `render_htp`."""
    if artifact.manifest.emit == "onnx":
        return render_htp(artifact, options)
    parts, values = parts_of(artifact, options), describe(artifact, options)
    processor = str(values["processor"])
    abi = _ABIS.get(processor, processor)
    texts = render("android", values | {"api": _API, "java_types": JAVA_TYPES})
    target = {"abi": abi, "api": _API, "ndk": _NDK, "stl": "none", "static": True}
    library = {"abi.json": json_bytes(target), **parts.library}
    module = {**under("include", parts.headers), **under(f"libs/android.{abi}", library)}
    others = {"AndroidManifest.xml": texts.pop("AndroidManifest.xml")}
    return {**aar_file(artifact, options, module, ("-lm",), others), **texts}


FORMAT = Format(
    "android",
    "an AAR with prefab: a library and JNI source, or a context for an HTP and C++",
    render_android,
    emit=("lib", "onnx"),
    machines="linux",
)
