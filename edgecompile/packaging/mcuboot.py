"""MCUboot: the weights as an image for a slot of their own, signed by imgtool when there is a key."""

from __future__ import annotations

import contextlib
import io
import tempfile
from importlib.util import find_spec
from pathlib import Path

from edgecompile.core.artifact import Artifact
from edgecompile.core.store import sha256_hex
from edgecompile.errors import MissingToolError, Problem
from edgecompile.packaging.formats import Format
from edgecompile.packaging.licenses import license_files
from edgecompile.packaging.manifest import Files
from edgecompile.packaging.options import PackageOptions
from edgecompile.packaging.parts import parts_of
from edgecompile.packaging.render import describe, render
from edgecompile.packaging.sign import Signer

# Room for MCUboot's header in front of the payload; the payload stays aligned for every network.
HEADER_BYTES = 512
_TRAILER_BYTES, _SLOT_UNIT = 8192, 65536


def render_mcuboot(artifact: Artifact, options: PackageOptions) -> Files:
    """The payload, the signed image where there is a key, imgtool's line, and the code that reads it."""
    parts, name = parts_of(artifact, options), artifact.manifest.name
    payload = parts.apart[f"{name}_weights.bin"]
    slot_bytes = -(-(HEADER_BYTES + len(payload) + _TRAILER_BYTES) // _SLOT_UNIT) * _SLOT_UNIT
    values = describe(artifact, options) | {
        "header_bytes": HEADER_BYTES,
        "slot_bytes": slot_bytes,
        "payload_bytes": len(payload),
        "payload_sha256": sha256_hex(payload),
        "is_signed": options.signer is not None,
    }
    signed = (
        {}
        if options.signer is None
        else signed_image(name, payload, slot_bytes, options.version, options.signer)
    )
    return {**parts.apart, **signed, **license_files(artifact, options), **render("mcuboot", values)}


def signed_image(name: str, payload: bytes, slot_bytes: int, version: str, signer: Signer) -> Files:
    """The image, by imgtool as a library: so the key is in no file. Ed25519 signs alike each time.

    Raises MissingToolError (EC5561).
    """
    if find_spec("imgtool") is None:
        fix = "pip install 'edgecompile[sign]', or sign the payload yourself without --key"
        raise MissingToolError(Problem("EC5561", "signing for MCUboot needs the package imgtool", fix=fix))
    from imgtool.image import Image
    from imgtool.keys.ed25519 import Ed25519
    from imgtool.version import decode_version

    image = Image(
        version=decode_version(version),
        header_size=HEADER_BYTES,
        pad_header=True,
        align=4,
        slot_size=slot_bytes,
        non_bootable=True,
    )
    with tempfile.TemporaryDirectory(prefix="edgecompile-") as folder:
        source, target = Path(folder) / "payload.bin", Path(folder) / "signed.bin"
        source.write_bytes(payload)
        with contextlib.redirect_stdout(io.StringIO()):  # it prints what it does
            image.load(str(source))
            image.create(Ed25519(signer.key), "hash", None)
            image.save(str(target))
        return {f"{name}_weights.signed.bin": target.read_bytes()}


FORMAT = Format(
    "mcuboot",
    "the weights as an image for MCUboot",
    render_mcuboot,
    weights=("partition",),
    machines="firmware",
)
