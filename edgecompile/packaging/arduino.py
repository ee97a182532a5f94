"""Arduino: a library, with a sketch that runs the self-test."""

from __future__ import annotations

from edgecompile.core.artifact import Artifact
from edgecompile.packaging.formats import Format
from edgecompile.packaging.licenses import license_files
from edgecompile.packaging.manifest import Files
from edgecompile.packaging.options import PackageOptions
from edgecompile.packaging.parts import parts_of, under, without_main
from edgecompile.packaging.render import describe, render


def render_arduino(artifact: Artifact, options: PackageOptions) -> Files:
    """library.properties, everything to compile or link in src/, and a sketch."""
    parts, name = parts_of(artifact, options), artifact.manifest.name
    return {
        **under("src", parts.headers | parts.sources),
        **under(f"src/{_library_folder(artifact)}", parts.library),
        **under(f"examples/{name}_selftest", without_main(parts.selftest)),
        **license_files(artifact, options),
        **render("arduino", describe(artifact, options)),
    }


def _library_folder(artifact: Artifact) -> str:
    """Where the Arduino tools look for a library that is compiled: the CPU, then its floating point."""
    target = artifact.target
    flags = dict(flag.lstrip("-").split("=") for flag in target.toolchain.flags if "=" in flag)
    unit = f"/{flags['mfpu']}-{flags['mfloat-abi']}" if {"mfpu", "mfloat-abi"} <= flags.keys() else ""
    return f"{target.isa.cpu}{unit}"


FORMAT = Format("arduino", "an Arduino library, with a sketch", render_arduino, machines="firmware")
