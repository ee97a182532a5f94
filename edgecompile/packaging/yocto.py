"""Yocto: a recipe with the library and its header as files."""

from __future__ import annotations

import hashlib

from edgecompile.core.artifact import Artifact
from edgecompile.packaging.formats import Format
from edgecompile.packaging.licenses import license_files
from edgecompile.packaging.manifest import Files
from edgecompile.packaging.options import PackageOptions
from edgecompile.packaging.parts import parts_of, under
from edgecompile.packaging.render import describe, render


def render_yocto(artifact: Artifact, options: PackageOptions) -> Files:
    """NAME_VERSION.bb and files/, for a folder of recipes in a layer of yours."""
    parts, licenses = parts_of(artifact, options), license_files(artifact, options)
    files = {**parts.headers, **parts.library, **licenses}
    checksum = hashlib.md5(licenses["LICENSES.md"], usedforsecurity=False).hexdigest()
    values = describe(artifact, options) | {
        "files": sorted(files),
        "headers": sorted(parts.headers),
        "license_md5": checksum,
    }
    (recipe,) = render("yocto", values).values()
    return {f"{values['dashed']}_{options.version}.bb": recipe, **under("files", files)}


FORMAT = Format("yocto", "a recipe for a Yocto layer", render_yocto, emit=("lib",), machines="linux")
