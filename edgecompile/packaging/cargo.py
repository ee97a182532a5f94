"""Cargo: a crate without std, without a build script, whose tests are the golden vectors."""

from __future__ import annotations

from edgecompile.core.artifact import Artifact
from edgecompile.packaging.formats import Format
from edgecompile.packaging.licenses import license_files
from edgecompile.packaging.manifest import Files
from edgecompile.packaging.options import PackageOptions
from edgecompile.packaging.parts import parts_of, under
from edgecompile.packaging.render import describe, render
from edgecompile.packaging.selftest import golden_vectors

# float16 travels as its bit pattern, bool as one byte, as in C.
RUST_TYPES = {
    "float32": "f32", "float64": "f64", "float16": "u16", "bool": "u8",
    "int8": "i8", "int16": "i16", "int32": "i32", "int64": "i64",
    "uint8": "u8", "uint16": "u16", "uint32": "u32", "uint64": "u64",
}  # fmt: skip


def render_cargo(artifact: Artifact, options: PackageOptions) -> Files:
    """Cargo.toml, src/lib.rs, tests/, and lib/libNAME.a, which .cargo/config.toml tells the linker of."""
    parts = parts_of(artifact, options)
    samples, inputs, outputs = golden_vectors(artifact)
    values = describe(artifact, options) | {
        "rust_types": RUST_TYPES,
        "golden_inputs": inputs,
        "golden_outputs": outputs,
        "samples": samples,
    }
    vectors = {f"tests/in_{k}.bin": vector.data for k, vector in enumerate(inputs)}
    vectors |= {f"tests/out_{k}.bin": vector.data for k, vector in enumerate(outputs)}
    return {
        **under("lib", parts.library),
        **license_files(artifact, options),
        **render("cargo", values),
        **vectors,
    }


FORMAT = Format("cargo", "a Rust crate without std and without a build script", render_cargo, emit=("lib",))
