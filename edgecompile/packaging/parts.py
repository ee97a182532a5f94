"""What of an artifact goes into packages: headers, library or sources, weights apart, the self-test."""

from __future__ import annotations

from dataclasses import dataclass

from edgecompile.core.artifact import Artifact
from edgecompile.packaging.manifest import Files
from edgecompile.packaging.options import PackageOptions
from edgecompile.packaging.selftest import selftest_files
from edgecompile.packaging.weights import apart_files, is_weights_source, library_without_weights

# How each source is compiled: kernels are worth speed, the entry is straight-line calls, and what is hot in
# hand-written kernels is assembly. Code that is not used is left to the linker to drop.
ENTRY, SUPPORT, KERNELS = ("-Os",), ("-O2",), ("-O3",)
SOURCE_FLAGS = ("-std=c11", "-ffunction-sections", "-fdata-sections", "-fno-math-errno")


@dataclass(frozen=True)
class Parts:
    """Contents by file name. `library` is libNAME.a, or nothing where there are `sources`.

    `apart` holds what comes of weights that are not in the library: the file to flash or to load, and the C
    file and header that check it.
    """

    headers: Files
    library: Files
    sources: Files
    apart: Files
    selftest: Files


def parts_of(artifact: Artifact, options: PackageOptions) -> Parts:
    """Read the artifact. Raises InputError (EC3571) for a damaged library, EC3052 for damaged vectors."""
    manifest = artifact.manifest
    is_apart = options.weights in ("partition", "file")
    library: Files = {}
    sources: Files = {}
    if manifest.emit == "lib":
        data = artifact.library.read_bytes()
        library = {artifact.library.name: library_without_weights(data, manifest.name) if is_apart else data}
    else:
        # Headers that only sources include stay beside them.
        folder = sorted((artifact.path / "src").iterdir())
        sources = {path.name: path.read_bytes() for path in folder}
        if is_apart:
            sources = {
                name: data for name, data in sources.items() if not is_weights_source(name, manifest.name)
            }
    return Parts(
        headers={path.name: path.read_bytes() for path in sorted((artifact.path / "include").iterdir())},
        library=library,
        sources=sources,
        apart=apart_files(artifact, options) if is_apart else {},
        selftest=selftest_files(artifact, options),
    )


def compiled_sources(artifact: Artifact, parts: Parts) -> dict[str, tuple[str, ...]]:
    """The C files that a build compiles, with the optimization of each."""
    name = artifact.manifest.name
    return {file: _source_flags(name, file) for file in parts.sources if file.endswith(".c")}


def _source_flags(name: str, file: str) -> tuple[str, ...]:
    if file == f"{name}.c":
        return ENTRY
    return KERNELS if file.startswith(f"{name}_") else SUPPORT


def under(folder: str, files: Files) -> Files:
    """The same files in a folder."""
    return {f"{folder}/{name}": data for name, data in files.items()}


def without_main(selftest: Files) -> Files:
    """The self-test without its own main, where a format has another."""
    return {name: data for name, data in selftest.items() if not name.endswith("_main.c")}
