"""CMSIS-Pack: one file for the IDEs of Cortex-M, with the network as a software component."""

from __future__ import annotations

import time
from xml.sax.saxutils import escape

from edgecompile.core.artifact import Artifact
from edgecompile.packaging.archive import zip_bytes
from edgecompile.packaging.formats import Format
from edgecompile.packaging.licenses import license_files
from edgecompile.packaging.manifest import Files
from edgecompile.packaging.options import PackageOptions
from edgecompile.packaging.parts import compiled_sources, parts_of, under, without_main
from edgecompile.packaging.render import describe, render

VENDOR = "edgecompile"


def render_cmsis_pack(artifact: Artifact, options: PackageOptions) -> Files:
    """VENDOR.NAME.VERSION.pack, a zip archive around VENDOR.NAME.pdsc."""
    parts, name = parts_of(artifact, options), artifact.manifest.name
    target = artifact.target
    values = describe(artifact, options) | {
        "vendor": VENDOR,
        "headers": [file for file in parts.headers if file.endswith(".h")],
        "sources": compiled_sources(artifact, parts),
        "core": "Cortex-" + target.isa.cpu.removeprefix("cortex-").upper(),
        "float_abi": target.isa.float_abi,
        "day": time.strftime("%Y-%m-%d", time.gmtime(options.date)),
        "target_text": escape(target.description),
    }
    files = {
        **under("include", parts.headers),
        **under("lib", parts.library),
        **under("src", parts.sources),
        **under("selftest", without_main(parts.selftest)),
        **license_files(artifact, options),
        **{f"{VENDOR}.{path}": data for path, data in render("cmsis_pack", values).items()},
    }
    return {f"{VENDOR}.{name}.{options.version}.pack": zip_bytes(files, options.date)}


FORMAT = Format(
    "cmsis-pack",
    "a CMSIS-Pack for the IDEs of Cortex-M",
    render_cmsis_pack,
    single=True,
    machines="firmware",
)
