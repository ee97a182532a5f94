"""RAUC: a folder for `rauc bundle`, with the weights as an image for a slot."""

from __future__ import annotations

from edgecompile.core.artifact import Artifact
from edgecompile.core.store import sha256_hex
from edgecompile.packaging.formats import Format
from edgecompile.packaging.licenses import license_files
from edgecompile.packaging.manifest import Files
from edgecompile.packaging.options import PackageOptions
from edgecompile.packaging.parts import parts_of, under
from edgecompile.packaging.render import describe, render


def render_rauc(artifact: Artifact, options: PackageOptions) -> Files:
    """bundle/ with manifest.raucm and the image; beside it the code that reads the image."""
    parts, file = parts_of(artifact, options), f"{artifact.manifest.name}_weights.bin"
    payload = parts.apart.pop(file)
    values = describe(artifact, options) | {
        "payload_bytes": len(payload),
        "payload_sha256": sha256_hex(payload),
    }
    return {
        f"bundle/{file}": payload,
        **under("src", parts.apart),
        **license_files(artifact, options),
        **render("rauc", values),
    }


FORMAT = Format(
    "rauc", "a folder for `rauc bundle`", render_rauc, weights=("partition", "file"), machines="linux"
)
