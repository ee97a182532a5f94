"""The bill of materials: where the network came from, what made the code, and every file (CycloneDX 1.6)."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime

from cyclonedx.model import HashAlgorithm, HashType, Property
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.license import LicenseExpression
from cyclonedx.output.json import JsonV1Dot6

from edgecompile.core.artifact import MANIFEST, Artifact, report_json
from edgecompile.core.store import sha256_hex
from edgecompile.packaging.options import PackageOptions

# Our own name space of serial numbers: the same contents have the same one.
_NAMESPACE = uuid.UUID("5a1c9f0e-6f5a-5d4e-9d27-9f3c0c4b7a11")


def bill_of_materials(artifact: Artifact, options: PackageOptions) -> bytes:
    """JSON about the library, with the network's model and each file as components, and all tools."""
    identity = f"{sha256_hex((artifact.path / MANIFEST).read_bytes())} {options.version} {options.license}"
    bom = Bom(serial_number=uuid.uuid5(_NAMESPACE, identity))
    bom.metadata.timestamp = datetime.fromtimestamp(options.date, UTC)
    bom.metadata.tools.components.update(_tools(artifact))
    library, model = _library(artifact, options), _model(artifact, options)
    bom.metadata.component = library
    files = list(_files(artifact))
    bom.components.update([model, *files])
    bom.register_dependency(library, [model, *files])
    return (JsonV1Dot6(bom).output_as_string(indent=2) + "\n").encode()


def _library(artifact: Artifact, options: PackageOptions) -> Component:
    manifest = artifact.manifest
    figures = {
        "edgecompile:target": manifest.target,
        "edgecompile:arena_bytes": str(manifest.memory.arena),
        "edgecompile:flash_bytes": str(manifest.memory.flash),
    }
    return Component(
        name=manifest.name,
        version=options.version,
        type=ComponentType.LIBRARY,
        bom_ref=f"library:{manifest.name}",
        properties=[Property(name=key, value=value) for key, value in figures.items()],
    )


def _model(artifact: Artifact, options: PackageOptions) -> Component:
    """The network as it was imported; its digest is that of the file that was compiled."""
    manifest = artifact.manifest
    digest = manifest.model_sha256
    return Component(
        name=str(report_json(artifact.path).get("source", manifest.name)),
        type=ComponentType.MACHINE_LEARNING_MODEL,
        bom_ref="model",
        hashes=[_sha256(digest)] if digest else [],
        licenses=[LicenseExpression(options.license)] if options.license else [],
    )


def _files(artifact: Artifact) -> Iterator[Component]:
    for name, digest in artifact.manifest.files.items():
        yield Component(name=name, type=ComponentType.FILE, bom_ref=f"file:{name}", hashes=[_sha256(digest)])


def _tools(artifact: Artifact) -> Iterator[Component]:
    """What the artifact's manifest and report name: edgecompile, its libraries, and the C compiler."""
    for name, version in artifact.manifest.tools.items():
        yield Component(name=name, version=version, type=ComponentType.APPLICATION, bom_ref=f"tool:{name}")
    compiler = report_json(artifact.path).get("toolchain")
    if compiler:
        name, _, version = str(compiler).partition(" ")
        yield Component(name=name, version=version, type=ComponentType.APPLICATION, bom_ref=f"tool:{name}")


def _sha256(digest: str) -> HashType:
    return HashType(alg=HashAlgorithm.SHA_256, content=digest)
