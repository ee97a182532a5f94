"""Android: an AAR with the library for native code (prefab), and the JNI source for Java and Kotlin."""

from __future__ import annotations

import json

from edgecompile.core.artifact import Artifact
from edgecompile.packaging.archive import zip_bytes
from edgecompile.packaging.formats import Format
from edgecompile.packaging.licenses import license_files
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
    """NAME-VERSION.aar; beside it java/ and jni/, which an application compiles."""
    parts, values = parts_of(artifact, options), describe(artifact, options)
    name, processor = str(values["name"]), str(values["processor"])
    abi = _ABIS.get(processor, processor)
    texts = render("android", values | {"api": _API, "java_types": JAVA_TYPES})
    module = f"prefab/modules/{name}"
    library = f"{module}/libs/android.{abi}"
    about = {"schema_version": 2, "name": name, "version": options.version, "dependencies": []}
    target = {"abi": abi, "api": _API, "ndk": _NDK, "stl": "none", "static": True}
    aar = {
        "AndroidManifest.xml": texts.pop("AndroidManifest.xml"),
        # Every AAR has one, also without Java in it.
        "classes.jar": zip_bytes({"META-INF/MANIFEST.MF": b"Manifest-Version: 1.0\r\n\r\n"}, options.date),
        "prefab/prefab.json": _json(about),
        f"{module}/module.json": _json({"export_libraries": ["-lm"]}),
        f"{library}/abi.json": _json(target),
        **under(f"{module}/include", parts.headers),
        **under(library, parts.library),
        **license_files(artifact, options),
    }
    return {f"{name}-{options.version}.aar": zip_bytes(aar, options.date), **texts}


def _json(record: dict[str, object]) -> bytes:
    return (json.dumps(record, indent=2) + "\n").encode()


FORMAT = Format(
    "android", "an AAR with prefab, and JNI source", render_android, emit=("lib",), machines="linux"
)
