"""A Python wheel: the network as a shared library, called by ctypes on NumPy arrays.

The library is linked here, from the artifact's own objects; nothing is compiled.
"""

from __future__ import annotations

import base64
import hashlib
import re
import tempfile
from dataclasses import replace
from pathlib import Path

from edgecompile.core.artifact import Artifact
from edgecompile.core.target import Target
from edgecompile.packaging.archive import zip_bytes
from edgecompile.packaging.formats import Format
from edgecompile.packaging.licenses import license_files
from edgecompile.packaging.manifest import Files
from edgecompile.packaging.options import PackageOptions
from edgecompile.packaging.parts import parts_of, under
from edgecompile.packaging.render import describe, render
from edgecompile.toolchain.base import Toolchain
from edgecompile.toolchain.find import find_toolchain

# zig links against the GNU C library from this version on; what gcc links needs the one of this machine.
_GLIBC = "2.17"
_PLATFORM = {"x86_64": "x86_64", "aarch64": "aarch64", "arm": "armv7l", "armv7a": "armv7l"}


def render_wheel(artifact: Artifact, options: PackageOptions) -> Files:
    """NAME-VERSION-py3-none-PLATFORM.whl. Raises MissingToolError without a linker for the target."""
    name, target = artifact.manifest.name, artifact.target
    toolchain = _for_glibc(find_toolchain(target), target)
    processor = _PLATFORM.get(target.isa.triple.split("-")[0], target.isa.triple.split("-")[0])
    release = "manylinux2014" if toolchain.name == "zig" else "linux"
    values = describe(artifact, options) | {"tag": f"py3-none-{release}_{processor}"}
    rendered = render("python", values)
    # The name of the distribution as archives spell it; the package is called like the network.
    distribution = re.sub("_+", "_", name).lower()
    info = f"{distribution}-{options.version}.dist-info"
    metadata = {"METADATA": rendered.pop("METADATA"), "WHEEL": rendered.pop("WHEEL")}
    files = {
        **rendered,
        f"{name}/lib{name}.so": _shared_library(artifact, options, toolchain),
        **under(info, metadata),
        **under(f"{info}/licenses", license_files(artifact, options)),
    }
    record = f"{info}/RECORD"
    files[record] = _record(files, record)
    return {f"{distribution}-{options.version}-{values['tag']}.whl": zip_bytes(files, options.date)}


def _for_glibc(toolchain: Toolchain, target: Target) -> Toolchain:
    """Python's own C library is mostly GNU's, the one that zig links programs with is not."""
    if toolchain.name != "zig":
        return toolchain
    triple = target.toolchain.zig_target.replace("musl", "gnu") + f".{_GLIBC}"
    return replace(toolchain, compiler=(*toolchain.compiler[:-1], triple))


def _shared_library(artifact: Artifact, options: PackageOptions, toolchain: Toolchain) -> bytes:
    """Nothing of the machine that links is in it: the folder it happens in has no say in its contents."""
    name = artifact.manifest.name
    library = parts_of(artifact, options).library[f"lib{name}.a"]
    with tempfile.TemporaryDirectory(prefix="edgecompile-") as folder:
        archive, output = Path(folder) / f"lib{name}.a", Path(folder) / f"lib{name}.so"
        archive.write_bytes(library)
        flags = ["-shared", f"-Wl,-soname,lib{name}.so", "-Wl,--build-id=none", "-Wl,--whole-archive"]
        flags += ["-pthread"] if artifact.manifest.threads > 1 else []
        linker = replace(toolchain, link_flags=("-Wl,--no-whole-archive", "-lm", "-s"))
        return linker.link([archive], flags, output).read_bytes()


def _record(files: Files, record: str) -> bytes:
    """Name, digest and size of every file, as the format of binary distributions wants it (PEP 427)."""
    rows = []
    for name, data in sorted(files.items()):
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        rows.append(f"{name},sha256={digest},{len(data)}\n")
    return ("".join(rows) + f"{record},,\n").encode()


FORMAT = Format(
    "python",
    "a wheel for Linux that calls the network by ctypes",
    render_wheel,
    single=True,
    emit=("lib",),
    machines="linux",
)
