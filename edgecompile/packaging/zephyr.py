"""Zephyr: a module for west, with a Kconfig option, and a sample that runs the self-test."""

from __future__ import annotations

from edgecompile.core.artifact import Artifact
from edgecompile.packaging.formats import Format
from edgecompile.packaging.licenses import license_files
from edgecompile.packaging.manifest import Files
from edgecompile.packaging.options import PackageOptions
from edgecompile.packaging.parts import compiled_sources, parts_of, under, without_main
from edgecompile.packaging.render import describe, render


def render_zephyr(artifact: Artifact, options: PackageOptions) -> Files:
    """zephyr/module.yml and what it names, beside the library or its sources."""
    parts = parts_of(artifact, options)
    values = describe(artifact, options) | {"sources": compiled_sources(artifact, parts)}
    sample = f"samples/{artifact.manifest.name}_selftest"
    return {
        **under("include", parts.headers),
        **under("lib", parts.library),
        **under("src", parts.sources),
        **under("weights", parts.apart),
        **under(f"{sample}/src", without_main(parts.selftest)),
        **license_files(artifact, options),
        **render("zephyr", values),
    }


FORMAT = Format(
    "zephyr",
    "a Zephyr module, with a sample",
    render_zephyr,
    weights=("inside", "partition"),
    machines="firmware",
)
