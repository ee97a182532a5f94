"""Debian: a -dev package with the header, the static library and a pkg-config file."""

from __future__ import annotations

import hashlib

from edgecompile.core.artifact import Artifact
from edgecompile.packaging.archive import ar_bytes, tar_bytes
from edgecompile.packaging.formats import Format
from edgecompile.packaging.licenses import license_files
from edgecompile.packaging.manifest import Files
from edgecompile.packaging.options import PackageOptions
from edgecompile.packaging.parts import parts_of, under
from edgecompile.packaging.render import describe, render

# Debian's name of an architecture, and the folder of its libraries.
_ARCHITECTURES = {
    "x86_64": ("amd64", "x86_64-linux-gnu"),
    "aarch64": ("arm64", "aarch64-linux-gnu"),
    "arm": ("armhf", "arm-linux-gnueabihf"),
    "armv7a": ("armhf", "arm-linux-gnueabihf"),
}


def render_deb(artifact: Artifact, options: PackageOptions) -> Files:
    """libNAME-dev_VERSION_ARCHITECTURE.deb. The archives in it are not compressed, as dpkg allows."""
    parts, values = parts_of(artifact, options), describe(artifact, options)
    processor = str(values["processor"])
    architecture, triplet = _ARCHITECTURES.get(processor, (processor, f"{processor}-linux-gnu"))
    package = f"lib{values['dashed']}-dev"
    texts = render("deb", values | {"package": package, "architecture": architecture, "triplet": triplet})
    files = {
        **under("usr/include", parts.headers),
        **under(f"usr/lib/{triplet}", parts.library),
        f"usr/lib/{triplet}/pkgconfig/{values['name']}.pc": texts.pop("pkg-config"),
        f"usr/share/doc/{package}/copyright": license_files(artifact, options)["LICENSES.md"],
    }
    control = {
        "control": texts["control"]
        + f"Installed-Size: {-(-sum(map(len, files.values())) // 1024)}\n".encode(),
        "md5sums": "".join(f"{_md5(data)}  {name}\n" for name, data in sorted(files.items())).encode(),
    }
    members = {
        "debian-binary": b"2.0\n",
        "control.tar": tar_bytes(under(".", control), options.date),
        "data.tar": tar_bytes(under(".", files), options.date),
    }
    return {f"{package}_{options.version}_{architecture}.deb": ar_bytes(members, options.date)}


def _md5(data: bytes) -> str:
    """What dpkg --verify compares; it protects against nothing but accidents."""
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


FORMAT = Format("deb", "a Debian -dev package", render_deb, single=True, emit=("lib",), machines="linux")
