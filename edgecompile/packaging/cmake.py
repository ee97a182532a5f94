"""CMake: a folder that `find_package(NAME)` finds, with the library or its sources as NAME::NAME."""

from __future__ import annotations

from edgecompile.core.artifact import Artifact
from edgecompile.packaging.formats import Format
from edgecompile.packaging.licenses import license_files
from edgecompile.packaging.manifest import Files
from edgecompile.packaging.options import PackageOptions
from edgecompile.packaging.parts import SOURCE_FLAGS, compiled_sources, parts_of, under
from edgecompile.packaging.placement import placement_files
from edgecompile.packaging.render import describe, render


def render_cmake(artifact: Artifact, options: PackageOptions) -> Files:
    """include/, lib/ or src/, selftest/, and lib/cmake/NAME/ for CMake to find."""
    parts, placement = parts_of(artifact, options), placement_files(artifact, options)
    values = describe(artifact, options) | {
        "sources": compiled_sources(artifact, parts),
        "source_flags": SOURCE_FLAGS,
        "is_placed": bool(placement),
    }
    return {
        **under("include", parts.headers),
        **under("lib", parts.library),
        **under("src", parts.sources),
        **under("weights", parts.apart),
        **under("place", placement),
        **under("selftest", parts.selftest),
        **license_files(artifact, options),
        **render("cmake", values),
    }


FORMAT = Format(
    "cmake",
    "a package for find_package(), as a library or as sources",
    render_cmake,
    weights=("inside", "section", "partition", "file"),
)
