"""Ed25519 signatures (RFC 8032) of package manifests.

A private key comes from a file or from what a command prints, never from the command line or the environment,
where other users and programs can see it.
"""

from __future__ import annotations

import hashlib
import shlex
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from edgecompile.errors import InputError, MissingToolError, Problem, reason

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

_COMMAND_SECONDS = 120.0


@dataclass(frozen=True)
class Signer:
    """A private `key`. `key_id` is the SHA-256 of the public key's 32 bytes, in hexadecimal."""

    key_id: str
    key: Ed25519PrivateKey = field(repr=False)

    def sign(self, data: bytes) -> bytes:
        """64 bytes, the same for the same data."""
        return self.key.sign(data)


def signer_from_file(path: Path) -> Signer:
    """The Ed25519 key in a PEM file (PKCS #8, not encrypted).

    Raises InputError (EC3568), and MissingToolError (EC5560) without the extra "sign".
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise _bad_key(str(path), reason(error)) from None
    return _signer(data, str(path))


def signer_from_command(command: str) -> Signer:
    """The key that `command` prints, for example `age -d -i me key.age`. No shell is involved.

    Raises as `signer_from_file`, and InputError (EC3569) when the command fails.
    """
    try:
        # Through a pipe, which no other program can read. What it asks and says goes to the user's terminal.
        words = shlex.split(command)
        finished = subprocess.run(words, stdout=subprocess.PIPE, timeout=_COMMAND_SECONDS, check=True)
    except subprocess.CalledProcessError as error:
        raise _failed_command(command, f"exit status {error.returncode}") from None
    except (OSError, ValueError, IndexError, subprocess.SubprocessError) as error:
        raise _failed_command(command, reason(error)) from None
    return _signer(finished.stdout, "--key-command")


def verify_signature(data: bytes, signature: bytes, public_key: Path) -> str:
    """Raise InputError (EC3567) unless `signature` is that of `data` by `public_key`, a PEM file.

    Returns the key's id. Raises InputError (EC3568), MissingToolError (EC5560).
    """
    _require_cryptography()
    from cryptography.exceptions import InvalidSignature

    key = _public_key(public_key)
    try:
        key.verify(signature, data)
    except InvalidSignature:
        why = f"it was not made by the key in {public_key}, or the manifest was changed"
        fix = "do not use this package"
        raise InputError(Problem("EC3567", "the signature is wrong", "manifest.sig", why, fix)) from None
    return _key_id(key)


def _public_key(path: Path) -> Ed25519PublicKey:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        key = load_pem_public_key(path.read_bytes())
    except OSError as error:
        raise _bad_key(str(path), reason(error)) from None
    except ValueError:
        raise _bad_key(str(path), "it is no PEM file with a public key") from None
    if not isinstance(key, Ed25519PublicKey):
        raise _bad_key(str(path), "it is no Ed25519 key")
    return key


def _signer(pem: bytes, where: str) -> Signer:
    _require_cryptography()
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(pem, password=None)
    except TypeError:
        raise _bad_key(where, "it is encrypted") from None
    except ValueError:
        raise _bad_key(where, "it is no PEM file with a private key") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise _bad_key(where, "it is no Ed25519 key")
    return Signer(_key_id(key.public_key()), key)


def _key_id(key: Ed25519PublicKey) -> str:
    return hashlib.sha256(key.public_bytes_raw()).hexdigest()


def _require_cryptography() -> None:
    from importlib.util import find_spec

    if find_spec("cryptography") is None:
        fix = "pip install 'edgecompile[sign]'"
        raise MissingToolError(Problem("EC5560", "signatures need the package cryptography", fix=fix))


def _bad_key(where: str, why: str) -> InputError:
    fix = "make one with `openssl genpkey -algorithm ed25519`; an encrypted one is for --key-command"
    return InputError(Problem("EC3568", "cannot read the key", where, why, fix))


def _failed_command(command: str, why: str) -> InputError:
    fix = "run it by itself; it has to print a PEM file"
    return InputError(Problem("EC3569", "the command for the key failed", command, why, fix))
