"""Under which terms each part of a package stands."""

from __future__ import annotations

from edgecompile.core.artifact import Artifact
from edgecompile.packaging.manifest import Files
from edgecompile.packaging.options import PackageOptions
from edgecompile.packaging.render import describe, render


def license_files(artifact: Artifact, options: PackageOptions) -> Files:
    """LICENSES.md."""
    return render("licenses", describe(artifact, options))
