"""Mender: the payload of a single-file update, and the command that makes the artifact."""

from __future__ import annotations

from edgecompile.core.artifact import Artifact
from edgecompile.core.store import sha256_hex
from edgecompile.packaging.formats import Format
from edgecompile.packaging.licenses import license_files
from edgecompile.packaging.manifest import Files
from edgecompile.packaging.options import PackageOptions
from edgecompile.packaging.parts import parts_of, under
from edgecompile.packaging.render import describe, render


def render_mender(artifact: Artifact, options: PackageOptions) -> Files:
    """payload/ for the update module "single-file", make-artifact.sh, and the code that reads the file."""
    parts, file = parts_of(artifact, options), f"{artifact.manifest.name}_weights.bin"
    payload = parts.apart.pop(file)
    values = describe(artifact, options) | {
        "payload_bytes": len(payload),
        "payload_sha256": sha256_hex(payload),
    }
    return {
        f"payload/{file}": payload,
        "payload/filename": f"{file}\n".encode(),
        "payload/permissions": b"644\n",
        **under("src", parts.apart),
        **license_files(artifact, options),
        **render("mender", values),
    }


FORMAT = Format(
    "mender",
    "the payload and command of a Mender artifact",
    render_mender,
    weights=("file",),
    machines="linux",
)
