"""The neutral form: the whole artifact in one file, with a self-test, a bill of materials and licences."""

from __future__ import annotations

from pathlib import Path

from edgecompile.core.artifact import MANIFEST, Artifact, open_artifact
from edgecompile.errors import InputError, Problem
from edgecompile.packaging.archive import zip_bytes
from edgecompile.packaging.check import Checked, check_package
from edgecompile.packaging.formats import Format, write_files
from edgecompile.packaging.licenses import license_files
from edgecompile.packaging.manifest import Files, sealed
from edgecompile.packaging.options import PackageOptions
from edgecompile.packaging.parts import under
from edgecompile.packaging.render import describe, render
from edgecompile.packaging.sbom import bill_of_materials
from edgecompile.packaging.selftest import selftest_files

ARTIFACT = "artifact"


def render_bundle(artifact: Artifact, options: PackageOptions) -> Files:
    """NAME-TARGET-VERSION.bundle, a zip archive. Not in it: verification.json, which no digest covers."""
    names = [*artifact.manifest.files, MANIFEST]
    files = under(ARTIFACT, {name: (artifact.path / name).read_bytes() for name in names})
    if artifact.manifest.emit in ("lib", "c"):
        files |= under("selftest", selftest_files(artifact, options))
    files |= license_files(artifact, options) | render("bundle", describe(artifact, options))
    files["sbom.cdx.json"] = bill_of_materials(artifact, options)
    manifest = artifact.manifest
    name = f"{manifest.name}-{manifest.target}-{options.version}.bundle"
    return {name: zip_bytes(sealed("bundle", artifact, files, options), options.date)}


def open_bundle(path: Path, folder: Path, public_key: Path | None = None) -> Artifact:
    """Check the bundle `path`, write the artifact in it into the empty `folder`, and open that.

    Raises InputError as `check_package` and `open_artifact` do.
    """
    checked = check_package(path, public_key)
    write_files(folder, artifact_files(checked, path))
    return open_artifact(folder)


def artifact_files(checked: Checked, path: Path) -> Files:
    """The files of the artifact in a bundle, by their names there. Raises InputError (EC3574)."""
    prefix = f"{ARTIFACT}/"
    files = {name[len(prefix) :]: data for name, data in checked.files.items() if name.startswith(prefix)}
    if not files:
        why, fix = f"its format is {checked.manifest.format}", "give a bundle, or the artifact itself"
        raise InputError(Problem("EC3574", "there is no artifact in this package", str(path), why, fix))
    return files


FORMAT = Format(
    "bundle",
    "one file with everything, for archives and for handing on",
    render_bundle,
    single=True,
    emit=("lib", "c", "tflite", "onnx"),
)
