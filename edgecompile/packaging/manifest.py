"""What a package says of itself in its `manifest.json`: where it comes from, and every file's digest."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from edgecompile.core.artifact import MANIFEST, Artifact
from edgecompile.core.store import sha256_hex
from edgecompile.packaging.options import PackageOptions

SCHEMA_VERSION = 1
KIND = "edgecompile package"
SIGNATURE = "manifest.sig"

# The files of a package: contents by path, with "/" between folders.
Files = dict[str, bytes]


@dataclass(frozen=True)
class PackageManifest:
    """What `manifest.json` of a package holds.

    `artifact` is the SHA-256 of the artifact's own manifest, and so of all that is in it. `date` is in
    seconds since 1970. `key_id` names the key that signed, "" when nobody did. `files` maps each path to its
    SHA-256; the manifest and its signature are not among them.
    """

    format: str
    name: str
    version: str
    target: str
    artifact: str
    date: int
    key_id: str
    files: Mapping[str, str]

    def to_json(self) -> str:
        record = {"kind": KIND, "schema_version": SCHEMA_VERSION} | asdict(self)
        return json.dumps(record, indent=2, sort_keys=True) + "\n"

    @staticmethod
    def from_json(text: str) -> PackageManifest:
        """Raises ValueError with what is wrong."""
        record = json.loads(text)
        if not isinstance(record, dict) or record.pop("kind", None) != KIND:
            raise ValueError("it is no manifest of a package")
        version = record.pop("schema_version", None)
        if version != SCHEMA_VERSION:
            raise ValueError(f"schema_version is {version!r}, this edgecompile reads {SCHEMA_VERSION}")
        fields = PackageManifest.__dataclass_fields__
        types = {"date": int, "files": dict} | dict.fromkeys(fields.keys() - {"date", "files"}, str)
        if record.keys() != types.keys() or any(type(record[key]) is not types[key] for key in types):
            raise ValueError(f"its fields are not {', '.join(sorted(types))}")
        return PackageManifest(**record)


def sealed(format_name: str, artifact: Artifact, files: Files, options: PackageOptions) -> Files:
    """`files` with the manifest that describes them, and with its signature where there is a key."""
    manifest = PackageManifest(
        format=format_name,
        name=artifact.manifest.name,
        version=options.version,
        target=artifact.manifest.target,
        artifact=sha256_hex((artifact.path / MANIFEST).read_bytes()),
        date=options.date,
        key_id="" if options.signer is None else options.signer.key_id,
        files={name: sha256_hex(data) for name, data in sorted(files.items())},
    )
    text = manifest.to_json().encode()
    signature = {} if options.signer is None else {SIGNATURE: options.signer.sign(text)}
    return {MANIFEST: text, **signature, **files}
