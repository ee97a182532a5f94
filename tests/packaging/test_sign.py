"""Keys, signatures, and what a signature protects against that digests do not."""

from __future__ import annotations

import importlib.util
import io
import json
import sys
import zipfile
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from edgecompile.core.artifact import Artifact
from edgecompile.core.store import sha256_hex
from edgecompile.errors import InputError, MissingToolError
from edgecompile.packaging.archive import zip_bytes
from edgecompile.packaging.check import check_package
from edgecompile.packaging.options import PackageOptions
from edgecompile.packaging.sign import signer_from_command, signer_from_file, verify_signature
from tests.packaging.build import write


def keys(folder: Path, seed: int, encryption: KeySerializationEncryption | None = None) -> tuple[Path, Path]:
    """A private and a public key in PEM files."""
    key = Ed25519PrivateKey.from_private_bytes(bytes([seed] * 32))
    private, public = folder / f"key{seed}.pem", folder / f"key{seed}.pub.pem"
    encryption = encryption or NoEncryption()
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption))
    public.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return private, public


def signed(artifact: Artifact, folder: Path, private: Path) -> Path:
    options = PackageOptions(signer=signer_from_file(private))
    return write(artifact, "bundle", folder, options)


def test_a_signed_bundle_names_its_key_and_is_valid(small: Artifact, tmp_path: Path) -> None:
    private, public = keys(tmp_path, 1)
    bundle = signed(small, tmp_path / "out", private)
    checked = check_package(bundle, public)
    assert checked.signature == "valid"
    assert checked.manifest.key_id == signer_from_file(private).key_id
    assert check_package(bundle).signature == "not checked"
    assert bundle.read_bytes() == signed(small, tmp_path / "again", private).read_bytes()


def test_another_key_is_refused(small: Artifact, tmp_path: Path) -> None:
    private, _ = keys(tmp_path, 1)
    _, other = keys(tmp_path, 2)
    with pytest.raises(InputError, match=r"EC3567.*the signature is wrong.*not made by the key.*do not use"):
        check_package(signed(small, tmp_path / "out", private), other)


def test_new_digests_do_not_help_an_attacker(small: Artifact, tmp_path: Path) -> None:
    private, public = keys(tmp_path, 1)
    bundle = signed(small, tmp_path / "out", private)
    with zipfile.ZipFile(io.BytesIO(bundle.read_bytes())) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    manifest = json.loads(files["manifest.json"])
    files["artifact/report.json"] = b"{}"
    manifest["files"]["artifact/report.json"] = sha256_hex(b"{}")
    files["manifest.json"] = json.dumps(manifest).encode()
    bundle.write_bytes(zip_bytes(files, manifest["date"]))
    with pytest.raises(InputError, match=r"EC3567.*or the manifest was changed"):
        check_package(bundle, public)
    del files["manifest.sig"]
    bundle.write_bytes(zip_bytes(files, manifest["date"]))
    with pytest.raises(InputError, match=r"EC3566.*not signed.*no manifest\.sig"):
        check_package(bundle, public)
    with pytest.raises(InputError, match=r"EC3566.*has lost its signature"):
        check_package(bundle)


def test_the_signature_is_checked_before_the_manifest_is_read(small: Artifact, tmp_path: Path) -> None:
    private, public = keys(tmp_path, 1)
    bundle = signed(small, tmp_path / "out", private)
    with zipfile.ZipFile(io.BytesIO(bundle.read_bytes())) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    files["manifest.json"] = b"not even JSON"
    bundle.write_bytes(zip_bytes(files, 315532800))
    with pytest.raises(InputError, match=r"EC3567"):
        check_package(bundle, public)


def test_a_key_that_a_command_prints(tmp_path: Path) -> None:
    private, public = keys(tmp_path, 3)
    signer = signer_from_command(f"cat '{private}'")
    assert verify_signature(b"data", signer.sign(b"data"), public) == signer.key_id


@pytest.mark.parametrize("command", ["false", "no-such-program-here x", "", "cat 'unclosed"])
def test_a_command_that_fails(command: str) -> None:
    with pytest.raises(InputError, match=r"EC3569.*the command for the key failed.*run it by itself"):
        signer_from_command(command)


def test_keys_that_are_none(tmp_path: Path) -> None:
    encrypted, _ = keys(tmp_path, 4, BestAvailableEncryption(b"secret"))
    with pytest.raises(InputError, match=r"EC3568.*it is encrypted.*--key-command"):
        signer_from_file(encrypted)
    (tmp_path / "text").write_text("hello")
    with pytest.raises(InputError, match=r"EC3568.*cannot read the key.*openssl genpkey -algorithm ed25519"):
        signer_from_file(tmp_path / "text")
    with pytest.raises(InputError, match=r"EC3568.*No such file"):
        signer_from_file(tmp_path / "none")
    curve = generate_private_key(SECP256R1())
    (tmp_path / "ec").write_bytes(curve.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    with pytest.raises(InputError, match=r"EC3568.*it is no Ed25519 key"):
        signer_from_file(tmp_path / "ec")
    public = curve.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (tmp_path / "ec.pub").write_bytes(public)
    with pytest.raises(InputError, match=r"EC3568.*it is no Ed25519 key"):
        verify_signature(b"", bytes(64), tmp_path / "ec.pub")
    with pytest.raises(InputError, match=r"EC3568.*No such file"):
        verify_signature(b"", bytes(64), tmp_path / "none")


def test_the_key_is_read_through_a_pipe(tmp_path: Path) -> None:
    private, _ = keys(tmp_path, 5)
    script = (
        "import os, stat, sys; assert stat.S_ISFIFO(os.fstat(1).st_mode); print(open(sys.argv[1]).read())"
    )
    assert signer_from_command(f"{sys.executable} -c '{script}' '{private}'").key_id


def test_without_cryptography(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    private, public = keys(tmp_path, 6)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    for call in (lambda: signer_from_file(private), lambda: verify_signature(b"", b"", public)):
        with pytest.raises(MissingToolError, match=r"EC5560.*pip install 'edgecompile\[sign\]'"):
            call()
