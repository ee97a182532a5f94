"""PlatformIO: a library for lib_deps, with an example that runs the self-test."""

from __future__ import annotations

import json

from edgecompile.core.artifact import Artifact
from edgecompile.packaging.formats import Format
from edgecompile.packaging.licenses import license_files
from edgecompile.packaging.manifest import Files
from edgecompile.packaging.options import PackageOptions
from edgecompile.packaging.parts import parts_of, under


def render_platformio(artifact: Artifact, options: PackageOptions) -> Files:
    """library.json, include/, lib/ or src/, and examples/selftest/."""
    parts = parts_of(artifact, options)
    record = json.dumps(_library(artifact, options), indent=2) + "\n"
    return {
        **under("include", parts.headers),
        **under("lib", parts.library),
        **under("src", parts.sources),
        **under("examples/selftest", parts.selftest),
        **license_files(artifact, options),
        "library.json": record.encode(),
    }


def _library(artifact: Artifact, options: PackageOptions) -> dict[str, object]:
    manifest = artifact.manifest
    linked = ["-Llib", f"-l{manifest.name}"] if manifest.emit == "lib" else []
    record: dict[str, object] = {
        "name": manifest.name,
        "version": options.version,
        "description": f"The neural network {manifest.name}, compiled for {manifest.target}",
        "keywords": ["neural network", "edgecompile"],
        "headers": f"{manifest.name}.h",
        "frameworks": "*",
        "platforms": "*",
        "build": {"flags": ["-Iinclude", *linked, "-lm"], "libArchive": True},
        "examples": [{"name": "Self-test", "base": "examples/selftest", "files": _example(manifest.name)}],
    }
    return record | ({"license": options.license} if options.license else {})


def _example(name: str) -> list[str]:
    return [f"{name}_selftest_main.c", f"{name}_selftest.c", f"{name}_golden.c"]


FORMAT = Format("platformio", "a PlatformIO library, with an example", render_platformio)
