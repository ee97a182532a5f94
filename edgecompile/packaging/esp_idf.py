"""ESP-IDF: a component, with its weights in the program or in a partition of the flash."""

from __future__ import annotations

from edgecompile.core.artifact import Artifact
from edgecompile.packaging.formats import Format
from edgecompile.packaging.licenses import license_files
from edgecompile.packaging.manifest import Files
from edgecompile.packaging.options import PackageOptions
from edgecompile.packaging.parts import SOURCE_FLAGS, compiled_sources, parts_of, under, without_main
from edgecompile.packaging.render import describe, render

# Partitions of applications begin and end at multiples of this.
_PARTITION_BYTES = 0x10000


def render_esp_idf(artifact: Artifact, options: PackageOptions) -> Files:
    """The component's folder; for weights in a partition also partitions.csv and the code that maps it."""
    parts, name = parts_of(artifact, options), artifact.manifest.name
    image = len(parts.apart.get(f"{name}_weights.bin", b""))
    values = describe(artifact, options) | {
        "sources": compiled_sources(artifact, parts),
        "source_flags": SOURCE_FLAGS,
        "partition_bytes": -(-image // _PARTITION_BYTES) * _PARTITION_BYTES,
    }
    rendered = render("esp_idf", values)
    if options.weights == "inside":
        rendered = {file: data for file, data in rendered.items() if "partition" not in file}
    return {
        **under("include", parts.headers),
        **under("lib", parts.library),
        **under("src", parts.sources),
        **under("weights", parts.apart),
        **under("examples/selftest/main", without_main(parts.selftest)),
        **license_files(artifact, options),
        **rendered,
    }


FORMAT = Format(
    "esp-idf", "an ESP-IDF component, with an example", render_esp_idf, weights=("inside", "partition")
)
