"""An AAR: the archive in which Android's build tools take a library, here one for native code (prefab)."""

from __future__ import annotations

import json
from collections.abc import Sequence

from edgecompile.core.artifact import Artifact
from edgecompile.packaging.archive import zip_bytes
from edgecompile.packaging.licenses import license_files
from edgecompile.packaging.manifest import Files
from edgecompile.packaging.options import PackageOptions
from edgecompile.packaging.parts import under


def aar_file(
    artifact: Artifact, options: PackageOptions, module: Files, link: Sequence[str], others: Files
) -> Files:
    """NAME-VERSION.aar with the prefab `module` of the network's name, `others` as they are, and licences.

    `link` are flags for whoever links the module. AndroidManifest.xml has to be among `others`.
    """
    name = artifact.manifest.name
    about = {"schema_version": 2, "name": name, "version": options.version, "dependencies": []}
    files = {
        # Every AAR has one, also without Java in it.
        "classes.jar": zip_bytes({"META-INF/MANIFEST.MF": b"Manifest-Version: 1.0\r\n\r\n"}, options.date),
        "prefab/prefab.json": json_bytes(about),
        **under(f"prefab/modules/{name}", {"module.json": json_bytes({"export_libraries": link}), **module}),
        **others,
        **license_files(artifact, options),
    }
    return {f"{name}-{options.version}.aar": zip_bytes(files, options.date)}


def json_bytes(record: dict[str, object]) -> bytes:
    """A record as the text of a JSON file."""
    return (json.dumps(record, indent=2) + "\n").encode()
